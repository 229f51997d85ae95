#include "agent/config/mesh_manifests.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "agent/config/mesh.h"
#include "agent/config/text.h"
#include "agent/config/yaml_decoder.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

using mesh::ClientTls;
using mesh::ClientTlsMode;
using mesh::DestinationRule;
using mesh::MtlsMode;
using mesh::PeerAuthentication;

constexpr std::size_t kMaxDocuments = 1000;
constexpr std::size_t kMaxFiles = 256;
constexpr std::size_t kMaxBytes = std::size_t{4} * 1024 * 1024;
constexpr std::size_t kMaxNames = 100;
constexpr std::size_t kMaxTextBytes = 2048;
constexpr std::size_t kMaxSniBytes = 253;

// What the API server adds, and means nothing here.
constexpr std::array kOtherMetadata = {"labels",     "annotations",     "uid",
                                       "generation", "resourceVersion", "managedFields",
                                       "selfLink",   "ownerReferences", "finalizers"};

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

std::string shown(std::string_view text) { return quote(text.substr(0, 200)); }

expected<MtlsMode> parse_mode_word(std::string_view text) {
  if (auto mode = mesh::parse_mtls_mode(text)) return *mode;
  return refuse("must be UNSET, DISABLE, PERMISSIVE or STRICT, got " + shown(text));
}

expected<ClientTlsMode> parse_client_mode(std::string_view text) {
  if (text == "DISABLE") return ClientTlsMode::kDisable;
  if (text == "SIMPLE") return ClientTlsMode::kSimple;
  if (text == "MUTUAL") return ClientTlsMode::kMutual;
  if (text == "ISTIO_MUTUAL") return ClientTlsMode::kIstioMutual;
  return refuse("must be DISABLE, SIMPLE, MUTUAL or ISTIO_MUTUAL, got " + shown(text));
}

// RFC 3339 in UTC, as Kubernetes writes it: "2026-01-31T08:00:00Z".
expected<std::optional<Time>> parse_timestamp(std::string_view text) {
  auto bad = [&] {
    return refuse("must be a time such as 2026-01-31T08:00:00Z, got " + shown(text));
  };
  constexpr std::string_view kShape = "0000-00-00T00:00:00Z";
  if (text.size() != kShape.size()) return bad();
  for (std::size_t i = 0; i < kShape.size(); ++i) {
    bool is_digit = text[i] >= '0' && text[i] <= '9';
    if (kShape[i] == '0' ? !is_digit : text[i] != kShape[i]) return bad();
  }
  auto number = [&](std::size_t from, std::size_t length) {
    return std::stoi(std::string(text.substr(from, length)));
  };
  std::chrono::year_month_day day{std::chrono::year(number(0, 4)),
                                  std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                  std::chrono::day(static_cast<unsigned>(number(8, 2)))};
  int hour = number(11, 2);
  int minute = number(14, 2);
  int second = number(17, 2);
  if (!day.ok() || hour > 23 || minute > 59 || second > 60) return bad();
  return Time(std::chrono::sys_days(day) + std::chrono::hours(hour) + std::chrono::minutes(minute) +
              std::chrono::seconds(second));
}

expected<std::string> parse_host(std::string_view text) {
  if (text.starts_with("*.")) return "*." + TRY(parse_dns_subdomain(text.substr(2)));
  return parse_dns_subdomain(text);
}

expected<std::string> parse_sni(std::string_view text) {
  auto fits = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '.' || c == '-' || c == '_';
  };
  if (!text.empty() && text.size() <= kMaxSniBytes && std::all_of(text.begin(), text.end(), fits)) {
    return std::string(text);
  }
  return refuse("must be a server name, got " + shown(text));
}

// An empty name would be a rule that nobody means.
expected<std::string> parse_subject(std::string_view text) {
  auto fits = [](unsigned char c) { return c > 0x20 && c < 0x7f; };
  if (!text.empty() && text.size() <= kMaxTextBytes &&
      std::all_of(text.begin(), text.end(), fits)) {
    return std::string(text);
  }
  return refuse("must be a DNS name or a URI, got " + shown(text));
}

// "~" parts the names of a secret of two files.
expected<std::string> parse_tls_file(std::string_view text) {
  auto path = TRY(parse_path(text));
  if (text.find('~') == std::string_view::npos) return path.string();
  return refuse("must not hold \"~\", got " + shown(text));
}

struct Head {
  std::string name;
  std::string name_space;
  std::optional<Time> created;
};

Head decode_metadata(const YamlValue& value) {
  YamlMapping section(value);
  Head head;
  if (auto name = section.require("name")) name->read(head.name, parse_dns_subdomain);
  if (auto space = section.require("namespace")) space->read(head.name_space, parse_dns_label);
  auto created = section.find("creationTimestamp");
  bool is_given = created && created->node().kind != YamlNode::Kind::kNull;
  if (is_given) created->read(head.created, parse_timestamp);
  for (const char* key : kOtherMetadata) section.find(key);
  return head;
}

MtlsMode decode_mtls(const YamlValue& value) {
  YamlMapping section(value);
  MtlsMode mode = MtlsMode::kUnset;
  section.read("mode", mode, parse_mode_word);
  return mode;
}

mesh::PortModes decode_ports(const YamlValue& value) {
  YamlMapping section(value);
  mesh::PortModes ports;
  for (const auto& [key, text] : value.node().members) {
    if (key.kind != YamlNode::Kind::kScalar) continue;
    YamlValue named(key, value.name(), value.mistakes());
    auto port = parse_count(key.text, 1, 65535);
    // "080" and "80" would be one port.
    bool is_plain = port && std::to_string(*port) == key.text;
    if (!is_plain)
      named.refuse("a port must be a number between 1 and 65535, got " + shown(key.text));
    auto mode = section.find(key.text);
    if (is_plain && mode) ports[static_cast<std::uint16_t>(*port)] = decode_mtls(*mode);
  }
  bool is_mapping = value.node().kind == YamlNode::Kind::kMapping;
  if (is_mapping && value.node().members.empty()) {
    value.refuse("must not be empty: leave it out, or name a port");
  }
  return ports;
}

void decode_peer_authentication(const YamlValue& spec, PeerAuthentication& out) {
  YamlMapping section(spec);
  if (auto selector = section.find("selector")) {
    YamlMapping inner(*selector);
    if (auto labels = inner.find("matchLabels")) out.selector = decode_labels(*labels);
  }
  if (auto mtls = section.find("mtls")) out.mode = decode_mtls(*mtls);
  if (auto ports = section.find("portLevelMtls")) {
    out.ports = decode_ports(*ports);
    if (out.selector.empty()) {
      ports->refuse("needs a selector: ports are those of certain workloads");
    }
  }
}

ClientTls decode_client_tls(const YamlValue& value) {
  YamlMapping section(value);
  ClientTls tls;
  if (auto mode = section.require("mode")) mode->read(tls.mode, parse_client_mode);
  section.read("sni", tls.sni, parse_sni);
  if (auto list = section.find("subjectAltNames")) {
    for (const YamlValue& item : list->items()) {
      item.read(tls.subject_alt_names.emplace_back(), parse_subject);
    }
    if (tls.subject_alt_names.size() > kMaxNames) list->refuse("must hold at most 100 names");
  }
  section.read("clientCertificate", tls.client_certificate, parse_tls_file);
  section.read("privateKey", tls.private_key, parse_tls_file);
  section.read("caCertificates", tls.ca_certificates, parse_tls_file);
  bool is_mutual = tls.mode == ClientTlsMode::kMutual;
  bool has_own = !tls.client_certificate.empty() && !tls.private_key.empty();
  bool has_some = !tls.client_certificate.empty() || !tls.private_key.empty();
  if (is_mutual && !has_own) value.refuse("MUTUAL needs clientCertificate and privateKey");
  if (!is_mutual && has_some) {
    value.refuse("clientCertificate and privateKey are for MUTUAL only");
  }
  bool has_files = tls.mode == ClientTlsMode::kMutual || tls.mode == ClientTlsMode::kSimple;
  if (!has_files && !tls.ca_certificates.empty()) {
    value.refuse("caCertificates is for SIMPLE and MUTUAL only");
  }
  return tls;
}

// What is said of one port says all of it: Istio inherits nothing, and so would an entry without
// tls turn that of all ports off.
void decode_port_settings(const YamlValue& value, std::map<std::uint16_t, ClientTls>& out) {
  YamlMapping section(value);
  std::optional<std::uint16_t> port;
  if (auto named = section.require("port")) {
    YamlMapping inner(*named);
    auto number = inner.require("number");
    auto parse = [](std::string_view text) -> expected<std::optional<std::uint16_t>> {
      return static_cast<std::uint16_t>(TRY(parse_count(text, 1, 65535)));
    };
    if (number) number->read(port, parse, Quotes::kNever);
  }
  auto tls = section.require("tls");
  if (!port || !tls) return;
  bool is_new = out.emplace(*port, decode_client_tls(*tls)).second;
  if (!is_new) value.refuse("port " + std::to_string(*port) + " is given twice");
}

void decode_destination_rule(const YamlValue& spec, DestinationRule& out) {
  YamlMapping section(spec);
  if (auto host = section.require("host")) host->read(out.host, parse_host);
  if (auto policy = section.find("trafficPolicy")) {
    YamlMapping inner(*policy);
    if (auto tls = inner.find("tls")) out.tls = decode_client_tls(*tls);
    if (auto ports = inner.find("portLevelSettings")) {
      auto items = ports->items();
      if (items.size() > kMaxNames) return ports->refuse("must hold at most 100 ports");
      for (const YamlValue& item : items) decode_port_settings(item, out.ports);
    }
  }
  if (section.find("subsets")) {
    section.refuse("subsets",
                   "are not supported: nothing here routes to them, as only a VirtualService does; "
                   "give a DestinationRule for the host itself");
  }
}

// Reads the documents of one file.
class Reader {
 public:
  Reader(std::string file, Mistakes& mistakes, Manifests& out)
      : file_(std::move(file)), mistakes_(mistakes), out_(out) {}

  void read(const YamlNode& document) {
    if (document.kind == YamlNode::Kind::kNull) return;  // nothing between two "---"
    read(YamlValue(document, "", mistakes_), /*in_list=*/false);
  }

 private:
  void read(const YamlValue& value, bool in_list) {
    YamlMapping section(value);
    std::string version;
    std::string kind;
    auto as_text = [](std::string_view text) { return expected<std::string>(text); };
    if (auto given = section.require("apiVersion")) given->read(version, as_text);
    auto given_kind = section.require("kind");
    if (given_kind) given_kind->read(kind, as_text);
    bool is_list = kind == "List" && version == "v1" && !in_list;
    if (is_list) return read_list(section);

    auto metadata = section.require("metadata");
    auto spec = section.find("spec");
    section.find("status");
    if (kind.empty() || version.empty()) return;
    bool is_peers = kind == "PeerAuthentication";
    bool is_rule = kind == "DestinationRule";
    if (!is_peers && !is_rule) {
      return section.refuse("kind",
                            "must be PeerAuthentication or DestinationRule, got " + shown(kind) +
                                suggestion(kind, {"PeerAuthentication", "DestinationRule"}) +
                                ": what is not enforced here must not look as if it were");
    }
    if (!check_version(section, version, is_peers) || !metadata) return;
    Head head = decode_metadata(*metadata);
    check_unique(value, kind, head);
    if (is_peers) {
      PeerAuthentication peers{.name = head.name,
                               .name_space = head.name_space,
                               .created = head.created,
                               .origin = place(value)};
      if (spec) decode_peer_authentication(*spec, peers);
      out_.peers.push_back(std::move(peers));
    } else {
      DestinationRule rule{.name = head.name,
                           .name_space = head.name_space,
                           .created = head.created,
                           .host = "",
                           .tls = std::nullopt,
                           .ports = {},
                           .origin = place(value)};
      if (spec) decode_destination_rule(*spec, rule);
      if (!spec) section.refuse("spec", "is missing: it names the host");
      out_.rules.push_back(std::move(rule));
    }
  }

  // What `kubectl get -o yaml` prints.
  void read_list(YamlMapping& section) {
    section.find("metadata");
    auto items = section.require("items");
    if (!items) return;
    for (const YamlValue& item : items->items()) read(item, /*in_list=*/true);
  }

  static bool check_version(YamlMapping& section, const std::string& version, bool is_peers) {
    std::string group = is_peers ? "security.istio.io" : "networking.istio.io";
    if (version == group + "/v1" || version == group + "/v1beta1") return true;
    section.refuse("apiVersion",
                   "must be " + group + "/v1 or " + group + "/v1beta1, got " + shown(version));
    return false;
  }

  // The API server would hold one of them; here nobody could say which.
  void check_unique(const YamlValue& value, const std::string& kind, const Head& head) {
    auto same = [&](const auto& other) {
      return other.name == head.name && other.name_space == head.name_space;
    };
    auto refuse_if = [&](const auto& others) {
      auto first = std::find_if(others.begin(), others.end(), same);
      if (first == others.end()) return;
      value.refuse(kind + " " + quote(first->full_name()) + " is given twice, first at " +
                   first->origin);
    };
    if (kind == "PeerAuthentication") refuse_if(out_.peers);
    if (kind == "DestinationRule") refuse_if(out_.rules);
  }

  std::string place(const YamlValue& value) const {
    return fs::path(file_).filename().string() + ":" + std::to_string(value.node().place.line);
  }

  const std::string file_;
  Mistakes& mistakes_;
  Manifests& out_;
};

ConfigErrors error_about(const fs::path& path, std::string message) {
  return {{.file = path.string(), .message = std::move(message)}};
}

bool is_manifest(const fs::path& path) {
  std::string end = path.extension().string();
  bool is_hidden = path.filename().string().starts_with('.');
  return !is_hidden && (end == ".yaml" || end == ".yml" || end == ".json");
}

// Sorted, so that errors come in one order.
tl::expected<std::vector<fs::path>, ConfigErrors> files_of(const fs::path& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) return std::vector<fs::path>{path};
  std::vector<fs::path> files;
  fs::directory_iterator entry(path, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    if (is_manifest(entry->path())) files.push_back(entry->path());
    if (files.size() > kMaxFiles) {
      return tl::unexpected(error_about(path, "more than 256 files of policy"));
    }
  }
  if (error) return tl::unexpected(error_about(path, error.message()));
  std::sort(files.begin(), files.end());
  return files;
}

}  // namespace

ConfigErrors parse_manifests(std::string_view text, const std::string& file, Manifests& out) {
  Mistakes mistakes;
  if (auto documents = parse_yaml_documents(text, kMaxDocuments, mistakes)) {
    Reader reader(file, mistakes, out);
    for (const YamlNode& document : *documents) reader.read(document);
  }
  return to_errors(std::move(mistakes), file);
}

tl::expected<mesh::Policy, ConfigErrors> load_policy(const fs::path& path,
                                                     const std::string& root_namespace) {
  auto files = files_of(path);
  if (!files) return tl::unexpected(files.error());
  Manifests manifests;
  ConfigErrors errors;
  std::size_t left = kMaxBytes;
  for (const fs::path& file : *files) {
    // Resolved first: a Kubernetes ConfigMap shows its files as symbolic links.
    auto real = real_path(file);
    auto text = real ? read_file(*real, left) : tl::unexpected(real.error());
    ConfigErrors found = text ? parse_manifests(*text, file.string(), manifests)
                              : error_about(file, text.error().message);
    if (text) left -= text->size();
    errors.insert(errors.end(), found.begin(), found.end());
  }
  if (!errors.empty()) return tl::unexpected(std::move(errors));
  return mesh::Policy{mesh::PolicySet(root_namespace, std::move(manifests.peers)),
                      std::move(manifests.rules)};
}

}  // namespace nodepilot
