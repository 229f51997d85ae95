#include "agent/config/docker.h"

#include <doctest/doctest.h>

#include "agent/config/config.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

tl::expected<Config, ConfigErrors> parse(const std::string& attestors, const std::string& match) {
  return parse_config("trust_domain: example.org\nattestors: {" + attestors +
                          "}\nidentities: [ { id: /web, match: [ \"" + match + "\" ] } ]\n",
                      "a.yaml");
}

DockerAttestor::Options options(const std::string& section) {
  auto config = parse("docker: {" + section + "}", "docker:label:app:web");
  REQUIRE_MESSAGE(config, config.error().front().str());
  return *config->attestors.docker;
}

std::string refusal(const std::string& attestors, const std::string& match) {
  auto config = parse(attestors, match);
  return config ? "accepted" : config.error().front().message;
}

std::string refusal(const std::string& section) {
  return refusal("docker: {" + section + "}", "docker:label:app:web");
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("an empty section asks the engines of root at their usual sockets") {
  auto made = options("");

  CHECK(made.socket == "/run/docker.sock");
  CHECK(made.podman_socket == "/run/podman/podman.sock");
  CHECK(made.podman_socket_template.empty());
  CHECK(made.podman_users.empty());
  CHECK(made.timeout == 2s);
}

TEST_CASE("every setting of the engines is taken") {
  auto made = options(
      "socket: /a, podman_socket: /b, podman_socket_template: \"/run/user/{uid}/p\", "
      "podman_users: [1000, 1001, 1000], timeout: 5s");

  CHECK(made.socket == "/a");
  CHECK(made.podman_socket == "/b");
  CHECK(made.podman_socket_template == "/run/user/{uid}/p");
  CHECK(made.podman_users == std::set<uid_t>{1000, 1001});
  CHECK(made.timeout == 5s);
}

TEST_CASE("a template needs the users whose containers are believed, and the other way round") {
  CHECK(has(refusal("podman_socket_template: \"/run/{uid}/p\""), "needs podman_users"));
  CHECK(has(refusal("podman_users: [1]"), "needs podman_socket_template"));
  CHECK(has(refusal("podman_socket_template: \"/run/{uid}/p\", podman_users: []"), "one uid"));
}

TEST_CASE("a socket's template holds the uid once and leads to a path that fits") {
  const std::string users = ", podman_users: [1]";
  CHECK(has(refusal("podman_socket_template: /run/p" + users), "must hold {uid} once"));
  CHECK(has(refusal("podman_socket_template: \"/{uid}/{uid}\"" + users), "must hold {uid} once"));
  CHECK(has(refusal("podman_socket_template: \"run/{uid}\"" + users), "absolute"));
  std::string longest = "/" + std::string(96, 'a') + "{uid}";
  CHECK(refusal("podman_socket_template: \"" + longest + "\"" + users) == "accepted");
  CHECK(has(refusal("podman_socket_template: \"/a" + longest.substr(1) + "\"" + users), "107"));
  CHECK(has(refusal("socket: /" + std::string(107, 'a')), "107"));
}

TEST_CASE("users are uids that the kernel has, and nothing else") {
  const std::string socket = "podman_socket_template: \"/{uid}\", podman_users: ";
  CHECK(options(socket + "[0, 4294967294]").podman_users == std::set<uid_t>{0, 4294967294});
  for (const char* bad : {"[4294967295]", "[-1]", "[web]", "[\"1\"]", "1000", "[[1]]"}) {
    CAPTURE(bad);
    CHECK(refusal(socket + bad) != "accepted");
  }
}

TEST_CASE("times are bounded and unknown keys are mistakes") {
  CHECK(has(refusal("timeout: 31s"), "30s"));
  CHECK(has(refusal("timeout: 0s"), "100ms"));
  CHECK(has(refusal("sokcet: /a"), "unknown key"));
  CHECK(has(refusal("systemd: { timeout: 1s }", "systemd:id:a.service"), "unknown key"));
}

TEST_CASE("a rule needs the attestor that finds what it asks for") {
  CHECK(refusal("systemd: {}", "systemd:id:a.service") == "accepted");
  CHECK(has(refusal("systemd: {}", "docker:label:a:b"), "attestors.docker"));
  CHECK(has(refusal("docker: {}", "systemd:id:a.service"), "attestors.systemd"));
  CHECK(has(refusal("docker: {}, systemd: {}", "k8s:ns:a"), "attestors.kubernetes"));
}

TEST_CASE("the host's cgroups are an absolute path, for attestors that need them") {
  auto config = parse("docker: {}, host_cgroup: /host/sys/fs/cgroup", "unix:uid:1");
  REQUIRE(config);
  CHECK(config->attestors.host_cgroup == "/host/sys/fs/cgroup");
  CHECK(has(refusal("docker: {}, host_cgroup: sys", "unix:uid:1"), "absolute"));
  CHECK(has(refusal("systemd: {}, host_cgroup: /a", "unix:uid:1"), "neither runs"));
}

}  // namespace
}  // namespace nodepilot
