#include "agent/endpoint_address.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::string_view kHex = "0123456789ABCDEF";
constexpr std::size_t kMaxPathBytes = sizeof(sockaddr_un::sun_path) - 1;

tl::unexpected<Error> refuse(std::string_view text, const char* rule) {
  return fail(Code::kInvalidArgument, "address " + quote(text.substr(0, 200)) + ": " + rule +
                                          "; write unix:///absolute/path or tcp://IP:PORT");
}

bool is_unreserved(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~").find(c) != std::string_view::npos;
}

// A byte that may stand in a path unescaped (RFC 3986: pchar and the slash).
bool is_path_char(char c) {
  return is_unreserved(c) || std::string_view("!$&'()*+,;=:@/").find(c) != std::string_view::npos;
}

std::string percent_encoded(std::string_view path) {
  std::string text;
  for (char c : path) {
    auto byte = static_cast<unsigned char>(c);
    if (is_unreserved(c) || c == '/') {
      text += c;
    } else {
      text += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return text;
}

// Empty if an escape or a byte is no part of a path.
std::optional<std::string> percent_decoded(std::string_view text) {
  std::string path;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      if (!is_path_char(text[i])) return std::nullopt;
      path += text[i];
      continue;
    }
    unsigned byte = 0;
    if (i + 2 >= text.size()) return std::nullopt;
    const char* end = text.data() + i + 3;
    auto [stop, error] = std::from_chars(text.data() + i + 1, end, byte, 16);
    if (error != std::errc() || stop != end || byte == 0) return std::nullopt;
    path += static_cast<char>(byte);
    i += 2;
  }
  return path;
}

expected<std::string> checked_path(std::string path, std::string_view text) {
  if (path.back() == '/') return refuse(text, "the path must name a socket, not a directory");
  if (path.size() > kMaxPathBytes) return refuse(text, "the path is longer than 107 bytes");
  return path;
}

expected<EndpointAddress> parse_unix(std::string_view rest, std::string_view uri) {
  // "unix:///path" has an empty authority, "unix:/path" none.
  if (rest.starts_with("//")) {
    rest.remove_prefix(2);
    if (!rest.starts_with('/')) {
      return refuse(uri, "after unix:// comes a third slash, since no host is allowed");
    }
  }
  if (!rest.starts_with('/')) return refuse(uri, "the path must be absolute");
  if (rest.starts_with("//")) return refuse(uri, "the path starts with too many slashes");
  if (rest.find_first_of("?#") != std::string_view::npos) {
    return refuse(uri, "no query and no fragment is allowed");
  }
  auto path = percent_decoded(rest);
  if (!path) return refuse(uri, "the path holds a byte that must be escaped, or a bad escape");
  return EndpointAddress::of_path(TRY(checked_path(*std::move(path), uri)));
}

bool is_port(std::string_view text) {
  unsigned port = 0;
  const char* end = text.data() + text.size();
  auto [stop, error] = std::from_chars(text.data(), end, port);
  return !text.empty() && error == std::errc() && stop == end && port >= 1 && port <= 65535;
}

bool is_ip(int family, const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> bytes{};
  return ::inet_pton(family, host.c_str(), bytes.data()) == 1;
}

expected<EndpointAddress> parse_tcp(std::string_view rest, std::string_view uri) {
  if (!rest.starts_with("//")) return refuse(uri, "after tcp: comes //");
  rest.remove_prefix(2);
  if (rest.find_first_of("/?#@") != std::string_view::npos) {
    return refuse(uri, "nothing but IP and port is allowed");
  }
  std::size_t colon = rest.rfind(':');
  bool has_port = colon != std::string_view::npos && rest.back() != ']';
  if (!has_port) return refuse(uri, "the port is missing");
  if (!is_port(rest.substr(colon + 1))) return refuse(uri, "the port must be 1 to 65535");
  std::string host(rest.substr(0, colon));
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    if (is_ip(AF_INET6, host.substr(1, host.size() - 2)))
      return EndpointAddress{"", "ipv6:" + std::string(rest)};
  } else if (is_ip(AF_INET, host)) {
    return EndpointAddress{"", "ipv4:" + std::string(rest)};
  }
  return refuse(uri, "the host must be an IP address (IPv6 in brackets)");
}

}  // namespace

expected<EndpointAddress> EndpointAddress::parse(std::string_view uri) {
  if (uri.empty()) return refuse(uri, "is empty");
  std::size_t colon = uri.find(':');
  std::string scheme(uri.substr(0, colon));
  // Its letters may be of either case (RFC 3986 section 3.1).
  std::transform(scheme.begin(), scheme.end(), scheme.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  if (colon != std::string_view::npos) {
    if (scheme == "unix") return parse_unix(uri.substr(colon + 1), uri);
    if (scheme == "tcp") return parse_tcp(uri.substr(colon + 1), uri);
  }
  return refuse(uri, "the scheme must be unix or tcp");
}

expected<EndpointAddress> EndpointAddress::parse_uri_or_path(std::string_view text) {
  if (!text.starts_with('/')) return parse(text);
  if (text.find('\0') != std::string_view::npos) return refuse(text, "the path holds a NUL byte");
  return of_path(TRY(checked_path(std::string(text), text)));
}

std::string EndpointAddress::grpc_target() const {
  return unix_path.empty() ? tcp_target : "unix:" + percent_encoded(unix_path);
}

std::string EndpointAddress::str() const {
  if (!unix_path.empty()) return "unix://" + percent_encoded(unix_path);
  return "tcp://" + tcp_target.substr(std::string_view("ipv4:").size());
}

}  // namespace nodepilot
