#include "attest/proc.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <limits>
#include <optional>
#include <span>

namespace nodepilot {
namespace {

// A status lists up to 65536 groups of up to ten digits.
constexpr std::size_t kMaxFileBytes = std::size_t{1024} * 1024;
// Fields of a stat, counted from the first one after the name, which is field 3.
constexpr std::size_t kState = 3 - 3;
constexpr std::size_t kStartTime = 22 - 3;
// The last uid, 2^32-1, means "none" and is never mapped.
constexpr auto kEveryUid = std::numeric_limits<std::uint32_t>::max();

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> found;
  while (true) {
    std::size_t start = text.find_first_not_of(" \t\n");
    if (start == std::string_view::npos) return found;
    text.remove_prefix(start);
    found.push_back(text.substr(0, text.find_first_of(" \t\n")));
    text.remove_prefix(found.back().size());
  }
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

// The numbers in the line "KEY: 1 2 3" of a status.
expected<std::vector<std::uint32_t>> numbers_of(std::string_view status, std::string_view key) {
  std::optional<std::string_view> value;
  while (!status.empty()) {
    std::size_t end = status.find('\n');
    if (end == std::string_view::npos) return fail(Code::kDataLoss, "the last line is cut off");
    std::string_view line = status.substr(0, end);
    status.remove_prefix(end + 1);
    if (!line.starts_with(key) || line.substr(key.size(), 1) != ":") continue;
    if (value) return fail(Code::kDataLoss, fmt::format("has two lines {}:", key));
    value = line.substr(key.size() + 1);
  }
  if (!value) return fail(Code::kDataLoss, fmt::format("has no line {}:", key));

  std::vector<std::uint32_t> numbers;
  for (std::string_view word : words(*value)) {
    auto n = number<std::uint32_t>(word);
    if (!n) return fail(Code::kDataLoss, fmt::format("line {}: does not hold numbers", key));
    numbers.push_back(*n);
  }
  return numbers;
}

// The effective one of "real, effective, saved, file system".
expected<std::uint32_t> effective_of(std::string_view status, std::string_view key) {
  auto ids = TRY(numbers_of(status, key));
  if (ids.size() != 4) {
    return fail(Code::kDataLoss, fmt::format("line {}: has {} ids, not 4", key, ids.size()));
  }
  return ids[1];
}

// Of a stat, behind the name.
expected<std::vector<std::string_view>> fields_of(std::string_view stat) {
  std::size_t name_end = stat.rfind(')');
  if (name_end == std::string_view::npos) return fail(Code::kDataLoss, "has no process name");
  if (!stat.ends_with('\n')) return fail(Code::kDataLoss, "is cut off");
  return words(stat.substr(name_end + 1));
}

expected<FileStatus> status_at(int directory, const char* name, int flags, std::string_view what) {
  struct statx found {};
  if (::statx(directory, name, AT_STATX_DONT_SYNC | flags, STATX_INO | STATX_NLINK, &found) != 0) {
    return fail_errno(fmt::format("stat {}", what), errno);
  }
  return FileStatus{{makedev(found.stx_dev_major, found.stx_dev_minor), found.stx_ino},
                    found.stx_nlink};
}

tl::unexpected<Error> fail_file(const char* what, const std::string& path) {
  return fail_errno(fmt::format("{} {}", what, path), errno);
}

expected<Fd> open_file(const std::string& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return fail_file("open", path);
  return file;
}

// `path` is for errors.
expected<std::size_t> read_at(const Fd& file, std::span<char> space, std::size_t offset,
                              const std::string& path) {
  ssize_t n = -1;
  do {
    n = ::pread(file.get(), space.data(), space.size(), static_cast<off_t>(offset));
  } while (n < 0 && errno == EINTR);
  if (n < 0) return fail_file("read", path);
  return static_cast<std::size_t>(n);
}

expected<std::string> read_whole(const Fd& file, const std::string& path) {
  std::string text;
  std::array<char, 4096> part;  // NOLINT(*-member-init): the kernel fills it
  while (true) {
    std::size_t n = TRY(read_at(file, part, text.size(), path));
    if (n == 0) return text;
    text.append(part.data(), n);
    if (text.size() > kMaxFileBytes) {
      return fail(Code::kResourceExhausted,
                  fmt::format("read {}: larger than {} bytes", path, kMaxFileBytes));
    }
  }
}

}  // namespace

expected<ProcessStatus> parse_status(std::string_view text) {
  ProcessStatus status;
  status.uid = TRY(effective_of(text, "Uid"));
  status.gid = TRY(effective_of(text, "Gid"));
  status.groups = TRY(numbers_of(text, "Groups"));
  return status;
}

expected<std::size_t> parse_pid_namespaces(std::string_view status) {
  auto pids = TRY(numbers_of(status, "NSpid"));
  return pids.size();
}

expected<std::uint64_t> parse_start_time(std::string_view stat) {
  auto fields = TRY(fields_of(stat));
  auto ticks =
      fields.size() > kStartTime ? number<std::uint64_t>(fields[kStartTime]) : std::nullopt;
  if (!ticks) return fail(Code::kDataLoss, "has no start time");
  return *ticks;
}

expected<char> parse_state(std::string_view stat) {
  auto fields = TRY(fields_of(stat));
  if (fields.size() <= kStartTime || fields[kState].size() != 1) {
    return fail(Code::kDataLoss, "has no state");
  }
  return fields[kState].front();
}

bool is_unified(std::string_view cgroup) {
  return cgroup.starts_with("0::") && cgroup.find('\n') == cgroup.size() - 1;
}

bool maps_every_uid(std::string_view uid_map) {
  auto fields = words(uid_map);
  return fields.size() == 3 && fields[0] == "0" && fields[1] == "0" &&
         number<std::uint32_t>(fields[2]) == kEveryUid;
}

expected<FileStatus> status_of_file(const std::string& path) {
  return status_at(AT_FDCWD, path.c_str(), 0, path);
}

expected<FileStatus> status_of_file(const Fd& file) {
  return status_at(file.get(), "", AT_EMPTY_PATH, "an open file");
}

expected<std::string> CgroupFile::read() const {
  auto text = TRY(read_whole(file_, path_));
  if (!text.ends_with('\n')) return fail(Code::kDataLoss, path_ + ": is cut off");
  return text;
}

expected<bool> CgroupFile::still_reads(std::string_view text) const {
  std::array<char, 2048> few;  // NOLINT(*-member-init): the kernel fills it
  if (text.size() >= few.size()) return TRY(read()) == text;
  // The kernel makes all of the text for each read and gives what fits: one byte more than is
  // expected would show that there is more.
  std::size_t n = TRY(read_at(file_, std::span(few).first(text.size() + 1), 0, path_));
  return std::string_view(few.data(), n) == text;
}

ProcDirectory::ProcDirectory(pid_t pid, std::string_view root)
    : path_(fmt::format("{}/{}/", root, pid)) {}

expected<std::string> ProcDirectory::read(const char* name) const {
  std::string path = path_ + name;
  return read_whole(TRY(open_file(path)), path);
}

expected<ProcessStatus> ProcDirectory::status() const {
  auto status = parse_status(TRY(read("status")));
  if (!status) return fail_with(path_ + "status", status.error());
  return status;
}

expected<std::uint64_t> ProcDirectory::start_time() const {
  auto ticks = parse_start_time(TRY(read("stat")));
  if (!ticks) return fail_with(path_ + "stat", ticks.error());
  return ticks;
}

expected<CgroupFile> ProcDirectory::cgroup_file() const {
  std::string path = path_ + "cgroup";
  auto file = TRY(open_file(path));
  return CgroupFile(std::move(file), std::move(path));
}

expected<Fd> ProcDirectory::executable() const {
  std::string path = path_ + "exe";
  Fd exe(::open(path.c_str(), O_PATH | O_CLOEXEC));
  // ENOENT: a kernel thread, or a process that is just exiting.
  if (!exe && errno != EACCES && errno != EPERM && errno != ENOENT) {
    return fail_errno("open " + path, errno);
  }
  return exe;
}

expected<Fd> ProcDirectory::root_directory() const {
  std::string path = path_ + "root";
  Fd root(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root) return fail_file("open", path);
  return root;
}

expected<FileId> ProcDirectory::executable_id() const {
  auto file = status_of_file(path_ + "exe");
  if (file) return file->id;
  if (file.error().code == Code::kPermissionDenied) return FileId();
  return tl::unexpected<Error>(file.error());
}

expected<bool> ProcDirectory::has_main_thread() const {
  auto state = parse_state(TRY(read("stat")));
  if (!state) return fail_with(path_ + "stat", state.error());
  return *state != 'Z' && *state != 'X';
}

}  // namespace nodepilot
