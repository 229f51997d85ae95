// Bundles of foreign trust domains, and an endpoint in memory that serves them.
#pragma once

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "rotation/federation/bundle_fetcher.h"
#include "rotation/pki/bundle_document.h"
#include "test/pki/test_ca.h"

namespace nodepilot {

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::string read_text(const std::filesystem::path& file) {
  std::stringstream text;
  text << std::ifstream(file, std::ios::binary).rdbuf();
  return text.str();
}

inline TrustDomain domain(const std::string& name) { return TrustDomain::parse(name).value(); }

// With a root of its own.
inline BundleDocument make_document(const std::string& name,
                                    std::optional<std::uint64_t> sequence = {},
                                    std::optional<std::chrono::seconds> hint = {}) {
  std::vector roots{test::TestCa::root("root of " + name).certificate};
  return {TrustBundle::foreign(domain(name), roots, {}), sequence, hint, {}};
}

inline BundleDocument empty_document(const std::string& name, std::uint64_t sequence) {
  return {TrustBundle::foreign(domain(name), {}, {}), sequence, {}, {}};
}

// Thread: that of the test.
class FakeFetcher : public BundleFetcher {
 public:
  expected<std::string> fetch(const Federation& federation,
                              const std::shared_ptr<const TrustBundle>& anchors, Time) override {
    const std::string& name = federation.trust_domain.name();
    ++calls[name];
    anchors_seen[name] = anchors;
    auto text = served.find(name);
    if (text == served.end()) return fail(Code::kUnavailable, "fake endpoint: down");
    return text->second;
  }
  void serve(const BundleDocument& document) {
    served[document.bundle.trust_domain().name()] = write_bundle_document(document);
  }

  std::map<std::string, std::string> served;  // by trust domain; down without
  std::map<std::string, int> calls;
  std::map<std::string, std::shared_ptr<const TrustBundle>> anchors_seen;
};

}  // namespace nodepilot
