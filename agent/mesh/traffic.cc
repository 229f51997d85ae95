#include "agent/mesh/traffic.h"

#include "agent/base/time.h"

#include <algorithm>
#include <charconv>
#include <cmath>

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

// All that is left.
template <class Number>
std::optional<Number> whole_number(std::string_view text) {
  auto number = take_number<Number>(text);
  return text.empty() ? number : std::nullopt;
}

// "http.inbound_8080_mtls_http.downstream_cx_total: 3", as inbound.cc names its chains.
void count(std::string_view line, std::map<std::uint16_t, Traffic>& traffic) {
  bool is_tcp = line.starts_with("tcp.");
  if (!take(line, "http.inbound_") && !take(line, "tcp.inbound_")) return;
  auto port = take_number<std::uint16_t>(line);
  bool is_mutual = line.starts_with("_mtls_");
  bool is_known = take(line, "_mtls_") || take(line, "_plaintext_") || take(line, "_tls_");
  if (!port || !is_known || (!take(line, "http.") && !take(line, "tcp."))) return;
  bool is_total = line.starts_with("downstream_cx_total: ");
  if (!take(line, "downstream_cx_total: ") && !take(line, "downstream_cx_active: ")) return;
  auto number = whole_number<std::uint64_t>(line);
  if (!number) return;
  Connections& of = is_mutual ? traffic[*port].mutual : traffic[*port].plaintext;
  (is_total ? of.total : of.open) += *number;
  if (is_tcp && *number > 0) of.any_tcp = true;
}

// In floating point, where the sum of what a made-up answer says cannot overflow.
double all_of(const Traffic& traffic) {
  return static_cast<double>(traffic.mutual.total) + static_cast<double>(traffic.plaintext.total);
}

}  // namespace

EnvoyCounts parse_counts(std::string_view stats) {
  EnvoyCounts counts;
  while (!stats.empty()) {
    std::string_view line = stats.substr(0, stats.find('\n'));
    stats.remove_prefix(std::min(stats.size(), line.size() + 1));
    if (take(line, "server.uptime: ")) {
      // What no Envoy can have counted for would overflow a Duration.
      if (auto uptime = whole_number<std::uint32_t>(line)) {
        counts.uptime = std::chrono::seconds(*uptime);
      }
    } else {
      count(line, counts.ports);
    }
  }
  return counts;
}

std::string share(const Connections& part, const Traffic& of) {
  std::string text = std::to_string(part.total);
  if (all_of(of) == 0) return text;
  double percent = static_cast<double>(part.total) * 100 / all_of(of);
  // One of a thousand is not nothing, nor are all but one of them all.
  if (percent > 0 && percent < 1) return text + " (<1%)";
  if (percent > 99 && percent < 100) return text + " (>99%)";
  return text + " (" + std::to_string(std::lround(percent)) + "%)";
}

std::string advice(MtlsMode mode, const Traffic& traffic,
                   std::optional<std::chrono::seconds> uptime, const std::string& who) {
  if (mode == MtlsMode::kStrict) return "STRICT already";
  if (mode == MtlsMode::kDisable) return "plaintext, as the policy says";
  std::string in = uptime ? " in " + to_text(*uptime) : "";
  if (traffic.plaintext.total > 0 || !who.empty()) {
    const Connections& plaintext = traffic.plaintext;
    return "not safe: plaintext from " + (who.empty() ? "an unknown source" : who) +
           (plaintext.any_tcp ? "" : ", " + std::to_string(plaintext.open) + " open now");
  }
  if (traffic.mutual.total == 0) return "nothing seen yet" + in + ", cannot tell";
  std::string all = std::to_string(traffic.mutual.total);
  return "safe to go STRICT: " + all + " of " + all + " connections" + in + " by mutual TLS";
}

}  // namespace nodepilot::mesh
