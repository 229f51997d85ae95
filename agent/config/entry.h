// The identities of the configuration, and of `run --dev --identity`.
// Thread: any.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "agent/base/entry.h"
#include "agent/config/yaml_decoder.h"

namespace nodepilot {

// "/web", or a whole ID; of `trust_domain` (if that is known), and with a path.
expected<SpiffeId> parse_identity_id(std::string_view text,
                                     const std::optional<TrustDomain>& trust_domain);

// The same, or a template: "/ns/{k8s:ns}/sa/{k8s:sa}".
using IdOrTemplate = std::variant<SpiffeId, IdTemplate>;
expected<IdOrTemplate> parse_id_or_template(std::string_view text,
                                            const std::optional<TrustDomain>& trust_domain);

// Whole seconds: of X.509-SVIDs, and of JWT-SVIDs, which live shorter.
expected<std::chrono::seconds> parse_ttl(std::string_view text);
expected<std::chrono::seconds> parse_jwt_ttl(std::string_view text);

expected<std::string> parse_hint(std::string_view text);

// A host name in lower case, without wildcard and without final dot.
expected<std::string> parse_dns_name(std::string_view text);

// Gives each entry its id: its name(), from the second entry with the same one on with "#2", ...
void number_entries(std::vector<Entry>& entries);

// The list under `identities`, not yet numbered. What is wrong is noted there. Identities may
// federate with the trust domains in `federated` only.
std::vector<Entry> decode_entries(const YamlValue& list,
                                  const std::optional<TrustDomain>& trust_domain,
                                  const std::vector<TrustDomain>& federated,
                                  std::chrono::seconds default_ttl);

}  // namespace nodepilot
