#include "rotation/outputs/hooks.h"

#include <doctest/doctest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <thread>

#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

const HookContext kContext{"spiffe://td/web", "/etc/web"};

// A child that writes a byte for each SIGHUP, and is killed at the end.
class SignalledChild {
 public:
  explicit SignalledChild(uid_t uid = ::geteuid()) {
    REQUIRE(::pipe(pipe_.data()) == 0);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ > 0) {
      ::close(pipe_[1]);
      CHECK(next_byte() == 'r');
      return;
    }
    sigset_t hups;
    ::sigemptyset(&hups);
    ::sigaddset(&hups, SIGHUP);
    ::sigprocmask(SIG_BLOCK, &hups, nullptr);
    if (uid != ::geteuid() && ::setuid(uid) != 0) ::_exit(1);
    char byte = 'r';
    int signal = 0;
    while (::write(pipe_[1], &byte, 1) == 1 && ::sigwait(&hups, &signal) == 0) byte = 'h';
    ::_exit(1);
  }
  SignalledChild(const SignalledChild&) = delete;
  SignalledChild& operator=(const SignalledChild&) = delete;
  ~SignalledChild() {
    end();
    ::close(pipe_[0]);
  }

  void end() {
    if (pid_ == 0) return;
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = 0;
  }
  pid_t pid() const { return pid_; }
  std::string pid_text() const { return std::to_string(pid_) + "\n"; }
  char next_byte() const {
    pollfd poll{.fd = pipe_[0], .events = POLLIN, .revents = 0};
    char byte = 0;
    if (::poll(&poll, 1, 5000) == 1 && ::read(pipe_[0], &byte, 1) == 1) return byte;
    return 0;
  }
  bool heard_nothing() const {
    pollfd poll{.fd = pipe_[0], .events = POLLIN, .revents = 0};
    return ::poll(&poll, 1, 0) == 0;
  }

 private:
  std::array<int, 2> pipe_{};
  pid_t pid_ = 0;
};

struct SignalRig {
  expected<void> send(const std::string& text, const fs::path& executable = {}) {
    std::ofstream(pid_file) << text;
    return send_signal({.signal = SIGHUP, .pid_file = pid_file, .executable = executable});
  }

  TemporaryDirectory home;
  fs::path pid_file = home / "web.pid";
  SignalledChild child;
};

TEST_CASE("the process in the pid file gets the signal") {
  SignalRig rig;
  fs::path own = fs::read_symlink("/proc/self/exe");

  REQUIRE(rig.send(rig.child.pid_text()));
  CHECK(rig.child.next_byte() == 'h');
  REQUIRE(rig.send(rig.child.pid_text() + "/var/lib/data\n1700000000\n", own));  // as PostgreSQL's
  CHECK(rig.child.next_byte() == 'h');
}

TEST_CASE("a process of another executable gets no signal") {
  SignalRig rig;

  auto refused = rig.send(rig.child.pid_text(), "/usr/sbin/nginx");

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  CHECK(refused.error().message.ends_with(", not /usr/sbin/nginx"));
  CHECK(rig.child.heard_nothing());
}

TEST_CASE("a pid file that names no process to be signalled is refused") {
  SignalRig rig;
  for (const std::string& text :
       {std::string("0"), std::string("1"), std::string("-1"),
        "-" + std::to_string(rig.child.pid()), std::to_string(::getpid()), std::string(),
        std::string("\n"), std::string("nginx"), rig.child.pid_text().substr(0, 1) + "x",
        std::string("99999999999999999999"), std::string("0x10")}) {
    auto refused = rig.send(text);

    REQUIRE_FALSE(refused);
    CHECK(refused.error().code == Code::kFailedPrecondition);
  }
  CHECK(rig.child.heard_nothing());
}

TEST_CASE("a pid file that another may write, or that is no file, is refused") {
  SignalRig rig;
  REQUIRE(rig.send(rig.child.pid_text()));
  CHECK(rig.child.next_byte() == 'h');
  SUBCASE("writable by all") { fs::permissions(rig.pid_file, fs::perms(0666)); }
  SUBCASE("writable by its group") { fs::permissions(rig.pid_file, fs::perms(0664)); }
  SUBCASE("a link") {
    fs::rename(rig.pid_file, rig.home / "real");
    fs::create_symlink(rig.home / "real", rig.pid_file);
  }
  SUBCASE("a FIFO") {
    fs::remove(rig.pid_file);
    REQUIRE(::mkfifo(rig.pid_file.c_str(), 0600) == 0);
  }
  SUBCASE("missing") { fs::remove(rig.pid_file); }

  auto refused = send_signal({.signal = SIGHUP, .pid_file = rig.pid_file});

  CHECK_FALSE(refused);
  CHECK(rig.child.heard_nothing());
}

TEST_CASE("a process that has ended is not found") {
  SignalRig rig;
  std::string text = rig.child.pid_text();
  rig.child.end();

  auto failed = rig.send(text);

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kNotFound);
}

TEST_CASE("a process that has ended and is not waited for yet is not found") {
  SignalRig rig;
  pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  siginfo_t info{};
  REQUIRE(::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) == 0);

  auto failed = rig.send(std::to_string(pid));

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kNotFound);
  CHECK(::waitpid(pid, nullptr, 0) == pid);
}

TEST_CASE("another user's pid file can name a process of that user only") {
  if (::geteuid() != 0) return;
  constexpr uid_t kUser = 61001;
  SignalRig rig;
  SignalledChild of_user(kUser);
  std::ofstream(rig.pid_file) << "0";
  REQUIRE(::chown(rig.pid_file.c_str(), kUser, kUser) == 0);

  auto refused = rig.send(rig.child.pid_text());
  auto sent = rig.send(of_user.pid_text());

  REQUIRE_FALSE(refused);
  CHECK(refused.error().code == Code::kFailedPrecondition);
  CHECK(refused.error().message.find("belongs to uid 61001") != std::string::npos);
  CHECK(rig.child.heard_nothing());
  CHECK(sent);
  CHECK(of_user.next_byte() == 'h');
}

struct ExecRig {
  expected<void> run(std::vector<std::string> argv, Duration timeout = 30s) {
    return run_program({std::move(argv)}, kContext, timeout, stop);
  }
  // Runs a shell script; its standard output is what `out` holds then.
  expected<void> script(const std::string& text, Duration timeout = 30s) {
    return run({"/bin/sh", "-c", "exec 1>\"$1\" 3>&- ; " + text, "sh", out.string()}, timeout);
  }

  TemporaryDirectory home;
  fs::path out = home / "out";
  StopFlag stop;
};

TEST_CASE("arguments reach the program as they are, no shell between") {
  ExecRig rig;
  std::string hostile = "$(id) ; 'a b' \"*\" `x` \\ \n end";

  REQUIRE(rig.run({"/bin/sh", "-c", R"(printf '%s|' "$@" > "$0")", rig.out.string(), hostile, ""}));

  CHECK(read_text(rig.out) == hostile + "||");
}

TEST_CASE("the environment is small and ours") {
  ExecRig rig;
  REQUIRE(::setenv("NODEPILOT_TEST_LEAK", "leaked", 1) == 0);

  REQUIRE(rig.script("/usr/bin/env"));

  std::string text = read_text(rig.out);
  CHECK(text.find("NODEPILOT_SPIFFE_ID=spiffe://td/web\n") != std::string::npos);
  CHECK(text.find("NODEPILOT_DIRECTORY=/etc/web\n") != std::string::npos);
  CHECK(text.find("PATH=/") != std::string::npos);
  CHECK(text.find("leaked") == std::string::npos);
}

TEST_CASE("neither descriptors nor signal settings of ours reach the program") {
  ExecRig rig;
  // Inheritable, as a careless library would leave one.
  int leaked = ::dup(0);
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);
  auto old_handler = ::signal(SIGPIPE, SIG_IGN);

  auto ran = rig.script(
      "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; pwd; "
      "grep -E 'Sig(Blk|Ign)|CapAmb' /proc/self/status");

  ::signal(SIGPIPE, old_handler);
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ::close(leaked);
  REQUIRE(ran);
  CHECK(read_text(rig.out) ==
        "0 1 2 3 /dev/null\n/\n"  // 3 is the directory that ls reads
        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nCapAmb:\t0000000000000000\n");
}

TEST_CASE("what the program says is in the error, the first bytes of it") {
  ExecRig rig;

  auto failed = rig.run({"/bin/sh", "-c", "echo out; echo err >&2; exit 3"});
  auto endless = rig.run({"/bin/sh", "-c", "yes | head -c 1000000; exit 4"});

  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "exit status 3: out\nerr");
  REQUIRE_FALSE(endless);
  CHECK(endless.error().message.starts_with("exit status 4: y\ny\n"));
  CHECK(endless.error().message.size() < 600);
}

TEST_CASE("a program that cannot be started, or ends by a signal, is an error") {
  ExecRig rig;

  CHECK(rig.run({"/nonexistent/program"}).error().message == "start: No such file or directory");
  CHECK(rig.run({"/etc/passwd"}).error().code == Code::kPermissionDenied);
  CHECK(rig.run({"/bin/sh", "-c", "kill -TERM $$"}).error().message == "ended by SIGTERM");
}

// Whether the process whose number the file tells is gone, or soon is.
bool is_gone(const fs::path& pid_file) {
  pid_t pid = std::stoi(read_text(pid_file));
  auto deadline = std::chrono::steady_clock::now() + 10s;
  while (::kill(pid, 0) == 0 && std::chrono::steady_clock::now() < deadline) {
    std::string status = read_text("/proc/" + std::to_string(pid) + "/stat");
    if (status.find(") Z ") != std::string::npos) return true;
    std::this_thread::yield();
  }
  return ::kill(pid, 0) != 0;
}

TEST_CASE("at the timeout the program and its children are killed") {
  ExecRig rig;
  auto start = std::chrono::steady_clock::now();

  auto failed = rig.script("sleep 60 & echo $!; echo waiting >&2; wait", 300ms);

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kDeadlineExceeded);
  CHECK(failed.error().message == "killed, it was not done within 300ms: waiting");
  CHECK(std::chrono::steady_clock::now() - start < 30s);
  CHECK(is_gone(rig.out));
}

TEST_CASE("a stop kills what runs, and what is yet to run") {
  ExecRig rig;
  std::thread stopper([&] {
    while (!fs::exists(rig.out) || read_text(rig.out).empty()) std::this_thread::yield();
    rig.stop.raise();
  });

  auto stopped = rig.script("sleep 60 & echo $!; wait");
  stopper.join();
  auto late = rig.run({"/bin/sleep", "60"});

  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Code::kCancelled);
  CHECK(is_gone(rig.out));
  REQUIRE_FALSE(late);
  CHECK(late.error().code == Code::kCancelled);
}

TEST_CASE("a program that leaves a child behind is done when it ends itself") {
  ExecRig rig;
  auto start = std::chrono::steady_clock::now();

  REQUIRE(rig.run({"/bin/sh", "-c", "sleep 60 & echo $! > " + rig.out.string()}));

  CHECK(std::chrono::steady_clock::now() - start < 30s);
  ::kill(std::stoi(read_text(rig.out)), SIGKILL);
}

}  // namespace
}  // namespace nodepilot
