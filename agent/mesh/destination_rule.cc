#include "agent/mesh/destination_rule.h"

#include <algorithm>
#include <tuple>

namespace nodepilot::mesh {
namespace {

bool fits(const DestinationRule& rule, const std::string& host) {
  if (rule.host == host) return true;
  return rule.host.starts_with("*.") && host.ends_with(std::string_view(rule.host).substr(1));
}

bool is_better(const DestinationRule& a, const DestinationRule& b) {
  auto rank = [](const DestinationRule& rule) {
    bool is_wildcard = rule.host.starts_with('*');
    return std::tuple(is_wildcard, -static_cast<std::ptrdiff_t>(rule.host.size()), rule.created,
                      rule.name);
  };
  return rank(a) < rank(b);
}

}  // namespace

const ClientTls* DestinationRule::tls_for(std::uint16_t port) const {
  if (auto of_port = ports.find(port); of_port != ports.end()) return &of_port->second;
  return tls ? &*tls : nullptr;
}

const DestinationRule* find_rule(const std::vector<DestinationRule>& rules, const std::string& host,
                                 const std::string& client_namespace,
                                 const std::string& service_namespace,
                                 const std::string& root_namespace) {
  for (const std::string* name_space : {&client_namespace, &service_namespace, &root_namespace}) {
    const DestinationRule* best = nullptr;
    for (const DestinationRule& rule : rules) {
      if (rule.name_space != *name_space || !fits(rule, host)) continue;
      if (best == nullptr || is_better(rule, *best)) best = &rule;
    }
    if (best != nullptr) return best;
  }
  return nullptr;
}

}  // namespace nodepilot::mesh
