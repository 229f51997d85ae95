#include "attest/cgroup_search.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "attest/pidfd.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

// A tree of plain files, in which directories have inodes as cgroups have ids.
struct Tree {
  TemporaryDirectory home;
  Fd root{::open(home.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};

  CgroupSought id_of(const fs::path& path) const {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return {.id = status.st_ino};
  }
};

TEST_CASE("a cgroup is found by its id, and so is the root") {
  Tree tree;
  fs::create_directories(tree.home / "a/b");
  fs::create_directories(tree.home / "a/c/d");

  CHECK(*find_cgroup(tree.root, tree.id_of(tree.home / "a/c/d")) == "/a/c/d");
  CHECK(*find_cgroup(tree.root, tree.id_of(tree.home.path())) == "/");
}

TEST_CASE("a cgroup is found by a process in it, by the whole number") {
  Tree tree;
  tree.home.write("cgroup.procs", "1\n2\n");
  tree.home.write("a/cgroup.procs", "112\n123\n");
  tree.home.write("a/b/cgroup.procs", "7\n12\n");

  CHECK(*find_cgroup(tree.root, {.process = 12}) == "/a/b");
  CHECK(*find_cgroup(tree.root, {.process = 1}) == "/");
  CHECK(find_cgroup(tree.root, {.process = 23}).error().code == Code::kNotFound);
}

TEST_CASE("no symbolic link is followed") {
  Tree tree;
  Tree elsewhere;
  elsewhere.home.write("b/cgroup.procs", "12\n");
  fs::create_directory_symlink(elsewhere.home.path(), tree.home / "a");
  tree.home.write("c/x", "");
  fs::create_symlink(elsewhere.home / "b/cgroup.procs", tree.home / "c/cgroup.procs");

  CHECK(find_cgroup(tree.root, {.process = 12}).error().code == Code::kNotFound);
}

TEST_CASE("what is nested deeper than engines do is passed over, and the rest is found") {
  Tree tree;
  fs::path path = tree.home.path();
  for (int depth = 0; depth < 65; ++depth) path /= "a";
  fs::create_directories(path);

  fs::create_directories(tree.home / "b");

  CHECK(find_cgroup(tree.root, tree.id_of(path)).error().code == Code::kNotFound);
  CHECK(find_cgroup(tree.root, tree.id_of(path.parent_path())));
  CHECK(*find_cgroup(tree.root, tree.id_of(tree.home / "b")) == "/b");
}

TEST_CASE("in the kernel's own hierarchy a cgroup's id and a process in it lead to the same") {
  Fd hierarchy;
  for (const char* path : {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"}) {
    struct statfs system {};
    if (::statfs(path, &system) != 0 || system.f_type != CGROUP2_SUPER_MAGIC) continue;
    hierarchy = Fd(::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  auto pidfd = open_pidfd(::getpid());
  REQUIRE(pidfd);
  auto info = info_of(pidfd->get());
  if (!hierarchy || !info || info->cgroup_id == 0) {
    MESSAGE("skipped: no cgroup v2 is mounted here, or the kernel tells no cgroup's id");
    return;
  }

  auto by_id = find_cgroup(hierarchy, {.id = info->cgroup_id});
  auto by_process = find_cgroup(hierarchy, {.process = ::getpid()});

  REQUIRE_MESSAGE(by_id, by_id.error().message);
  REQUIRE_MESSAGE(by_process, by_process.error().message);
  CHECK(*by_id == *by_process);
}

}  // namespace
}  // namespace nodepilot
