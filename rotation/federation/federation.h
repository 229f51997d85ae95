// A foreign trust domain whose bundle is fetched, and how (SPIFFE Federation, section 5). All of it
// comes from the configuration: nothing is inferred, and no profile stands in for another.
#pragma once

#include <filesystem>
#include <optional>
#include <variant>

#include "agent/base/spiffe_id.h"
#include "rotation/https/url.h"

namespace nodepilot {

// The endpoint shows a Web PKI certificate for its host.
struct HttpsWeb {
  std::optional<std::filesystem::path> ca_file;  // the CAs to trust instead of the system's
};

// The endpoint shows an X509-SVID for `endpoint_id`.
struct HttpsSpiffe {
  SpiffeId endpoint_id;
  // The first bundle, if the endpoint serves that of its own trust domain. If not, its trust domain
  // is ours or that of another federation.
  std::optional<std::filesystem::path> bundle_file;
};

// A value. Thread: any.
struct Federation {
  TrustDomain trust_domain;
  Url url;
  std::variant<HttpsWeb, HttpsSpiffe> profile;
};

}  // namespace nodepilot
