#include "attest/container.h"

#include <doctest/doctest.h>

#include <vector>

using namespace nodepilot;

namespace {

using Runtime = ContainerRuntime;

const std::string kUid = "6a2f48d7-9c11-4e0b-8f3a-0d5b7c1e9a42";
const std::string kUid_ = "6a2f48d7_9c11_4e0b_8f3a_0d5b7c1e9a42";  // as systemd has it
const std::string kStaticUid = "9a4cd8e5f2b10376c5d4e3f2a1b09c8d";
const std::string kId = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
const std::string kOther = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
const std::string kUserManager = "/user.slice/user-1000.slice/user@1000.service";
const std::string kPod = "/kubepods/burstable/pod" + kUid + "/" + kId;

std::string unified(const std::string& path) { return "0::" + path + "\n"; }

struct Fixture {
  const char* what;
  std::string cgroup;
  ContainerLocation location;
};

void check_refused(const std::string& cgroup) {
  CAPTURE(cgroup);
  auto found = locate_container(cgroup);
  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kFailedPrecondition);
}

}  // namespace

TEST_CASE("each engine's and driver's layout tells the container and the pod") {
  const std::string slices = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod";
  const std::string kind =
      "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/";
  const std::vector<Fixture> fixtures = {
      {"kubelet, cgroupfs", unified(kPod), {kUid, kId}},
      {"guaranteed", unified("/kubepods/pod" + kUid + "/" + kId), {kUid, kId}},
      {"best effort",
       unified("/kubepods/besteffort/pod" + kUid + "/crio-" + kId),
       {kUid, kId, Runtime::kCrio}},
      {"static pod",
       unified("/kubepods/burstable/pod" + kStaticUid + "/" + kId),
       {kStaticUid, kId}},
      {"containerd, systemd",
       unified(slices + kUid_ + ".slice/cri-containerd-" + kId + ".scope"),
       {kUid, kId, Runtime::kContainerd}},
      {"CRI-O with crun, systemd",
       unified(slices + kUid_ + ".slice/crio-" + kId + ".scope/container"),
       {kUid, kId, Runtime::kCrio}},
      {"cri-dockerd, systemd",
       unified(slices + kUid_ + ".slice/docker-" + kId + ".scope"),
       {kUid, kId, Runtime::kDocker}},
      {"guaranteed, systemd",
       unified("/kubepods.slice/kubepods-pod" + kUid_ + ".slice/cri-containerd-" + kId + ".scope"),
       {kUid, kId, Runtime::kContainerd}},
      {"static pod, systemd",
       unified(slices + kStaticUid + ".slice/cri-containerd-" + kId + ".scope"),
       {kStaticUid, kId, Runtime::kContainerd}},
      {"slices of the kubelet, none of containerd",
       unified("/system.slice/containerd.service/kubepods-burstable-pod" + kUid_ +
               ".slice:cri-containerd:" + kId),
       {kUid, kId, Runtime::kContainerd}},
      {"within a cluster in a container, systemd",
       unified(kind + "kubelet-kubepods-besteffort-pod" + kUid_ + ".slice/cri-containerd-" + kId +
               ".scope"),
       {kUid, kId, Runtime::kContainerd}},
      {"within a cluster in a container, cgroupfs", unified("/kubelet" + kPod), {kUid, kId}},
      {"Docker, cgroupfs", unified("/docker/" + kId), {"", kId, Runtime::kDocker}},
      {"Docker, systemd",
       unified("/system.slice/docker-" + kId + ".scope"),
       {"", kId, Runtime::kDocker}},
      {"Docker with systemd inside",
       unified("/docker/" + kId + "/system.slice/nginx.service"),
       {"", kId, Runtime::kDocker}},
      {"Podman, systemd",
       unified("/machine.slice/libpod-" + kId + ".scope/container"),
       {"", kId, Runtime::kPodman}},
      {"Podman's pod, systemd",
       unified("/machine.slice/machine-libpod_pod_" + kOther + ".slice/libpod-" + kId + ".scope"),
       {"", kId, Runtime::kPodman}},
      {"Podman, cgroupfs", unified("/libpod_parent/libpod-" + kId), {"", kId, Runtime::kPodman}},
      {"Podman's pod, cgroupfs",
       unified("/libpod_parent/" + kOther + "/libpod-" + kId),
       {"", kId, Runtime::kPodman}},
      {"rootless Podman",
       unified(kUserManager + "/user.slice/libpod-" + kId + ".scope/container"),
       {"", kId, Runtime::kPodman, 1000}},
      {"v1, all alike",
       "3:cpuset:/docker/" + kId + "\n2:cpu,cpuacct:/docker/" + kId + "\n1:name=systemd:/docker/" +
           kId + "\n",
       {"", kId, Runtime::kDocker}},
      {"hybrid: the engine left some hierarchies alone",
       "3:rdma:/\n2:memory:" + kPod + "\n1:name=systemd:" + kPod +
           "\n0::/system.slice/containerd.service\n",
       {kUid, kId}},
  };
  for (const Fixture& fixture : fixtures) {
    CAPTURE(fixture.what);
    auto found = locate_container(fixture.cgroup);
    REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
    REQUIRE(*found);
    CHECK(**found == fixture.location);
  }
}

TEST_CASE("a process outside of every container is surely in none") {
  for (const std::string& path : std::vector<std::string>{
           "/", "/init.scope", "/system.slice/docker.service", "/system.slice/containerd.service",
           "/user.slice/user-1000.slice/session-3.scope", kUserManager + "/app.slice/vim.service",
           "/process_api/028ff604a77b8964f33eb628f80e63ba",
           "/system.slice/system-getty.slice/getty@tty1.service", "/a:b/c"}) {
    CAPTURE(path);
    auto found = locate_container(unified(path));
    REQUIRE(found);
    CHECK_FALSE(*found);
  }
}

TEST_CASE("names made below a delegated cgroup never pass for a container of root's") {
  for (const std::string& place :
       std::vector<std::string>{kUserManager, kUserManager + "/app.slice", "/user/alice/0",
                                "/system.slice/alice-ci.service", "/lxc.payload.box",
                                "/user.slice/user-1000.slice/session-3.scope"}) {
    check_refused(unified(place + kPod));
    check_refused(unified(place + "/docker/" + kId));
    check_refused(unified(place + "/pod" + kUid + "/" + kId));
    check_refused(
        unified(place + "/kubepods-burstable-pod" + kUid_ + ".slice:cri-containerd:" + kId));
    check_refused(
        unified(place + "/kubepods.slice/kubepods-pod" + kUid_ + ".slice/crio-" + kId + ".scope"));
  }
}

TEST_CASE("what a user can forge stays bound to that user") {
  auto found = locate_container(unified(kUserManager + "/a.slice/docker-" + kId + ".scope"));
  REQUIRE(found);
  REQUIRE(*found);
  CHECK((*found)->rootless_uid == 1000);
  CHECK((*found)->pod_uid.empty());

  for (const char* manager : {"/user.slice/user-1000.slice/user@1001.service",
                              "/user.slice/user-1000.slice/user@01000.service",
                              "/user.slice/user-1000.slice/user@.service",
                              "/user.slice/user-1000.slice/user@4294968296.service",
                              "/system.slice/user-1000.slice/user@1000.service"}) {
    check_refused(unified(std::string(manager) + "/libpod-" + kId + ".scope"));
  }
}

TEST_CASE("a container within a container is refused, from the outside and by its own names") {
  check_refused(unified("/docker/" + kId + "/docker/" + kOther));
  check_refused(unified("/docker/" + kId + kPod));
  check_refused(unified("/docker/" + kId + "/kubelet" + kPod));
  check_refused(unified(kPod + "/" + kOther));
  check_refused(unified(kPod + "/kubepods/besteffort"));
  check_refused(unified("/machine.slice/libpod-" + kId + ".scope/libpod-" + kOther + ".scope"));
}

TEST_CASE("hierarchies that disagree are refused") {
  check_refused("2:memory:/docker/" + kId + "\n1:cpu:/docker/" + kOther + "\n");
  check_refused("2:memory:" + kPod + "\n0::/docker/" + kId + "\n");
  check_refused("2:memory:/docker/" + kId + "\n0::" + kUserManager + "/libpod-" + kId + ".scope\n");
  check_refused("2:memory:/docker/" + kId + "\n0::" + kUserManager + "/app.slice/x.service\n");
  check_refused("1:name=systemd:" + kUserManager + "/x\n0::/docker/" + kId + "\n");
  check_refused("2:memory:/docker/" + kId + "\n0::/a/../b\n");
}

TEST_CASE("ids that are not quite ids are refused") {
  std::string upper = "0123456789ABCDEF" + kId.substr(16);
  for (const std::string& id : {kId.substr(1), kId + "0", upper, kId + " (deleted)", kId + ".scope",
                                std::string("short"), kId.substr(0, 62) + "zz"}) {
    check_refused(unified("/docker/" + id));
    check_refused(unified("/kubepods/burstable/pod" + kUid + "/" + id));
    check_refused(unified("/system.slice/docker-" + id + ".scope"));
  }
  for (const std::string& uid :
       {kUid_, kUid.substr(1), kUid + "0", "6A2F" + kUid.substr(4), kStaticUid + "0", std::string(),
        "6a2f48d79-c11-4e0b-8f3a-0d5b7c1e9a42" + std::string(), std::string(36, '-')}) {
    check_refused(unified("/kubepods/burstable/pod" + uid + "/" + kId));
  }
  check_refused(unified("/kubepods.slice/kubepods-besteffort.slice/kubepods-burstable-pod" + kUid_ +
                        ".slice/crio-" + kId + ".scope"));
  check_refused(unified("/kubepods/burstable/pod" + kUid));
  check_refused(
      unified("/kubepods.slice/kubepods-pod" + kUid_ + ".slice/crio-conmon-" + kId + ".scope"));
}

TEST_CASE("a path outside of our cgroup namespace is refused, and the error says what to do") {
  check_refused(unified("/../docker/" + kId));
  check_refused(unified("/.."));
  check_refused(unified("/../../kubepods-pod" + kUid_ + ".slice/cri-containerd-" + kId + ".scope"));

  CHECK(locate_container(unified("/..")).error().message ==
        "cgroup \"0::/..\": it lies outside our own cgroup namespace: set attestors.host_cgroup to "
        "where the host's /sys/fs/cgroup is mounted, or run the agent in the host's cgroup "
        "namespace");
}

TEST_CASE("an agent in a cgroup namespace of its own sees containers through its root") {
  const std::string slices = "/kubepods.slice/kubepods-pod" + kUid_ + ".slice";
  const std::string scope = "/cri-containerd-" + kId + ".scope";
  auto root = *CgroupRoot::at("/kubepods.slice/kubepods-burstable.slice/ours/cri-containerd-" +
                              kOther + ".scope");

  auto found = locate_container(unified("/../../../kubepods-pod" + kUid_ + ".slice" + scope), root);

  REQUIRE_MESSAGE(found, found.error().message);
  REQUIRE(*found);
  CHECK(**found == **locate_container(unified(slices + scope)));
}

TEST_CASE("what stands below our own cgroup is not taken for the host's") {
  auto root = *CgroupRoot::at("/system.slice/agent.service");
  CHECK(locate_container(unified(kPod)));

  CHECK_FALSE(locate_container(unified(kPod), root));
  CHECK_FALSE(locate_container(unified("/../../../docker/" + kId), root));
  CHECK_FALSE(locate_container(unified("/../../a/../docker/" + kId), root));
}

TEST_CASE("our root in the unified hierarchy says nothing of those of v1") {
  auto root = *CgroupRoot::at("/a/b");

  CHECK_FALSE(locate_container("1:pids:/../../docker/" + kId + "\n", root));
  auto found = locate_container("1:pids:/docker/" + kId + "\n0::/\n", root);
  REQUIRE(found);
  CHECK((*found)->container_id == kId);
}

TEST_CASE("text that the kernel does not write is refused") {
  const std::string good = "/docker/" + kId;
  check_refused("");
  check_refused("\n");
  check_refused("0::" + good);
  check_refused("0::" + good + "\n\n");
  check_refused("0::" + good + "\n0::" + good + "\n");
  check_refused("1:cpu:" + good + "\n2:cpu:" + good + "\n");
  check_refused("1::" + good + "\n");
  check_refused("0:cpu:" + good + "\n");
  check_refused("01:cpu:" + good + "\n");
  check_refused("-1:cpu:" + good + "\n");
  check_refused(":cpu:" + good + "\n");
  check_refused("99999999999:cpu:" + good + "\n");
  check_refused("0:" + good + "\n");
  check_refused("0::docker/" + kId + "\n");
  check_refused("0::/" + good + "\n");
  check_refused("0::" + good + "/\n");
  check_refused("0::" + good + "/./a\n");
  check_refused(std::string("0::/docker/\0", 12) + kId + "\n");
  check_refused("0::" + good + "/" + std::string(4096, 'z') + "\n");
  std::string many;
  for (int i = 1; i < 70; ++i) many += std::to_string(i) + ":name=c" + std::to_string(i) + ":/\n";
  check_refused(many);
}
