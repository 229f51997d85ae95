#include "agent/config/mesh.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <set>
#include <tuple>

#include "agent/base/log.h"
#include "agent/config/entry.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

using mesh::Protocol;
using mesh::SocketAddress;

constexpr std::size_t kMaxWorkloads = 500;
constexpr std::size_t kMaxPorts = 100;
constexpr std::size_t kMaxServices = 1000;
constexpr std::size_t kMaxItems = 1000;  // endpoints, accounts, aliases, labels
constexpr std::size_t kMaxLabelBytes = 63;
constexpr std::size_t kMaxNameBytes = 253;
constexpr std::size_t kMaxKeyBytes = 317;  // prefix, "/", name

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

std::string shown(std::string_view text) { return quote(text.substr(0, 200)); }

bool is_dns_label(std::string_view text) {
  auto is_word = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kMaxLabelBytes && is_word(text.front()) &&
         is_word(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_word(c) || c == '-'; });
}

expected<std::uint16_t> parse_port(std::string_view text) {
  return static_cast<std::uint16_t>(TRY(parse_count(text, 1, 65535)));
}

expected<std::string> parse_ip(std::string_view text) {
  std::string ip(text);
  std::array<unsigned char, 16> bytes{};
  bool is_ip = ::inet_pton(AF_INET, ip.c_str(), bytes.data()) == 1 ||
               ::inet_pton(AF_INET6, ip.c_str(), bytes.data()) == 1;
  if (is_ip && ip.size() == text.size()) return ip;
  return refuse("must be an IP address, got " + shown(text));
}

// "127.0.0.1:8080", "[::1]:8080".
expected<SocketAddress> parse_socket_address(std::string_view text) {
  auto bad = [&] { return refuse("must be IP:PORT, such as 127.0.0.1:8080, got " + shown(text)); };
  auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return bad();
  std::string_view host = text.substr(0, colon);
  bool has_brackets = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (has_brackets) host = host.substr(1, host.size() - 2);
  auto ip = parse_ip(host);
  auto port = parse_port(text.substr(colon + 1));
  bool is_v6 = host.find(':') != std::string_view::npos;
  if (!ip || !port || is_v6 != has_brackets) return bad();
  return SocketAddress{*std::move(ip), *port};
}

bool is_loopback(const std::string& ip) { return ip.starts_with("127.") || ip == "::1"; }

expected<SocketAddress> parse_loopback(std::string_view text) {
  auto address = TRY(parse_socket_address(text));
  if (is_loopback(address.ip)) return address;
  return refuse("must be a loopback address, such as 127.0.0.1:8080, got " + shown(text));
}

// Whoever reaches Envoy's admin interface can stop it.
expected<std::optional<mesh::AdminAddress>> parse_admin(std::string_view text) {
  if (text.starts_with('/')) return mesh::AdminAddress(TRY(parse_path(text)));
  return mesh::AdminAddress(TRY(parse_loopback(text)));
}

expected<Protocol> parse_protocol(std::string_view text) {
  if (text == "http") return Protocol::kHttp;
  if (text == "http2" || text == "grpc") return Protocol::kHttp2;
  if (text == "tcp") return Protocol::kTcp;
  if (text == "auto") return Protocol::kAuto;
  return refuse("must be http, http2, grpc, tcp or auto, got " + shown(text));
}

expected<Protocol> parse_service_protocol(std::string_view text) {
  auto protocol = TRY(parse_protocol(text));
  if (protocol != Protocol::kAuto) return protocol;
  return refuse("must be http, http2, grpc or tcp: a client knows what it speaks, got \"auto\"");
}

expected<std::string> parse_label_value(std::string_view text) {
  if (text.size() <= kMaxLabelBytes && text.find('*') == std::string_view::npos) {
    return std::string(text);
  }
  return refuse("must be at most 63 bytes without \"*\", got " + shown(text));
}

// The items of the list, at most `most`; `decode` makes each into a T.
template <class T, class Decode>
std::vector<T> decode_list(YamlMapping& section, const char* key, std::size_t most, Decode decode) {
  std::vector<T> out;
  auto list = section.find(key);
  if (!list) return out;
  auto items = list->items();
  if (items.size() > most) {
    list->refuse("must hold at most " + std::to_string(most) + ", got " +
                 std::to_string(items.size()));
    return out;
  }
  for (const YamlValue& item : items) decode(item, out);
  return out;
}

template <class T, class Parse>
std::vector<T> read_list(YamlMapping& section, const char* key, Parse parse) {
  return decode_list<T>(section, key, kMaxItems, [&](const YamlValue& item, std::vector<T>& out) {
    std::optional<T> value;
    item.read(value, parse);
    if (value) out.push_back(*std::move(value));
  });
}

template <class T, class Parse>
void require(YamlMapping& section, const char* key, T& target, Parse parse,
             Quotes quotes = Quotes::kEither) {
  if (auto value = section.require(key)) value->read(target, parse, quotes);
}

mesh::Port decode_port(const YamlValue& value) {
  YamlMapping section(value);
  mesh::Port port;
  require(section, "port", port.port, parse_port, Quotes::kNever);
  section.read("listen", port.listen, parse_ip);
  require(section, "app", port.app, parse_socket_address);
  section.read("protocol", port.protocol, parse_protocol);
  bool meets = port.app.port == port.port &&
               (port.app.ip == port.listen || port.listen == "0.0.0.0" || port.listen == "::");
  if (meets) section.refuse("app", "must not be the address that Envoy listens on");
  return port;
}

mesh::Endpoint decode_endpoint(const YamlValue& value) {
  YamlMapping section(value);
  mesh::Endpoint endpoint;
  require(section, "address", endpoint.address, parse_socket_address);
  endpoint.port = endpoint.address.port;
  section.read("port", endpoint.port, parse_port, Quotes::kNever);
  section.read("proxy", endpoint.has_proxy, parse_switch, Quotes::kNever);
  if (auto labels = section.find("labels")) endpoint.labels = decode_labels(*labels);
  return endpoint;
}

mesh::Service decode_service(const YamlValue& value, const std::string& name_space,
                             const TrustDomain& trust_domain) {
  YamlMapping section(value);
  mesh::Service service;
  service.name_space = name_space;
  auto parse_account = [&](std::string_view text) { return parse_identity_id(text, trust_domain); };
  require(section, "host", service.host, parse_dns_subdomain);
  section.read("namespace", service.name_space, parse_dns_label);
  require(section, "port", service.port, parse_port, Quotes::kNever);
  require(section, "listen", service.listen, parse_loopback);
  section.read("protocol", service.protocol, parse_service_protocol);
  service.service_accounts = read_list<SpiffeId>(section, "service_accounts", parse_account);
  auto add = [](const YamlValue& item, auto& out) { out.push_back(decode_endpoint(item)); };
  service.endpoints = decode_list<mesh::Endpoint>(section, "endpoints", kMaxItems, add);
  if (service.endpoints.empty()) section.refuse("endpoints", "must name at least one");
  bool any_proxy = std::any_of(service.endpoints.begin(), service.endpoints.end(),
                               [](const mesh::Endpoint& endpoint) { return endpoint.has_proxy; });
  if (any_proxy && service.service_accounts.empty()) {
    section.refuse("service_accounts",
                   "must name who may answer for the service: without it everybody could");
  }
  return service;
}

// Two listeners of one Envoy cannot have one address, nor two resources one name.
void check_listeners(const mesh::Workload& workload, const YamlValue& value) {
  std::set<std::tuple<std::string, std::uint16_t>> addresses;
  std::set<std::uint16_t> ports;
  std::set<std::tuple<std::string, std::uint16_t>> services;
  for (const mesh::Port& port : workload.ports) {
    addresses.emplace(port.listen, port.port);
    if (!ports.insert(port.port).second) {
      value.refuse("port " + std::to_string(port.port) + " is given twice");
    }
  }
  for (const mesh::Service& service : workload.services) {
    if (!services.emplace(service.host, service.port).second) {
      value.refuse("service " + service.host + ":" + std::to_string(service.port) +
                   " is given twice");
    }
    const SocketAddress& at = service.listen;
    if (addresses.emplace(at.ip, at.port).second && !addresses.contains({"0.0.0.0", at.port})) {
      continue;
    }
    value.refuse("two listeners have " + at.ip + ":" + std::to_string(at.port));
  }
}

std::optional<mesh::Workload> decode_workload(const YamlValue& value,
                                              const TrustDomain& trust_domain,
                                              const std::vector<Entry>& entries) {
  YamlMapping section(value);
  std::optional<SpiffeId> identity;
  std::string name;
  std::string name_space;
  auto parse_identity = [&](std::string_view text) -> expected<SpiffeId> {
    auto id = TRY(parse_identity_id(text, trust_domain));
    bool is_ours = std::any_of(entries.begin(), entries.end(),
                               [&](const Entry& entry) { return entry.spiffe_id == id; });
    if (is_ours) return id;
    return refuse(quote(id.str()) + " is none of the identities");
  };
  require(section, "name", name, parse_dns_subdomain);
  require(section, "namespace", name_space, parse_dns_label);
  require(section, "identity", identity, parse_identity);
  std::optional<mesh::AdminAddress> admin;
  section.read("admin", admin, parse_admin);
  mesh::Labels labels;
  if (auto given = section.find("labels")) labels = decode_labels(*given);
  auto ports = decode_list<mesh::Port>(
      section, "ports", kMaxPorts,
      [](const YamlValue& item, auto& out) { out.push_back(decode_port(item)); });
  auto services = decode_list<mesh::Service>(
      section, "services", kMaxServices, [&](const YamlValue& item, auto& out) {
        out.push_back(decode_service(item, name_space, trust_domain));
      });
  if (!identity) return std::nullopt;
  mesh::Workload workload{.name = std::move(name),
                          .name_space = std::move(name_space),
                          .labels = std::move(labels),
                          .identity = *std::move(identity),
                          .admin = std::move(admin),
                          .ports = std::move(ports),
                          .services = std::move(services)};
  check_listeners(workload, value);
  return workload;
}

}  // namespace

expected<std::string> parse_dns_label(std::string_view text) {
  if (is_dns_label(text)) return std::string(text);
  return refuse("must be 1 to 63 of a-z, 0-9 and \"-\", not \"-\" first or last, got " +
                shown(text));
}

expected<std::string> parse_dns_subdomain(std::string_view text) {
  bool good = text.size() <= kMaxNameBytes;
  for (std::string_view rest = text; good;) {
    auto dot = rest.find('.');
    good = is_dns_label(rest.substr(0, dot));
    if (dot == std::string_view::npos) break;
    rest.remove_prefix(dot + 1);
  }
  if (good) return std::string(text);
  return refuse("must be a name such as web or web.shop.svc.cluster.local, got " + shown(text));
}

mesh::Labels decode_labels(const YamlValue& value) {
  mesh::Labels labels;
  YamlMapping section(value);
  if (value.node().members.size() > kMaxItems) {
    value.refuse("must hold at most " + std::to_string(kMaxItems) + " labels");
  }
  for (const auto& [key, text] : value.node().members) {
    if (key.kind != YamlNode::Kind::kScalar) continue;
    if (key.text.empty() || key.text.size() > kMaxKeyBytes ||
        key.text.find('*') != std::string::npos) {
      YamlValue(key, value.name(), value.mistakes())
          .refuse("a key must be 1 to 317 bytes without \"*\", got " + shown(key.text));
    }
    section.read(key.text, labels[key.text], parse_label_value);
  }
  return labels;
}

mesh::MeshConfig decode_mesh(const YamlValue& value, const TrustDomain& trust_domain,
                             const std::vector<Entry>& entries) {
  YamlMapping section(value);
  mesh::MeshConfig config;
  require(section, "policy", config.policy, parse_path);
  section.read("root_namespace", config.root_namespace, parse_dns_label);
  config.trust_domain_aliases =
      read_list<TrustDomain>(section, "trust_domain_aliases", TrustDomain::parse);
  std::set<std::string> names;
  auto add = [&](const YamlValue& item, std::vector<mesh::Workload>& out) {
    auto workload = decode_workload(item, trust_domain, entries);
    if (!workload) return;
    if (!names.insert(workload->name).second)
      item.refuse(quote(workload->name) + " is given twice");
    out.push_back(*std::move(workload));
  };
  config.workloads = decode_list<mesh::Workload>(section, "workloads", kMaxWorkloads, add);
  return config;
}

}  // namespace nodepilot
