#include "attest/docker/docker_attestor.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include "test/support/temporary_directory.h"

using namespace nodepilot;
using namespace std::chrono_literals;

namespace {

const std::string kId(64, 'a');

// Nothing answers at any of its sockets, so that an error tells which one was asked.
struct Rig {
  TemporaryDirectory home;
  DockerAttestor attestor{{.socket = home / "docker",
                           .podman_socket = home / "podman",
                           .podman_socket_template = (home / "user-{uid}").string(),
                           .podman_users = {1000, 1001},
                           .timeout = 50ms}};

  std::string asked(const ContainerLocation& container) const {
    auto answer = attestor.selectors_of(container);
    REQUIRE_FALSE(answer);
    std::string message = answer.error().message;
    std::string before = "ask the engine at " + (home / "").string();
    REQUIRE(message.starts_with(before));
    return message.substr(before.size(), message.find(": ") - before.size());
  }
};

}  // namespace

TEST_CASE("each container's own engine is asked") {
  Rig rig;
  CHECK(rig.asked({"", kId, ContainerRuntime::kDocker}) == "docker");
  CHECK(rig.asked({"", kId, ContainerRuntime::kPodman}) == "podman");
  CHECK(rig.asked({"pod", kId, ContainerRuntime::kUnknown}) == "docker");
}

TEST_CASE("a user's container is asked about at that user's engine alone") {
  Rig rig;
  CHECK(rig.asked({"", kId, ContainerRuntime::kDocker, 1000}) == "user-1000");
  CHECK(rig.asked({"", kId, ContainerRuntime::kPodman, 1001}) == "user-1001");
}

TEST_CASE("containers of users who are not listed have no selectors, and no engine is asked") {
  Rig rig;
  for (uid_t uid : {0U, 100U, 1002U, 10000U}) {
    CAPTURE(uid);
    CHECK(rig.attestor.selectors_of({"", kId, ContainerRuntime::kPodman, uid}) == Selectors());
  }
  CHECK(DockerAttestor({}).selectors_of({"", kId, ContainerRuntime::kPodman, 1000}) == Selectors());
}

TEST_CASE("no engine is asked about containers of containerd and CRI-O") {
  Rig rig;
  CHECK(rig.attestor.selectors_of({"pod", kId, ContainerRuntime::kContainerd}) == Selectors());
  CHECK(rig.attestor.selectors_of({"pod", kId, ContainerRuntime::kCrio}) == Selectors());
}
