#include "rotation/https/url.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::string_view kScheme = "https://";
constexpr std::uint16_t kDefaultPort = 443;
constexpr std::size_t kMaxHostBytes = 253;
constexpr std::size_t kMaxLabelBytes = 63;

tl::unexpected<Error> refuse(std::string_view rule, std::string_view text) {
  return fail(Code::kInvalidArgument,
              "must be an https URL: " + std::string(rule) + ", got " + quote(text.substr(0, 200)));
}

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_alphanumeric(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// What RFC 3986 allows in a path or query. A space or line end would forge the request's head.
bool is_target_char(char c) {
  return is_alphanumeric(c) ||
         std::string_view("/?-._~%!$&'()*+,;=:@").find(c) != std::string_view::npos;
}

bool is_address(int family, const std::string& text) {
  std::array<unsigned char, 16> address{};
  return ::inet_pton(family, text.c_str(), address.data()) == 1;
}

bool is_label(std::string_view label) {
  auto allowed = [](char c) { return is_alphanumeric(c) || c == '-' || c == '_'; };
  return !label.empty() && label.size() <= kMaxLabelBytes && label.front() != '-' &&
         label.back() != '-' && std::all_of(label.begin(), label.end(), allowed);
}

bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxHostBytes) return false;
  std::string_view label;
  while (true) {
    label = name.substr(0, name.find('.'));
    if (!is_label(label)) return false;
    if (label.size() == name.size()) break;
    name.remove_prefix(label.size() + 1);
  }
  // "999.1.1.1" and "1": resolvers take them for addresses, each in its own way.
  return !std::all_of(label.begin(), label.end(), is_digit);
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return lower;
}

expected<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  bool whole = !text.empty() && error == std::errc() && end == text.data() + text.size();
  if (whole && port != 0 && text.front() != '0') return port;
  return fail(Code::kInvalidArgument, "the port must be between 1 and 65535");
}

}  // namespace

bool is_ip_address(const std::string& host) {
  return is_address(AF_INET, host) || is_address(AF_INET6, host);
}

expected<Url> Url::parse(std::string_view text) {
  if (text.size() > kMaxUrlBytes) return refuse("at most 2048 bytes", text);
  if (!text.starts_with(kScheme)) return refuse("it must start with https://", text);
  std::string_view rest = text.substr(kScheme.size());
  std::string_view authority = rest.substr(0, rest.find_first_of("/?#"));
  std::string_view target = rest.substr(authority.size());
  if (authority.find('@') != std::string_view::npos) return refuse("without user info", text);
  if (target.find('#') != std::string_view::npos) return refuse("without a fragment", text);
  if (!std::all_of(target.begin(), target.end(), is_target_char)) {
    return refuse("its path may hold no spaces and no characters that need escaping", text);
  }
  Url url;
  if (auto parsed = url.parse_authority(authority); !parsed) {
    return refuse(parsed.error().message, text);
  }
  url.text_ = text;
  url.target_ = target;
  if (!target.starts_with('/')) url.target_.insert(0, "/");
  return url;
}

expected<void> Url::parse_authority(std::string_view authority) {
  std::string_view port;
  bool has_port = false;
  if (authority.starts_with('[')) {
    auto end = authority.find(']');
    if (end == std::string_view::npos) return fail(Code::kInvalidArgument, "\"]\" is missing");
    host_ = lower_case(authority.substr(1, end - 1));
    is_address_ = is_address(AF_INET6, host_);
    if (!is_address_) return fail(Code::kInvalidArgument, "no IPv6 address in the brackets");
    std::string_view after = authority.substr(end + 1);
    has_port = after.starts_with(':');
    if (!has_port && !after.empty()) return fail(Code::kInvalidArgument, "text after \"]\"");
    if (has_port) port = after.substr(1);
  } else {
    auto colon = authority.find(':');
    has_port = colon != std::string_view::npos;
    if (has_port) port = authority.substr(colon + 1);
    host_ = lower_case(authority.substr(0, colon));
    is_address_ = is_address(AF_INET, host_);
    if (!is_address_ && !is_dns_name(host_)) {
      return fail(Code::kInvalidArgument, "the host must be a DNS name or an IP address");
    }
  }
  if (has_port) port_ = TRY(parse_port(port));
  return {};
}

expected<Url> Url::resolve(std::string_view location) const {
  bool is_path = location.starts_with('/') && !location.starts_with("//");
  if (!is_path) return parse(location);
  return parse(std::string(kScheme) + authority() + std::string(location));
}

std::string Url::authority() const {
  bool is_ipv6 = host_.find(':') != std::string::npos;
  std::string text = is_ipv6 ? "[" + host_ + "]" : host_;
  if (port_ != kDefaultPort) text += ":" + std::to_string(port_);
  return text;
}

}  // namespace nodepilot
