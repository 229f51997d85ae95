#include "agent/base/files.h"
#include "agent/bundle_text.h"
#include "agent/cli/admin_client.h"
#include "agent/cli/commands.h"
#include "rotation/pki/bundle_document.h"

namespace nodepilot {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(5);

using Documents = std::vector<BundleDocument>;

expected<Documents> held_bundles(const EndpointAddress& admin, const std::string& trust_domain) {
  admin::v1::GetBundlesRequest request;
  request.set_trust_domain(trust_domain);
  auto response = TRY(get_bundles(admin, request, kTimeout));
  Documents documents;
  for (const auto& held : response.bundles()) {
    TrustDomain name = TRY(TrustDomain::parse(held.trust_domain()));
    documents.push_back(TRY(parse_bundle_document(name, held.document())));
  }
  return documents;
}

std::vector<TrustBundle> bundles_of(const Documents& documents) {
  std::vector<TrustBundle> bundles;
  for (const BundleDocument& document : documents) bundles.push_back(document.bundle);
  return bundles;
}

// A file does not tell its trust domain, and a comparison does not need it.
expected<TrustBundle> read_bundle(const std::string& file) {
  const TrustDomain unnamed = TRY(TrustDomain::parse("file"));
  std::string text = TRY(read_file(file, kMaxBundleDocumentBytes));
  if (text.find("-----BEGIN") == std::string::npos) {
    auto document = parse_bundle_document(unnamed, text);
    if (!document) return fail_with(file, document.error());
    return document->bundle;
  }
  auto roots = Certificate::parse_pem(text);
  if (!roots) return fail_with(file, roots.error());
  return TrustBundle::foreign(unnamed, *roots, {});
}

expected<TrustBundle> find_bundle(const EndpointAddress& admin, const std::string& name) {
  if (name.find('/') != std::string::npos) return read_bundle(name);
  return TRY(held_bundles(admin, name)).front().bundle;
}

}  // namespace

ExitCode execute(const BundleShowOptions& options) {
  using Format = BundleShowOptions::Format;
  auto documents = held_bundles(options.admin, options.trust_domain);
  if (!documents) return report(documents.error());
  if (options.format == Format::kPem) return print(bundle_pem(bundles_of(*documents)));
  if (options.format == Format::kTable) {
    auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
    return print(bundle_table(bundles_of(*documents), now));
  }
  if (!options.trust_domain.empty()) return print(write_bundle_document(documents->front()) + "\n");
  BundleMap map;
  for (const BundleDocument& document : *documents) {
    map.emplace(document.bundle.trust_domain(), document);
  }
  return print(write_bundle_map(map) + "\n");
}

ExitCode execute(const BundleDiffOptions& options) {
  auto before = find_bundle(options.admin, options.before);
  if (!before) return report(before.error());
  auto after = find_bundle(options.admin, options.after);
  if (!after) return report(after.error());
  std::string difference = bundle_diff(*before, *after);
  return print(difference, difference.empty() ? ExitCode::kOk : ExitCode::kFailed);
}

}  // namespace nodepilot
