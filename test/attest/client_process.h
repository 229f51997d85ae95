// Another process that has connected to us over a Unix socket. It stays in its first program until
// it is told to go on, and is killed and reaped at the end.
#pragma once

#include <sys/types.h>

#include <string>

#include "agent/base/fd.h"

namespace nodepilot {

class ClientProcess {
 public:
  // With `heir`, the client has a child that keeps the connection open after it.
  explicit ClientProcess(bool heir = false);
  ClientProcess(const ClientProcess&) = delete;
  ClientProcess& operator=(const ClientProcess&) = delete;
  ~ClientProcess();

  // Our end of the connection.
  int socket() const { return socket_.get(); }
  pid_t pid() const { return pid_; }

  // Returns once the client runs `program`, which must wait for its standard input to end.
  void exec(const std::string& program);
  // Returns once the client has exited; it stays a zombie.
  void exit();
  void reap();
  // Returns once the thread that the client began with has exited; another obeys instead.
  void lose_main_thread();
  // The client closes its end of the connection and lives on.
  void hang_up();

 private:
  void tell(const std::string& command);

  pid_t pid_ = 0;
  Fd socket_;
  Fd commands_;  // the client's standard input
  Fd answers_;   // ends when the client execs or exits
};

}  // namespace nodepilot
