#include "agent/base/spiffe_id.h"

#include <algorithm>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::string_view kScheme = "spiffe://";

bool is_lower_or_digit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }
bool is_mark(char c) { return c == '.' || c == '-' || c == '_'; }
bool is_trust_domain_char(char c) { return is_lower_or_digit(c) || is_mark(c); }
bool is_segment_char(char c) { return is_trust_domain_char(c) || (c >= 'A' && c <= 'Z'); }

// Only the head of a refused input is quoted: it may be megabytes of an attacker's bytes.
tl::unexpected<Error> refuse(std::string_view input, std::string_view rule) {
  return fail(Code::kInvalidArgument,
              "SPIFFE ID " + quote(input.substr(0, 80)) + ": " + std::string(rule));
}

expected<void> check_trust_domain(std::string_view name, std::string_view input) {
  if (name.empty()) return refuse(input, "the trust domain is empty");
  if (name.size() > kMaxTrustDomainBytes)
    return refuse(input, "the trust domain is over 255 bytes");
  if (!std::all_of(name.begin(), name.end(), is_trust_domain_char)) {
    return refuse(input, "a trust domain may only hold a-z 0-9 . - _");
  }
  return {};
}

expected<void> check_path(std::string_view path, std::string_view input) {
  while (!path.empty()) {
    path.remove_prefix(1);  // the slash
    std::string_view segment = path.substr(0, path.find('/'));
    if (segment.empty()) return refuse(input, "a path segment is empty (no '//', no trailing '/')");
    if (segment == "." || segment == "..")
      return refuse(input, "'.' and '..' are not path segments");
    if (!std::all_of(segment.begin(), segment.end(), is_segment_char)) {
      return refuse(input, "a path segment may only hold a-z A-Z 0-9 . - _");
    }
    path.remove_prefix(segment.size());
  }
  return {};
}

}  // namespace

expected<TrustDomain> TrustDomain::parse(std::string_view name) {
  TRY(check_trust_domain(name, name));
  return TrustDomain(std::string(name));
}

expected<SpiffeId> SpiffeId::parse(std::string_view uri) {
  if (uri.size() > kMaxSpiffeIdBytes) return refuse(uri, "longer than 2048 bytes");
  if (!uri.starts_with(kScheme)) return refuse(uri, "must start with spiffe://");
  std::string_view rest = uri.substr(kScheme.size());
  std::string_view name = rest.substr(0, rest.find('/'));
  TRY(check_trust_domain(name, uri));
  TRY(check_path(rest.substr(name.size()), uri));
  return SpiffeId(std::string(uri), kScheme.size() + name.size());
}

expected<SpiffeId> SpiffeId::make(const TrustDomain& trust_domain, std::string_view path) {
  if (!path.empty() && path.front() != '/') return refuse(path, "a path starts with '/'");
  return parse(trust_domain.id() + std::string(path));
}

TrustDomain SpiffeId::trust_domain() const {
  return *TrustDomain::parse(
      std::string_view(uri_).substr(kScheme.size(), path_start_ - kScheme.size()));
}

}  // namespace nodepilot
