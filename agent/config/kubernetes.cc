#include "agent/config/kubernetes.h"

#include <cstdlib>

#include "agent/base/log.h"
#include "agent/config/entry.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr const char* kNodeNameVariable = "MY_NODE_NAME";

expected<Url> parse_kubelet(std::string_view text) {
  auto url = TRY(Url::parse(text));
  if (url.target() == "/") return url;
  return fail(Code::kInvalidArgument,
              "must end after the host or port, as in https://127.0.0.1:10250, got " +
                  quote(text.substr(0, 200)));
}

// A DNS name or an IP address.
expected<std::string> parse_server_name(std::string_view text) {
  std::string name(text);
  return is_ip_address(name) ? expected<std::string>(name) : parse_dns_name(text);
}

expected<std::string> parse_variable(std::string_view text) {
  auto is_name = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  };
  bool is_good = !text.empty() && text.size() <= 256 && !(text[0] >= '0' && text[0] <= '9');
  for (char c : text) is_good = is_good && is_name(c);
  if (is_good) return std::string(text);
  return fail(Code::kInvalidArgument,
              "must be the name of an environment variable, got " + quote(text.substr(0, 80)));
}

// "10.0.0.7" or "fd00::7", as the pod's downward API gives the address of its node.
expected<Url> kubelet_at(const std::string& host) {
  bool is_v6 = host.find(':') != std::string::npos;
  return parse_kubelet("https://" + (is_v6 ? "[" + host + "]" : host) + ":10250");
}

// A container that has not the node's network does not find the kubelet at a loopback address.
void decode_kubelet(YamlMapping& section, Url& kubelet) {
  auto address = section.find("kubelet");
  auto variable = section.find("kubelet_host_env");
  if (address) address->read(kubelet, parse_kubelet);
  if (!variable) return;
  if (address) return variable->refuse("must not be given beside kubelet");
  std::string name;
  variable->read(name, parse_variable);
  if (name.empty()) return;
  const char* host = ::getenv(name.c_str());
  if (host == nullptr || *host == '\0') return variable->refuse("the environment has no " + name);
  auto url = kubelet_at(host);
  if (!url) return variable->refuse("the environment's " + name + ": " + url.error().message);
  kubelet = *std::move(url);
}

void decode_node_name(YamlMapping& section, std::string& node_name) {
  section.read("node_name", node_name, parse_dns_name);
  auto given = section.find("node_name_env");
  if (given && !node_name.empty()) {
    return given->refuse("must not be given beside node_name");
  }
  std::string variable = kNodeNameVariable;
  if (given) given->read(variable, parse_variable);
  const char* value = node_name.empty() ? ::getenv(variable.c_str()) : nullptr;
  if (value == nullptr || *value == '\0') {
    if (given) given->refuse("the environment has no " + variable);
    return;
  }
  auto name = parse_dns_name(value);
  if (name) {
    node_name = *std::move(name);
  } else {
    section.refuse("node_name_env", "the environment's " + variable + " " + name.error().message);
  }
}

void decode_server(YamlMapping& section, KubernetesOptions& options) {
  section.read("server_name", options.server_name, parse_server_name);
  section.read("skip_verify", options.skip_verify, parse_switch, Quotes::kNever);
  auto ca_file = section.find("ca_file");
  if (ca_file) ca_file->read(options.ca_file, parse_path);
  if (!options.skip_verify) return;
  const char* why = "must not be given beside skip_verify, which trusts any server";
  if (ca_file) ca_file->refuse(why);
  if (options.server_name) section.refuse("server_name", why);
}

void decode_client(YamlMapping& section, KubernetesOptions& options) {
  auto token_file = section.find("token_file");
  if (token_file) token_file->read(options.token_file, parse_path);
  auto files = section.find("client_certificate");
  if (!files) return;
  if (token_file) token_file->refuse("must not be given beside client_certificate");
  YamlMapping pair(*files);
  KubeletCertificate certificate;
  if (auto chain = pair.require("chain")) chain->read(certificate.chain, parse_path);
  if (auto key = pair.require("key")) key->read(certificate.key, parse_path);
  options.client_certificate = std::move(certificate);
}

}  // namespace

std::string KubernetesOptions::expected_name() const {
  if (server_name) return *server_name;
  const std::string& host = kubelet.host();
  bool is_loopback = host == "::1" || host == "localhost" ||
                     (kubelet.host_is_address() && host.starts_with("127."));
  return is_loopback && !node_name.empty() ? node_name : host;
}

KubernetesOptions decode_kubernetes(const YamlValue& value) {
  using namespace std::chrono_literals;
  auto parse_timeout = [](std::string_view text) { return parse_duration(text, 100ms, 30s); };
  auto parse_wait = [](std::string_view text) { return parse_duration(text, 0s, 30s); };
  auto parse_reuse = [](std::string_view text) { return parse_duration(text, 0s, 1min); };
  YamlMapping section(value);
  KubernetesOptions options;
  decode_kubelet(section, options.kubelet);
  decode_node_name(section, options.node_name);
  decode_server(section, options);
  decode_client(section, options);
  section.read("timeout", options.timeout, parse_timeout);
  section.read("wait", options.finder.wait, parse_wait);
  section.read("reuse", options.finder.reuse, parse_reuse);
  return options;
}

}  // namespace nodepilot
