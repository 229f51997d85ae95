// Gets the text of a foreign trust domain's bundle.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "agent/base/time.h"
#include "rotation/federation/federation.h"
#include "rotation/pki/trust_bundle.h"

namespace nodepilot {

// Thread: worker, several at once. Blocks at most for its own deadline.
class BundleFetcher {
 public:
  virtual ~BundleFetcher() = default;

  // What the endpoint serves; not yet parsed. `anchors` is the bundle of the endpoint's own trust
  // domain, null for https_web. Errors name the URL.
  virtual expected<std::string> fetch(const Federation& federation,
                                      const std::shared_ptr<const TrustBundle>& anchors,
                                      Time now) = 0;
};

// Over HTTPS. A redirect is followed if it leads to a valid endpoint URL, with the same check of
// the server, a few times; it is forgotten afterwards (Federation 5.2.1.4, 5.2.2.4).
class HttpsBundleFetcher : public BundleFetcher {
 public:
  expected<std::string> fetch(const Federation& federation,
                              const std::shared_ptr<const TrustBundle>& anchors, Time now) override;

  // Every fetch, present and to come, ends soon with kCancelled. Thread: any.
  void stop() { stop_.request_stop(); }

 private:
  std::stop_source stop_;
};

}  // namespace nodepilot
