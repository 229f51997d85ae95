#include "test/adversary/stage.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "test/adversary/wire.h"

namespace nodepilot {
namespace {

constexpr unsigned kLongestLifeSeconds = 15;  // of a process; exec keeps the alarm
constexpr int kGateMilliseconds = 5000;

[[noreturn]] void give_up(const char* what) {
  std::perror(what);
  ::_exit(1);
}

std::string read_some(const std::string& path) {
  int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<char, 512> space;
  ssize_t n = file < 0 ? 0 : ::read(file, space.data(), space.size());
  if (file >= 0) ::close(file);
  return {space.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

}  // namespace

std::set<std::string> identity_of(uid_t uid) {
  if (uid == 0) return {"root"};
  if (uid >= kFirstVictim && uid < kFirstVictim + kEach) return {"u" + std::to_string(uid)};
  return {};
}

Gate::Gate() {
  if (::pipe(ends_) != 0) give_up("pipe");
}

Gate::~Gate() {
  ::close(ends_[0]);
  ::close(ends_[1]);
}

void Gate::open(int waiting) {
  for (; waiting > 0; --waiting) {
    if (::write(ends_[1], "x", 1) != 1) give_up("open a gate");
  }
}

bool Gate::wait() {
  pollfd ready{.fd = ends_[0], .events = POLLIN, .revents = 0};
  char byte = 0;
  return ::poll(&ready, 1, kGateMilliseconds) == 1 && ::read(ends_[0], &byte, 1) == 1;
}

Stage::Stage(const Setting& setting, std::uint64_t seed)
    : setting_(setting), random_(seed), socket_(::socket(AF_UNIX, SOCK_STREAM, 0)) {
  if (socket_ < 0 || ::pipe(hold_) != 0) give_up("set the stage");
}

Stage::~Stage() {
  ::close(hold_[1]);
  ::close(socket_);
  while (::waitpid(-1, nullptr, 0) > 0) {
  }
  ::close(hold_[0]);
}

std::size_t Stage::cut() {
  constexpr std::size_t kPreface = 24;
  constexpr std::size_t kSettings = 9;
  const std::size_t size = call_bytes().size();
  const std::array<std::size_t, 6> ends = {0,         0,       kPreface, kPreface + kSettings,
                                           size - 14, size - 1};
  auto which = static_cast<std::size_t>(below(ends.size() + 2));
  return which < ends.size() ? ends[which]
                             : static_cast<std::size_t>(below(static_cast<int>(size)));
}

// With a pid of our choice the C library's fork() would not do. The child has one thread.
pid_t Stage::fork_as(pid_t pid) {
  if (pid == 0) return ::fork();
  clone_args args{};
  args.exit_signal = SIGCHLD;
  args.set_tid = reinterpret_cast<std::uintptr_t>(&pid);
  args.set_tid_size = 1;
  return static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
}

void Stage::prepare() const {
  ::alarm(kLongestLifeSeconds);
  ::close(hold_[1]);
  if (::setgroups(0, nullptr) != 0 || ::setresgid(kGid, kGid, kGid) != 0) give_up("setresgid");
}

void Stage::reap(pid_t pid) { ::waitpid(pid, nullptr, 0); }

void Stage::connect() {
  connect_socket(socket_, setting_.socket);
  connected_.open();
}

void Stage::send(std::size_t from, std::size_t to) const { send_bytes(socket_, from, to); }
void Stage::hold() const { wait_for_end(hold_[0]); }
void Stage::leave() { ::_exit(0); }

void Stage::exec_sender(const std::string& path, std::size_t from) const {
  std::string socket = std::to_string(socket_);
  std::string hold = std::to_string(hold_[0]);
  std::string begin = std::to_string(from);
  ::execl(path.c_str(), path.c_str(), "send", socket.c_str(), hold.c_str(), begin.c_str(), nullptr);
  give_up("exec the sender");
}

void Stage::exec_connector(const std::string& path, std::size_t cut,
                           const std::string& next) const {
  std::string socket = std::to_string(socket_);
  std::string hold = std::to_string(hold_[0]);
  std::string end = std::to_string(cut);
  std::string gate = std::to_string(connected_.way_in());
  ::execl(path.c_str(), path.c_str(), "connect", socket.c_str(), hold.c_str(), end.c_str(),
          gate.c_str(), setting_.socket.c_str(), next.c_str(), nullptr);
  give_up("exec the connector");
}

void send_bytes(int socket, std::size_t from, std::size_t to) {
  std::string_view bytes = std::string_view(call_bytes()).substr(from, to - from);
  // If the agent has closed the connection, that is what the round will see.
  if (!bytes.empty()) (void)!::send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
}

void connect_socket(int socket, const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  if (::connect(socket, generic, sizeof address) != 0) give_up("connect");
}

void wait_for_end(int hold) {
  char byte = 0;
  (void)!::read(hold, &byte, 1);
}

void become_effective(uid_t uid) {
  if (::seteuid(0) != 0 || ::seteuid(uid) != 0) give_up("seteuid");
}

void become(uid_t uid) {
  if (::seteuid(0) != 0 || ::setresuid(uid, uid, uid) != 0) give_up("setresuid");
}

void join_cgroup(const std::string& folder) {
  int file = ::open((folder + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0 || ::write(file, "0", 1) != 1) give_up(folder.c_str());
  ::close(file);
}

void spin(int microseconds) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::microseconds(microseconds);
  while (Clock::now() < end) {
  }
}

void stop_process(pid_t pid) {
  ::kill(pid, SIGSTOP);
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  // Another worker may let it go on at any time, so this gives up at last.
  for (int tries = 0; tries < 200; ++tries) {
    if (read_some(path).find(") T ") != std::string::npos) return;
    ::sched_yield();
  }
}

void continue_process(pid_t pid) { ::kill(pid, SIGCONT); }

}  // namespace nodepilot
