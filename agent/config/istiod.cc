#include "agent/config/istiod.h"

#include <algorithm>
#include <array>
#include <set>

#include "agent/base/log.h"
#include "agent/config/entry.h"
#include "agent/config/text.h"
#include "rotation/ca/istiod/istiod_answer.h"
#include "rotation/https/url.h"

namespace nodepilot {
namespace {

using AskAs = IstiodOptions::AskAs;

constexpr std::chrono::seconds kDefaultTtl = std::chrono::hours(24);
constexpr Duration kShortestTimeout = std::chrono::seconds(1);
constexpr Duration kLongestTimeout = std::chrono::minutes(2);  // istio-csr waits for an issuer
constexpr std::size_t kMaxAddresses = 16;
constexpr std::size_t kMaxHeaders = 32;
constexpr std::size_t kMaxHeaderNameBytes = 64;
constexpr std::size_t kMaxHeaderBytes = 1024;

// Set by gRPC or by us.
constexpr std::array<std::string_view, 10> kReservedHeaders = {
    "authorization", "clusterid", "connection", "content-type",      "content-length",
    "host",          "te",        "user-agent", "transfer-encoding", "upgrade"};

tl::unexpected<Error> refuse(const std::string& rule, std::string_view text) {
  return fail(Code::kInvalidArgument, rule + ", got " + quote(text.substr(0, 80)));
}

expected<std::string> parse_address(std::string_view text) {
  // An https URL knows how hosts and ports are written.
  auto url = Url::parse("https://" + std::string(text));
  bool is_whole = url && url->target() == "/" && !text.ends_with('/') &&
                  text.ends_with(':' + std::to_string(url->port()));
  if (is_whole) return std::string(text);
  return refuse("must be a host and a port, such as istiod.istio-system.svc:15012", text);
}

expected<std::optional<std::filesystem::path>> parse_root_file(std::string_view text) {
  if (text == "system") return std::nullopt;
  auto path = parse_path(text);
  if (path) return *std::move(path);
  return fail(Code::kInvalidArgument, path.error().message + "; or `system`");
}

expected<AskAs> parse_ask_as(std::string_view text) {
  if (text == "self") return AskAs::kSelf;
  if (text == "node_agent") return AskAs::kNodeAgent;
  if (text == "workload") return AskAs::kWorkload;
  return refuse("must be self, node_agent or workload", text);
}

// gRPC ends the process over a header that HTTP/2 does not allow.
expected<std::string> parse_header_value(std::string_view text) {
  bool is_plain =
      std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c <= '~'; });
  bool is_trimmed = !text.empty() && text.front() != ' ' && text.back() != ' ';
  if (is_plain && is_trimmed && text.size() <= kMaxHeaderBytes) return std::string(text);
  return refuse("must be 1 to 1024 printable ASCII characters without spaces around them", text);
}

expected<std::string> parse_header_name(std::string_view text) {
  bool is_token = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
  });
  if (text.empty() || text.size() > kMaxHeaderNameBytes || !is_token) {
    return refuse("the name of a header must be 1 to 64 of a-z 0-9 - _ .", text);
  }
  bool is_reserved = text.starts_with("grpc-") || text.ends_with("-bin") ||
                     std::count(kReservedHeaders.begin(), kReservedHeaders.end(), text) != 0;
  if (!is_reserved) return std::string(text);
  return refuse("this header cannot be set", text);
}

std::vector<std::string> decode_addresses(const YamlValue& list) {
  std::vector<std::string> addresses;
  auto items = list.items();
  for (const YamlValue& item : items) {
    std::string address;
    item.read(address, parse_address);
    if (address.empty()) continue;
    if (std::count(addresses.begin(), addresses.end(), address) != 0) {
      item.refuse(quote(address) + " is listed twice");
    }
    addresses.push_back(std::move(address));
  }
  if (list.node().kind == YamlNode::Kind::kList && items.empty()) {
    list.refuse("must hold at least one address");
  }
  if (addresses.size() > kMaxAddresses) {
    list.refuse("must hold at most " + std::to_string(kMaxAddresses) + " addresses, got " +
                std::to_string(addresses.size()));
  }
  return addresses;
}

std::vector<std::pair<std::string, std::string>> decode_headers(const YamlValue& value) {
  std::vector<std::pair<std::string, std::string>> headers;
  YamlMapping mapping(value);
  for (const auto& [key, text] : value.node().members) {
    if (key.kind != YamlNode::Kind::kScalar) continue;
    auto name = parse_header_name(key.text);
    if (!name) {
      YamlValue(key, value.name(), value.mistakes()).refuse(name.error().message);
      mapping.find(key.text);
      continue;
    }
    std::string header;
    mapping.read(*name, header, parse_header_value);
    headers.emplace_back(*std::move(name), std::move(header));
  }
  if (headers.size() > kMaxHeaders) {
    value.refuse("must hold at most " + std::to_string(kMaxHeaders) + " headers, got " +
                 std::to_string(headers.size()));
  }
  return headers;
}

void decode_client_certificate(YamlMapping& section, IstiodOptions& options) {
  auto certificate = section.find("certificate_file");
  auto key = section.find("key_file");
  if (certificate) certificate->read(options.certificate_file, parse_path);
  if (key) key->read(options.key_file, parse_path);
  if (certificate && !key) certificate->refuse("needs key_file beside it");
  if (key && !certificate) key->refuse("needs certificate_file beside it");
}

}  // namespace

IstiodOptions decode_istiod(YamlMapping section, std::chrono::seconds& ttl) {
  IstiodOptions options;
  ttl = kDefaultTtl;
  if (auto list = section.require("addresses")) options.addresses = decode_addresses(*list);
  section.read("token_file", options.token_file, parse_path);
  section.read("root_file", options.root_file, parse_root_file);
  section.read("trust_bundle_file", options.trust_bundle_file, parse_path);
  if (!options.root_file && !options.trust_bundle_file) {
    section.refuse("trust_bundle_file",
                   "is missing: with `root_file: system` it must hold the first roots of "
                   "certificates that the CA signs");
  }
  section.read("server_name", options.server_name, parse_dns_name);
  section.read("cluster_id", options.cluster_id, parse_header_value);
  if (auto headers = section.find("headers")) options.headers = decode_headers(*headers);
  decode_client_certificate(section, options);
  section.read("cert_signer", options.cert_signer, parse_header_value);
  section.read("ask_as", options.ask_as, parse_ask_as);
  section.read("timeout", options.timeout, [](std::string_view text) {
    return parse_duration(text, kShortestTimeout, kLongestTimeout);
  });
  section.read("ttl", ttl, parse_ttl);
  return options;
}

std::vector<std::string> istiod_objections(const IstiodOptions& options,
                                           const std::vector<Entry>& entries) {
  std::vector<std::string> all;
  std::set<std::string> ids;
  for (const Entry& entry : entries) {
    ids.insert(entry.name());
    if (!entry.dns_names.empty()) {
      all.push_back(entry.id +
                    ": has dns_names, but the CA of ca.istiod signs none; leave them out");
    }
    auto checked =
        check_kubernetes_id(entry.id_template ? entry.id_template->sample() : entry.spiffe_id);
    if (options.ask_as != AskAs::kSelf && !checked) {
      all.push_back(entry.id + ": " + checked.error().message);
    }
  }
  bool has_templates = std::any_of(entries.begin(), entries.end(), [](const Entry& entry) {
    return entry.id_template.has_value();
  });
  if (options.ask_as == AskAs::kSelf && (ids.size() > 1 || has_templates)) {
    std::string others = ids.size() > 1 ? " and " + *std::next(ids.begin()) : "";
    all.push_back("with `ask_as: self` the CA signs one identity, the agent's own, but there are " +
                  *ids.begin() + others + "; list one, or ask as node_agent");
  }
  return all;
}

}  // namespace nodepilot
