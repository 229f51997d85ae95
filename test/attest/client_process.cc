#include "test/attest/client_process.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>

#include "attest/proc.h"

namespace nodepilot {
namespace {

struct Address {
  sockaddr_un name{};
  socklen_t size = sizeof name;
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&name); }
};

[[noreturn]] void obey(int socket, int answers);

struct Successor {
  int socket, answers;
};

void* succeed(void* argument) {
  auto [socket, answers] = *static_cast<Successor*>(argument);
  if (::write(answers, "", 1) != 1) ::_exit(1);
  obey(socket, answers);
}

// Ends this thread and nothing else; pthread_exit() would unwind what the fork has left on the
// stack.
[[noreturn]] void go_on_in_another_thread(int socket, int answers) {
  static Successor successor;
  successor = {socket, answers};
  pthread_t thread{};
  if (::pthread_create(&thread, nullptr, succeed, &successor) != 0) ::_exit(1);
  ::syscall(SYS_exit, 0);
  ::abort();
}

// Obeys one command a line: "exit", "hang up", "lose the main thread", or the program to become.
void obey(int socket, int answers) {
  std::string command;
  char c = 0;
  while (::read(STDIN_FILENO, &c, 1) == 1) {
    if (c != '\0') {
      command += c;
    } else if (command == "exit") {
      ::_exit(0);
    } else if (command == "hang up") {
      ::close(socket);
      if (::write(answers, "", 1) != 1) ::_exit(1);
      command.clear();
    } else if (command == "lose the main thread") {
      go_on_in_another_thread(socket, answers);
    } else {
      ::execl(command.c_str(), "cat", nullptr);
      ::_exit(127);
    }
  }
  ::_exit(0);
}

[[noreturn]] void be_client(Address server, int commands, int answers, bool heir) {
  int socket = ::socket(AF_UNIX, SOCK_STREAM, 0);
  if (::connect(socket, server.get(), server.size) != 0) ::_exit(1);
  ::dup2(commands, STDIN_FILENO);
  if (heir && ::fork() == 0) {
    // Holds the connection only: the pipe to the answers would hide the client's exit.
    ::close(answers);
    char c = 0;
    [[maybe_unused]] ssize_t n = ::read(socket, &c, 1);
    ::_exit(0);
  }
  obey(socket, answers);
}

std::array<Fd, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
  return {Fd(ends[0]), Fd(ends[1])};
}

}  // namespace

ClientProcess::ClientProcess(bool heir) {
  Fd listener(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  Address address;
  // A bare family: the kernel picks a free abstract name.
  address.name.sun_family = AF_UNIX;
  if (::bind(listener.get(), address.get(), offsetof(sockaddr_un, sun_path)) != 0 ||
      ::listen(listener.get(), 1) != 0 ||
      ::getsockname(listener.get(), address.get(), &address.size) != 0) {
    throw std::runtime_error("cannot listen");
  }
  auto commands = make_pipe();
  auto answers = make_pipe();

  pid_ = ::fork();
  if (pid_ < 0) throw std::runtime_error("fork failed");
  if (pid_ == 0) {
    commands[1].reset();
    be_client(address, commands[0].get(), answers[1].get(), heir);
  }
  socket_.reset(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  commands_ = std::move(commands[1]);
  answers_ = std::move(answers[0]);
}

ClientProcess::~ClientProcess() {
  if (pid_ <= 0) return;
  ::kill(pid_, SIGKILL);
  reap();
}

void ClientProcess::tell(const std::string& command) {
  ssize_t size = static_cast<ssize_t>(command.size()) + 1;
  char answer = 0;
  if (::write(commands_.get(), command.c_str(), command.size() + 1) != size ||
      ::read(answers_.get(), &answer, 1) < 0) {
    throw std::runtime_error("the client does not answer");
  }
}

void ClientProcess::exec(const std::string& program) { tell(program); }

void ClientProcess::exit() {
  tell("exit");
  siginfo_t ignored{};
  ::waitid(P_PID, static_cast<id_t>(pid_), &ignored, WEXITED | WNOWAIT);
}

void ClientProcess::reap() {
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void ClientProcess::lose_main_thread() {
  tell("lose the main thread");
  // Its successor has told us, and the thread itself does nothing more than exit.
  while (ProcDirectory(pid_).has_main_thread().value_or(false)) ::sched_yield();
}

void ClientProcess::hang_up() { tell("hang up"); }

}  // namespace nodepilot
