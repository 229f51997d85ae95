#include "attest/kubernetes/pod_index.h"

#include <doctest/doctest.h>

#include "test/kubernetes/pod_json.h"

namespace nodepilot {
namespace {

using testing::container_id;

Pod pod(const std::string& uid, char container) {
  Pod made;
  made.uid = uid;
  made.name = "web";
  made.name_space = "shop";
  made.containers.push_back({"web", "web:1", "web@sha256:1", container_id(container)});
  return made;
}

TEST_CASE("a container that is not listed is not known") {
  PodIndex index;
  index.add(pod("11-22", 'a'));

  CHECK(index.find("11-22", container_id('b')).value() == std::nullopt);
}

TEST_CASE("a container counts only for the pod whose cgroup it runs in") {
  PodIndex index;
  index.add(pod("11-22", 'a'));
  index.add(pod("33-44", 'b'));

  auto other = index.find("33-44", container_id('a'));

  REQUIRE_FALSE(other);
  CHECK(other.error().code == Code::kFailedPrecondition);
  CHECK(other.error().message == "container " + container_id('a') +
                                     " runs in the cgroup of pod 33-44, but the kubelet lists it "
                                     "for pod \"11-22\"");
  CHECK_FALSE(index.find("", container_id('a')));
}

TEST_CASE("a container that two pods claim is nobody's") {
  PodIndex index;
  index.add(pod("11-22", 'a'));
  index.add(pod("33-44", 'a'));

  for (const char* uid : {"11-22", "33-44"}) {
    auto found = index.find(uid, container_id('a'));
    REQUIRE_FALSE(found);
    CHECK(found.error().code == Code::kFailedPrecondition);
    CHECK(found.error().message.find("stands twice") != std::string::npos);
  }
}

TEST_CASE("containers that have not been started do not meet") {
  PodIndex index;
  Pod one = pod("11-22", 'a');
  one.init_containers.push_back({"init", "", "", ""});
  index.add(one);
  Pod two = pod("33-44", 'b');
  two.init_containers.push_back({"init", "", "", ""});
  index.add(two);

  CHECK(index.find("11-22", container_id('a')).value().has_value());
  CHECK(index.find("33-44", "").value() == std::nullopt);
}

TEST_CASE("a static pod is known by its UID without dashes or by the hash of its configuration") {
  const std::string hash = "0123456789abcdef0123456789abcdef";
  PodIndex index;
  index.add(pod("01234567-89ab-cdef-0123-456789abcdef", 'a'));
  index.add(pod(hash, 'b'));
  Pod mirror = pod("99999999-9999-4999-8999-999999999999", 'c');
  mirror.config_hash = hash;
  index.add(mirror);

  CHECK(index.find(hash, container_id('a')).value().has_value());
  CHECK(index.find(hash, container_id('b')).value().has_value());
  CHECK(index.find(hash, container_id('c')).value().has_value());
  CHECK(index.find(mirror.uid, container_id('c')).value().has_value());
  // The hash is no UID: only a static pod's cgroup has one without dashes.
  CHECK_FALSE(index.find("01234567-89ab-cdef-0123-456789abcdef", container_id('c')));
}

}  // namespace
}  // namespace nodepilot
