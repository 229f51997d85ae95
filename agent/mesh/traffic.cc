#include "agent/mesh/traffic.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace nodepilot::mesh {
namespace {

// Cuts `prefix` off.
bool take(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

template <class Number>
std::optional<Number> take_number(std::string_view& text) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc()) return std::nullopt;
  text.remove_prefix(static_cast<std::size_t>(end - text.data()));
  return number;
}

// "http.inbound_8080_mtls_http.downstream_cx_total: 3", as inbound.cc names its chains.
void count(std::string_view line, std::map<std::uint16_t, Traffic>& traffic) {
  if (!take(line, "http.inbound_") && !take(line, "tcp.inbound_")) return;
  auto port = take_number<std::uint16_t>(line);
  bool is_mutual = line.starts_with("_mtls_");
  bool is_known = take(line, "_mtls_") || take(line, "_plaintext_") || take(line, "_tls_");
  if (!port || !is_known || (!take(line, "http.") && !take(line, "tcp."))) return;
  bool is_total = line.starts_with("downstream_cx_total: ");
  if (!take(line, "downstream_cx_total: ") && !take(line, "downstream_cx_active: ")) return;
  auto number = take_number<std::uint64_t>(line);
  if (!number) return;
  Connections& of = is_mutual ? traffic[*port].mutual : traffic[*port].plaintext;
  (is_total ? of.total : of.active) += *number;
}

}  // namespace

std::map<std::uint16_t, Traffic> parse_traffic(std::string_view stats) {
  std::map<std::uint16_t, Traffic> traffic;
  while (!stats.empty()) {
    std::string_view line = stats.substr(0, stats.find('\n'));
    count(line, traffic);
    stats.remove_prefix(std::min(stats.size(), line.size() + 1));
  }
  return traffic;
}

std::string advice(MtlsMode mode, const Traffic& traffic) {
  if (mode == MtlsMode::kStrict) return "STRICT already";
  if (mode == MtlsMode::kDisable) return "plaintext, as the policy says";
  std::uint64_t all = traffic.mutual.total + traffic.plaintext.total;
  if (all == 0) return "nobody has come yet";
  if (traffic.plaintext.total == 0) return "safe to go STRICT";
  return std::to_string(traffic.plaintext.total) + " of " + std::to_string(all) +
         " connections in plaintext, " + std::to_string(traffic.plaintext.active) + " open now";
}

}  // namespace nodepilot::mesh
