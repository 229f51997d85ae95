// What /proc tells about one process. The parsers take text, so that hostile text can be tried.
// Thread: any.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "agent/base/fd.h"
#include "agent/base/result.h"

namespace nodepilot {

struct ProcessStatus {
  uid_t uid = 0;  // effective
  gid_t gid = 0;  // effective
  std::vector<gid_t> groups;
};

// /proc/PID/status. Each of Uid, Gid and Groups must be there exactly once and be whole.
expected<ProcessStatus> parse_status(std::string_view text);

// How many pid namespaces the process is in, from that of the procfs downwards: the numbers in the
// line NSpid: of /proc/PID/status.
expected<std::size_t> parse_pid_namespaces(std::string_view status);

// The start time in /proc/PID/stat, in clock ticks since boot. The process chooses its own name,
// which stands before it and may hold spaces, parentheses and newlines.
expected<std::uint64_t> parse_start_time(std::string_view stat);
// The state in it, a letter: 'Z' of one that has exited.
expected<char> parse_state(std::string_view stat);

// Whether `cgroup`, of /proc/PID/cgroup, names the unified hierarchy and no other.
bool is_unified(std::string_view cgroup);

// Whether `uid_map` is that of a user namespace in which no uid is folded into the overflow uid.
bool maps_every_uid(std::string_view uid_map);

struct FileId {
  dev_t device = 0;
  ino_t inode = 0;

  friend bool operator==(const FileId&, const FileId&) = default;
};

// The file at a path, or an open one. Answers from what the kernel already knows: a file system
// that does not answer cannot hold the caller up.
struct FileStatus {
  FileId id;
  std::uint32_t links = 0;
};
expected<FileStatus> status_of_file(const std::string& path);
expected<FileStatus> status_of_file(const Fd& file);

// An open /proc/PID/cgroup. It stays with its process through exec and setuid, and never passes to
// another one with that pid: once the process is gone, reading fails.
class CgroupFile {
 public:
  CgroupFile() = default;
  CgroupFile(Fd file, std::string path) : file_(std::move(file)), path_(std::move(path)) {}

  expected<std::string> read() const;
  // Whether read() would give `text` now, for half of what opening and reading it costs.
  expected<bool> still_reads(std::string_view text) const;

 private:
  Fd file_;
  std::string path_;
};

// /proc/PID, by its path: what was read is about one process only if a pidfd tells afterwards that
// it still lives, or if its start time is the same before and after.
class ProcDirectory {
 public:
  explicit ProcDirectory(pid_t pid, std::string_view root = "/proc");

  expected<ProcessStatus> status() const;
  expected<std::uint64_t> start_time() const;
  expected<CgroupFile> cgroup_file() const;

  // The running executable, opened with O_PATH; empty if we may not look at it.
  expected<Fd> executable() const;
  // The same, but only which file it is. kNotFound if the process has none.
  expected<FileId> executable_id() const;
  // Whether the thread that the process began with lives. While others do, the process is alive
  // without it, but /proc and the pidfd tell of that thread: the ids are those it had last.
  expected<bool> has_main_thread() const;
  // The root directory of the process, opened with O_PATH.
  expected<Fd> root_directory() const;

 private:
  expected<std::string> read(const char* name) const;

  std::string path_;  // ends with a slash
};

}  // namespace nodepilot
