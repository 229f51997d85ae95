// An https URL: the only kind that is ever dialled. A value that cannot exist invalid.
// Thread: any (immutable).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "agent/base/result.h"

namespace nodepilot {

inline constexpr std::size_t kMaxUrlBytes = 2048;

// Whether `host` is an IPv4 address or an IPv6 address without brackets.
bool is_ip_address(const std::string& host);

class Url {
 public:
  // "https://HOST[:PORT][/PATH][?QUERY]" (RFC 3986, strictly): no other scheme, no userinfo, no
  // fragment; HOST is a DNS name, an IPv4 address or an IPv6 address in brackets.
  // kInvalidArgument says which rule was broken.
  static expected<Url> parse(std::string_view text);

  // What a Location header that came with this URL's answer points to: a whole URL or "/PATH".
  expected<Url> resolve(std::string_view location) const;

  const std::string& str() const { return text_; }
  const std::string& host() const { return host_; }  // lower case, IPv6 without brackets
  bool host_is_address() const { return is_address_; }
  std::uint16_t port() const { return port_; }
  // What stands in the request line: "/" and what follows, query included.
  const std::string& target() const { return target_; }
  // What the Host header holds: "b.org", "b.org:8443", "[::1]:8443".
  std::string authority() const;

  friend bool operator==(const Url& a, const Url& b) { return a.text_ == b.text_; }

 private:
  Url() = default;
  expected<void> parse_authority(std::string_view authority);

  std::string text_;
  std::string host_;
  bool is_address_ = false;
  std::uint16_t port_ = 443;
  std::string target_;
};

}  // namespace nodepilot
