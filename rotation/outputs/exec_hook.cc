#include <fcntl.h>
#include <fmt/format.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <optional>
#include <vector>

#include "rotation/outputs/hooks.h"

namespace nodepilot {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr std::size_t kMaxOutputBytes = 512;  // that an error shows
constexpr rlim_t kOpenFiles = 1024;           // programs with select() expect no more
constexpr int kErrorFd = 3;                   // in the child
constexpr int kFirstFreeFd = 10;              // ours, clear of those that the child has

struct Pipe {
  Fd read;
  Fd write;
};

expected<Fd> lifted(Fd fd) {
  Fd high(::fcntl(fd.get(), F_DUPFD_CLOEXEC, kFirstFreeFd));
  if (!high) return fail_errno("dup", errno);
  return high;
}

expected<Pipe> make_pipe() {
  std::array<int, 2> fds{};
  if (::pipe2(fds.data(), O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  Fd read(fds[0]);
  Fd write(fds[1]);
  Pipe pipe;
  pipe.read = TRY(lifted(std::move(read)));
  pipe.write = TRY(lifted(std::move(write)));
  if (::fcntl(pipe.read.get(), F_SETFL, O_NONBLOCK) != 0) return fail_errno("fcntl", errno);
  return pipe;
}

// All that the child needs, made before there is one: after the fork of a process with threads
// nothing may be allocated.
struct Launch {
  std::vector<std::string> texts;  // argv, then the environment
  std::vector<char*> argv;
  std::vector<char*> environment;
  Fd null;
  Pipe output;
  Pipe error;  // of a failed exec
};

expected<Launch> prepare(const ExecHook& hook, const HookContext& context) {
  Launch launch;
  launch.texts = hook.argv;
  launch.texts.emplace_back("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  launch.texts.push_back("NODEPILOT_SPIFFE_ID=" + context.spiffe_id);
  launch.texts.push_back("NODEPILOT_DIRECTORY=" + context.directory.string());
  for (std::size_t i = 0; i < launch.texts.size(); ++i) {
    auto& list = i < hook.argv.size() ? launch.argv : launch.environment;
    list.push_back(launch.texts[i].data());
  }
  launch.argv.push_back(nullptr);
  launch.environment.push_back(nullptr);
  Fd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  if (!null) return fail_errno("open /dev/null", errno);
  launch.null = TRY(lifted(std::move(null)));
  launch.output = TRY(make_pipe());
  launch.error = TRY(make_pipe());
  return launch;
}

// Ours are blocked in worker threads, and SIGPIPE is ignored: both would be inherited.
bool reset_signals() {
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  return ::sigprocmask(SIG_SETMASK, &none, nullptr) == 0;
}

bool arrange_files(const Launch& launch) {
  return ::dup2(launch.null.get(), STDIN_FILENO) >= 0 &&
         ::dup2(launch.output.write.get(), STDOUT_FILENO) >= 0 &&
         ::dup2(launch.output.write.get(), STDERR_FILENO) >= 0 &&
         ::dup3(launch.error.write.get(), kErrorFd, O_CLOEXEC) >= 0 &&
         ::syscall(SYS_close_range, kErrorFd + 1, ~0U, 0) == 0;
}

// The agent's right to look into other processes and files is not the program's.
bool drop_privileges() {
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return false;
  files.rlim_cur = std::min(files.rlim_cur, kOpenFiles);
  return ::setrlimit(RLIMIT_NOFILE, &files) == 0 &&
         ::prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
}

// In the child: system calls only.
[[noreturn]] void become(const Launch& launch) {
  bool ready = ::setpgid(0, 0) == 0 && reset_signals() && arrange_files(launch) &&
               drop_privileges() && ::chdir("/") == 0;
  if (ready) ::execve(launch.argv.front(), launch.argv.data(), launch.environment.data());
  int error = errno;
  [[maybe_unused]] ssize_t written = ::write(kErrorFd, &error, sizeof(error));
  ::_exit(127);
}

// A child that is killed with its process group, and waited for, if it still runs at the end.
class Child {
 public:
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    if (pid_ > 0) end();
  }

  int pidfd() const { return pidfd_.get(); }

  // Its wait status.
  int wait() {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    pid_ = 0;
    return status;
  }

  // Until it is waited for, its number and that of its group are nobody else's.
  void end() {
    ::kill(-pid_, SIGKILL);
    ::kill(pid_, SIGKILL);  // it may not have made its group yet
    wait();
  }

 private:
  pid_t pid_;
  Fd pidfd_;
};

// Keeps the first bytes, but takes all: the program must not wait for a reader.
void read_output(Fd& pipe, std::string& kept) {
  std::array<char, 4096> chunk{};
  while (true) {
    ssize_t length = ::read(pipe.get(), chunk.data(), chunk.size());
    if (length < 0 && errno == EINTR) continue;
    if (length == 0) pipe.reset();
    if (length <= 0) return;
    kept.append(chunk.data(),
                std::min(static_cast<std::size_t>(length), kMaxOutputBytes - kept.size()));
    // One round a turn: an endless talker must not keep us from the clock.
    if (static_cast<std::size_t>(length) == chunk.size()) return;
  }
}

expected<void> wait_for_exit(const Child& child, Fd& output, std::string& kept, Duration timeout,
                             const StopFlag& stop) {
  auto deadline = SteadyClock::now() + timeout;
  while (true) {
    auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SteadyClock::now());
    if (left.count() <= 0) {
      return fail(Code::kDeadlineExceeded,
                  fmt::format("killed, it was not done within {}", to_text(timeout)));
    }
    // A closed output is -1, which poll() passes over.
    std::array<pollfd, 3> polls{pollfd{.fd = child.pidfd(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = stop.fd(), .events = POLLIN, .revents = 0},
                                pollfd{.fd = output.get(), .events = POLLIN, .revents = 0}};
    if (::poll(polls.data(), polls.size(), static_cast<int>(left.count())) < 0 && errno != EINTR) {
      return fail_errno("poll", errno);
    }
    if (polls[2].revents != 0) read_output(output, kept);
    if (polls[1].revents != 0) return fail(Code::kCancelled, "killed, the agent is stopping");
    if (polls[0].revents != 0) return {};
  }
}

std::string with_output(const std::string& what, std::string kept) {
  while (!kept.empty() && (kept.back() == '\n' || kept.back() == ' ')) kept.pop_back();
  return kept.empty() ? what : what + ": " + kept;
}

expected<void> check_end(int status, const Fd& error, const std::string& kept) {
  int failed_exec = 0;
  if (::read(error.get(), &failed_exec, sizeof(failed_exec)) == sizeof(failed_exec)) {
    return fail_errno("start", failed_exec);
  }
  if (WIFSIGNALED(status)) {
    return fail(Code::kInternal, with_output("ended by " + signal_name(WTERMSIG(status)), kept));
  }
  if (WEXITSTATUS(status) == 0) return {};
  return fail(Code::kInternal,
              with_output("exit status " + std::to_string(WEXITSTATUS(status)), kept));
}

}  // namespace

expected<void> run_program(const ExecHook& hook, const HookContext& context, Duration timeout,
                           const StopFlag& stop) {
  Launch launch = TRY(prepare(hook, context));
  pid_t pid = ::_Fork();  // without the handlers of libraries, which fork() would run
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) become(launch);
  Child child(pid, Fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))));
  if (child.pidfd() < 0) return fail_errno("pidfd_open", errno);
  launch.output.write.reset();
  launch.error.write.reset();

  std::string kept;
  Fd output = std::move(launch.output.read);
  if (auto exited = wait_for_exit(child, output, kept, timeout, stop); !exited) {
    child.end();
    return tl::unexpected(Error{exited.error().code, with_output(exited.error().message, kept)});
  }
  if (output) read_output(output, kept);
  int status = child.wait();
  return check_end(status, launch.error.read, kept);
}

}  // namespace nodepilot
