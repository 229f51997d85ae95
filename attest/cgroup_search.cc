#include "attest/cgroup_search.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string_view>

namespace nodepilot {
namespace {

constexpr std::size_t kMaxDepth = 64;
constexpr std::size_t kMaxCgroups = 500'000;
constexpr std::size_t kMaxProcsBytes = std::size_t{4} * 1024 * 1024;

struct CloseDirectory {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

Fd open_at(const Fd& parent, const char* name, int flags) {
  return Fd(::openat(parent.get(), name, flags | O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK));
}

// Whether cgroup.procs, one number a line, has `pid`. What cannot be read has not: a cgroup that is
// being removed, or whose threads are spread over others.
bool holds(const Fd& cgroup, pid_t pid) {
  Fd procs = open_at(cgroup, "cgroup.procs", 0);
  if (!procs) return false;
  std::string line = fmt::format("{}\n", pid);
  std::string text = "\n";
  std::array<char, 8192> chunk{};
  while (text.size() < kMaxProcsBytes) {
    ssize_t n = ::read(procs.get(), chunk.data(), chunk.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) break;
    text.append(chunk.data(), static_cast<std::size_t>(n));
  }
  return text.find("\n" + line) != std::string::npos;
}

class Search {
 public:
  Search(const CgroupSought& sought, dev_t device) : sought_(sought), device_(device) {}

  // Where it is below `cgroup`, whose own path is `path`; empty if it is not there.
  expected<std::optional<std::string>> below(const Fd& cgroup, const std::string& path,
                                             std::size_t depth) {
    if (is_sought(cgroup)) return path.empty() ? "/" : path;
    // Users may nest theirs as deep as they like, and must not thereby keep us from starting.
    if (depth == kMaxDepth) return std::nullopt;
    Fd listed = open_at(cgroup, ".", O_DIRECTORY);
    if (!listed) return std::nullopt;  // removed meanwhile
    std::unique_ptr<DIR, CloseDirectory> names(::fdopendir(listed.get()));
    if (!names) return fail_errno("list a cgroup", errno);
    listed.release();
    while (const dirent* entry = ::readdir(names.get())) {
      std::string_view name = entry->d_name;
      if (name == "." || name == ".." || entry->d_type != DT_DIR) continue;
      Fd child = open_at(cgroup, entry->d_name, O_DIRECTORY);
      if (!child || !is_on_device(child)) continue;
      if (++seen_ > kMaxCgroups) {
        return fail(Code::kResourceExhausted,
                    fmt::format("it has more than {} cgroups", kMaxCgroups));
      }
      auto found = TRY(below(child, fmt::format("{}/{}", path, name), depth + 1));
      if (found) return found;
    }
    return std::nullopt;
  }

 private:
  bool is_on_device(const Fd& cgroup) const {
    struct stat status {};
    return ::fstat(cgroup.get(), &status) == 0 && status.st_dev == device_;
  }

  bool is_sought(const Fd& cgroup) const {
    if (!sought_.id) return holds(cgroup, sought_.process);
    struct stat status {};
    return ::fstat(cgroup.get(), &status) == 0 && status.st_ino == *sought_.id;
  }

  const CgroupSought& sought_;
  const dev_t device_;
  std::size_t seen_ = 0;
};

}  // namespace

expected<std::string> find_cgroup(const Fd& hierarchy, const CgroupSought& sought) {
  struct stat status {};
  if (::fstat(hierarchy.get(), &status) != 0) return fail_errno("stat the hierarchy", errno);
  auto found = TRY(Search(sought, status.st_dev).below(hierarchy, "", 0));
  if (!found) return fail(Code::kNotFound, "it is not there");
  return *found;
}

}  // namespace nodepilot
