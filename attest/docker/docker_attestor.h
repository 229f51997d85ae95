// The `docker` attestor: SPIRE's selectors from the Docker API, or Podman's compatible one.
//   label:K:V env:K=V image_id:NAME image_config_digest:sha256:HEX
#pragma once

#include <filesystem>
#include <string>

#include "agent/base/time.h"
#include "attest/attestor.h"
#include "attest/container.h"

namespace nodepilot {

class DockerAttestor : public Attestor {
 public:
  struct Options {
    std::filesystem::path socket = "/run/docker.sock";
    std::filesystem::path podman_socket = "/run/podman/podman.sock";
    // "/run/user/{uid}/podman/podman.sock"; empty: containers of users count for nothing. Whoever
    // may run such containers can give them every label, and answers for them himself.
    std::string podman_socket_template{};
    // Of one answer, all tries and pauses together.
    Duration timeout = std::chrono::seconds(2);
  };
  explicit DockerAttestor(Options options) : options_(std::move(options)) {}

  const char* name() const override { return "docker"; }

  // A process outside of containers, or in one of containerd or CRI-O, has no selectors, and no
  // engine is asked. A container that is in doubt is an error.
  expected<Selectors> attest(const Peer& peer) const override;

  // The selectors of one container. Asks again after 100, 200 and 400 ms: an engine tells of a
  // container a little after it has started.
  expected<Selectors> selectors_of(const ContainerLocation& container) const;

 private:
  const Options options_;
};

}  // namespace nodepilot
