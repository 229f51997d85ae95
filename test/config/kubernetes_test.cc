#include "agent/config/kubernetes.h"

#include <doctest/doctest.h>

#include <cstdlib>

#include "agent/config/config.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

tl::expected<Config, ConfigErrors> parse(const std::string& section) {
  return parse_config(
      "trust_domain: example.org\n"
      "attestors: { kubernetes: {" +
          section +
          "} }\n"
          "identities: [ { id: /web, match: [ \"k8s:ns:shop\" ] } ]\n",
      "a.yaml");
}

KubernetesOptions options(const std::string& section) {
  auto config = parse(section);
  REQUIRE_MESSAGE(config, config.error().front().str());
  return *config->attestors.kubernetes;
}

std::string refusal(const std::string& section) {
  auto config = parse(section);
  return config ? "accepted" : config.error().front().message;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("an empty section asks the node's own kubelet as the pod's service account") {
  KubernetesOptions made = options("");

  CHECK(made.kubelet.str() == "https://127.0.0.1:10250");
  CHECK(made.ca_file == "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt");
  CHECK(made.token_file == "/var/run/secrets/kubernetes.io/serviceaccount/token");
  CHECK_FALSE(made.skip_verify);
  CHECK(made.timeout == 10s);
  CHECK(made.finder.wait == 30s);
  CHECK(made.finder.reuse == 5s);
}

TEST_CASE("without the section no rule may ask for k8s selectors") {
  auto config = parse_config(
      "trust_domain: example.org\n"
      "identities: [ { id: /web, match: [ \"k8s:ns:shop\" ] } ]\n",
      "a.yaml");

  REQUIRE_FALSE(config);
  CHECK(has(config.error().front().message, "attestors.kubernetes"));
}

TEST_CASE("the kubelet's address may be that of the node, which the environment tells") {
  ::setenv("TEST_NODE_IP", "10.0.0.7", 1);
  CHECK(options("kubelet_host_env: TEST_NODE_IP").kubelet.str() == "https://10.0.0.7:10250");
  CHECK(options("kubelet_host_env: TEST_NODE_IP").expected_name() == "10.0.0.7");
  CHECK(has(refusal("kubelet_host_env: TEST_NODE_IP, kubelet: \"https://a:10250\""),
            "must not be given beside kubelet"));
  ::setenv("TEST_NODE_IP", "fd00::7", 1);
  CHECK(options("kubelet_host_env: TEST_NODE_IP").kubelet.str() == "https://[fd00::7]:10250");
  ::setenv("TEST_NODE_IP", "a/b", 1);
  CHECK(has(refusal("kubelet_host_env: TEST_NODE_IP"), "the environment's TEST_NODE_IP"));
  ::unsetenv("TEST_NODE_IP");
  CHECK(has(refusal("kubelet_host_env: TEST_NODE_IP"), "the environment has no TEST_NODE_IP"));
}

TEST_CASE("the node's name is given, or found in the environment") {
  CHECK(options("node_name: n1").node_name == "n1");
  ::setenv("TEST_NODE_NAME", "n2", 1);
  CHECK(options("node_name_env: TEST_NODE_NAME").node_name == "n2");
  ::unsetenv("TEST_NODE_NAME");
  CHECK(has(refusal("node_name_env: TEST_NODE_NAME"), "the environment has no TEST_NODE_NAME"));
  CHECK(has(refusal("node_name: n1, node_name_env: X"), "must not be given beside node_name"));
  CHECK(has(refusal("node_name_env: \"A=B\""), "must be the name of an environment variable"));
}

TEST_CASE("a certificate is expected for the node where the URL has a loopback address") {
  CHECK(options("node_name: n1").expected_name() == "n1");
  CHECK(options("").expected_name() == "127.0.0.1");
  CHECK(options("node_name: n1, kubelet: \"https://10.0.0.5:10250\"").expected_name() ==
        "10.0.0.5");
  CHECK(options("node_name: n1, server_name: n2").expected_name() == "n2");
}

TEST_CASE("either a server is proven or any will do, and there is one way to prove us") {
  CHECK(options("skip_verify: true").skip_verify);
  CHECK(has(refusal("skip_verify: true, ca_file: /a"), "must not be given beside skip_verify"));
  CHECK(has(refusal("skip_verify: true, server_name: a"), "must not be given beside skip_verify"));
  CHECK(options("client_certificate: { chain: /c, key: /k }").client_certificate->key == "/k");
  CHECK(has(refusal("token_file: /t, client_certificate: { chain: /c, key: /k }"),
            "must not be given beside client_certificate"));
  CHECK(has(refusal("client_certificate: { chain: /c }"), "key"));
}

TEST_CASE("times and the address are bounded") {
  CHECK(has(refusal("timeout: 31s"), "30s"));
  CHECK(has(refusal("wait: 31s"), "30s"));
  CHECK(has(refusal("reuse: 61s"), "1m"));
  CHECK(has(refusal("kubelet: \"http://127.0.0.1:10255\""), "must start with https://"));
  CHECK(has(refusal("kubelet: \"https://127.0.0.1:10250/pods\""), "must end after the host"));
  CHECK(has(refusal("kublet: x"), "unknown key"));
}

}  // namespace
}  // namespace nodepilot
