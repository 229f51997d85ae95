#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <optional>
#include <string_view>

#include "agent/base/files.h"
#include "rotation/outputs/hooks.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxPidFileBytes = 4096;  // PostgreSQL's has more lines than one

struct PidFile {
  pid_t pid;
  uid_t owner;
};

tl::unexpected<Error> refuse(const fs::path& path, const std::string& why) {
  return fail(Code::kFailedPrecondition, path.string() + ": " + why);
}

expected<pid_t> parse_pid(const fs::path& path, std::string_view text) {
  std::string_view line = text.substr(0, text.find('\n'));
  while (!line.empty() && (line.back() == ' ' || line.back() == '\r')) line.remove_suffix(1);
  while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
  pid_t pid = 0;
  auto [stop, error] = std::from_chars(line.data(), line.data() + line.size(), pid);
  if (line.empty() || error != std::errc() || stop != line.data() + line.size()) {
    return refuse(path, "its first line is no process id");
  }
  if (pid <= 1) return refuse(path, fmt::format("names process {}, never to be signalled", pid));
  if (pid == ::getpid()) return refuse(path, "names this very process");
  return pid;
}

expected<PidFile> read_pid_file(const fs::path& path) {
  Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  if (!file) return fail_errno("open " + path.string(), errno);
  struct stat status {};
  if (::fstat(file.get(), &status) != 0) return fail_errno("stat " + path.string(), errno);
  if (!S_ISREG(status.st_mode)) return refuse(path, "not a regular file");
  if ((status.st_mode & 0022) != 0) {
    return refuse(path, fmt::format("mode {:04o} lets others name any process: chmod go-w {}",
                                    status.st_mode & 07777, path.string()));
  }
  std::array<char, kMaxPidFileBytes> text{};
  ssize_t length = ::read(file.get(), text.data(), text.size());
  if (length < 0) return fail_errno("read " + path.string(), errno);
  auto pid = TRY(parse_pid(path, {text.data(), static_cast<std::size_t>(length)}));
  return PidFile{pid, status.st_uid};
}

// The real uid, out of /proc/PID/status.
expected<uid_t> uid_of(pid_t pid) {
  fs::path path = fmt::format("/proc/{}/status", pid);
  std::string text = TRY(read_file(path, std::size_t{64} * 1024));
  constexpr std::string_view kKey = "\nUid:\t";
  auto start = text.find(kKey);
  uid_t uid = 0;
  if (start != std::string::npos) {
    const char* number = text.data() + start + kKey.size();
    if (std::from_chars(number, text.data() + text.size(), uid).ec == std::errc()) return uid;
  }
  return fail(Code::kInternal, "read " + path.string() + ": it has no uid");
}

expected<void> check_executable(pid_t pid, const fs::path& wanted) {
  std::string link = fmt::format("/proc/{}/exe", pid);
  std::array<char, PATH_MAX> target{};
  ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  if (length < 0) return fail_errno("read " + link, errno);
  std::string_view found(target.data(), static_cast<std::size_t>(length));
  // After an upgrade of its package the old program runs on until it is restarted.
  constexpr std::string_view kDeleted = " (deleted)";
  if (found.ends_with(kDeleted)) found.remove_suffix(kDeleted.size());
  if (found == wanted.native()) return {};
  return fail(Code::kFailedPrecondition,
              fmt::format("process {} is {}, not {}", pid, found, wanted.string()));
}

bool has_ended(int pidfd) {
  pollfd poll{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&poll, 1, 0) != 0;
}

}  // namespace

expected<void> send_signal(const SignalHook& hook) {
  PidFile named = TRY(read_pid_file(hook.pid_file));
  Fd process(static_cast<int>(::syscall(SYS_pidfd_open, named.pid, 0)));
  if (!process) {
    return fail_errno(fmt::format("{}: process {}", hook.pid_file.string(), named.pid), errno);
  }
  if (named.owner != 0 && named.owner != ::geteuid()) {
    uid_t uid = TRY(uid_of(named.pid));
    if (uid != named.owner) {
      return refuse(hook.pid_file, fmt::format("belongs to uid {}, but process {} to uid {}",
                                               named.owner, named.pid, uid));
    }
  }
  if (!hook.executable.empty()) TRY(check_executable(named.pid, hook.executable));
  // What /proc told was about our process only if that is still there.
  if (has_ended(process.get())) {
    return fail(Code::kNotFound,
                fmt::format("{}: process {} has ended", hook.pid_file.string(), named.pid));
  }
  if (::syscall(SYS_pidfd_send_signal, process.get(), hook.signal, nullptr, 0) != 0) {
    int error = errno;
    const char* advice = error == EPERM ? " (a process of another user takes CAP_KILL)" : "";
    return fail_errno(
        fmt::format("send {} to process {}{}", signal_name(hook.signal), named.pid, advice), error);
  }
  return {};
}

}  // namespace nodepilot
