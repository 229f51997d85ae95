// Finds the selectors of a container in the kubelet's lists, and decides when to ask for another
// list, how long to go on, and what to say while there is no answer.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "attest/kubernetes/container_waits.h"
#include "attest/kubernetes/known_processes.h"
#include "attest/kubernetes/pod_lists.h"

namespace nodepilot {

// Where a process runs, as its cgroup tells.
struct PodContainerKey {
  std::string pod_uid;
  std::string container_id;
};

// Thread: any, several at once; nothing here waits.
class PodFinder {
 public:
  struct Options {
    // How long a container is looked for that is not listed: the kubelet learns of one a little
    // after it has started.
    Duration wait = std::chrono::seconds(30);
    // How long a list answers for containers that are in it.
    Duration reuse = std::chrono::seconds(5);
  };

  // `lists` outlives it; `now` is called from any thread.
  PodFinder(PodLists& lists, Options options, std::function<Time()> now)
      : lists_(lists), options_(options), now_(std::move(now)) {}

  // The selectors of a container. `process` is the inode of its pidfd, if that is unique: what was
  // found for it before is told again while the kubelet fails or is slow, or has forgotten it.
  //
  // An error with retry_after: not known yet, ask again then. Without it: kDeadlineExceeded if the
  // container is not listed after all of `wait`, kUnavailable if the kubelet cannot be asked,
  // kFailedPrecondition if the list contradicts the cgroup or itself. None of them is remembered.
  expected<Selectors> find(const PodContainerKey& where, std::optional<std::uint64_t> process);

 private:
  using Latest = PodLists::Latest;
  using Answer = std::optional<expected<Selectors>>;

  // What the latest list says, if it was asked for after `since` or may still be used.
  Answer listed(const Latest& latest, const PodContainerKey& where, Time since, Time now) const;
  // What is remembered, if the kubelet does not tell.
  Answer remembered(const Latest& latest, const PodContainerKey& where,
                    std::optional<std::uint64_t> process, Time since, Time now) const;
  // Why to give up, if there is a reason.
  std::optional<Error> verdict(const Latest& latest, const PodContainerKey& where, Time since,
                               Time now) const;
  Duration pause(const Latest& latest, Time since, Time now) const;

  PodLists& lists_;
  const Options options_;
  const std::function<Time()> now_;

  std::mutex mutex_;
  ContainerWaits waits_;
  KnownProcesses known_;
};

}  // namespace nodepilot
