#include "agent/config/publication.h"

namespace nodepilot {

Selectors endpoint_selectors() { return {{"nodepilot", "bundle-endpoint"}}; }

Entry endpoint_entry(const SpiffeId& id, std::chrono::seconds ttl) {
  return {.id = "",
          .spiffe_id = id,
          .match = endpoint_selectors(),
          .ttl = ttl,
          .dns_names = {},
          .hint = ""};
}

}  // namespace nodepilot
