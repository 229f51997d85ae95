#include "attest/cgroup_root.h"

#include <doctest/doctest.h>

#include <vector>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

struct Case {
  const char* root;  // of our namespace
  const char* shown;
  const char* on_host;
};

TEST_CASE("a path that the kernel shows is told as the host's") {
  const std::vector<Case> cases = {
      {"/", "/", "/"},
      {"/", "/a/b", "/a/b"},
      {"/a/b", "/", "/a/b"},
      {"/a/b", "/c", "/a/b/c"},
      {"/a/b", "/..", "/a"},
      {"/a/b", "/../..", "/"},
      {"/a/b", "/../c", "/a/c"},
      {"/a/b", "/../../c/d", "/c/d"},
      {"/a/b", "/..c", "/a/b/..c"},
      {"/a/b", "/../..c/...", "/a/..c/..."},
  };
  for (const Case& one : cases) {
    CAPTURE(one.root);
    CAPTURE(one.shown);
    auto resolved = CgroupRoot::at(one.root)->resolve(one.shown);
    REQUIRE_MESSAGE(resolved, resolved.error().message);
    CHECK(*resolved == one.on_host);
  }
}

TEST_CASE("a path that the kernel would not show is refused") {
  const std::vector<const char*> bad = {"",      "a",       "../c",     "/../../..",  "/../../../c",
                                        "/c/..", "/c/../d", "/../c/..", "/..c/../..", "/../c/../d"};
  for (const char* shown : bad) {
    CAPTURE(shown);
    auto resolved = CgroupRoot::at("/a/b")->resolve(shown);
    REQUIRE_FALSE(resolved);
    CHECK(resolved.error().code == Code::kFailedPrecondition);
  }
  CHECK_FALSE(CgroupRoot::at("/")->resolve("/.."));
  CHECK_FALSE(CgroupRoot::at("/")->resolve("/" + std::string(5000, 'a')));
}

TEST_CASE("without a root nothing leads out of it, and the error names the setting") {
  CgroupRoot unknown;

  CHECK(*unknown.resolve("/a/b") == "/a/b");
  auto refused = unknown.resolve("/../a");
  REQUIRE_FALSE(refused);
  CHECK(refused.error().message.find("attestors.host_cgroup") != std::string::npos);
}

TEST_CASE("a root is spelled as the kernel spells it") {
  CHECK(CgroupRoot::at("/a"));
  for (const char* bad : {"", "a", "/a/", "//a", "/..", "/a/../b"}) {
    CAPTURE(bad);
    CHECK_FALSE(CgroupRoot::at(bad));
  }
}

TEST_CASE("our namespace begins above the cgroup to which we were moved within it") {
  CHECK(*root_of_namespace("/a/b", "/") == *CgroupRoot::at("/a/b"));
  CHECK(*root_of_namespace("/a/b/c", "/c") == *CgroupRoot::at("/a/b"));
  CHECK(*root_of_namespace("/a/b", "/a/b") == *CgroupRoot::at("/"));
  CHECK_FALSE(root_of_namespace("/a/b", "/../b"));
  CHECK_FALSE(root_of_namespace("/a/b", "/c"));
  CHECK_FALSE(root_of_namespace("/a/b", ""));
}

TEST_CASE("a directory that is no cgroup2 is refused by its name") {
  TemporaryDirectory home;

  auto refused = CgroupRoot::find(home.path());

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  CHECK(refused.error().message.find(home.path().string()) != std::string::npos);
  CHECK(refused.error().message.find("attestors.host_cgroup") != std::string::npos);
  CHECK(refused.error().message.find("no cgroup v2") != std::string::npos);
  CHECK_FALSE(CgroupRoot::find(home / "missing"));
}

}  // namespace
}  // namespace nodepilot
