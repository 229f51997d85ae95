// What a round of attack is made of: processes, a socket to the agent that they share, and signals
// between them. Nobody outlives the round.
// Thread: one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <random>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace nodepilot {

// What all rounds share.
struct Setting {
  std::string socket;   // of the agent
  pid_t agent = 0;      // which may be stopped
  std::string allowed;  // a copy of this program that has an identity, if kProgramUid runs it
  std::string other;    // one that has none
  std::string outside;  // a cgroup of no pod, delegated to kForgerUid
  std::string web;      // the cgroups of containers, each of another pod
  std::string shop;
};

// Who has which identity: each victim that of identity_of(), attackers none.
constexpr uid_t kFirstVictim = 61011;
constexpr uid_t kFirstAttacker = 61101;
constexpr uid_t kEach = 8;
constexpr uid_t kProgramUid = 61031;
constexpr uid_t kForgerUid = 61041;
constexpr gid_t kGid = 61000;
std::set<std::string> identity_of(uid_t uid);

// Something that has happened, told from process to process.
class Gate {
 public:
  Gate();
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;
  ~Gate();

  void open(int waiting = 1);
  // False if that does not happen within seconds.
  bool wait();
  // For who runs another program and uses the gate there.
  int way_in() const { return ends_[1]; }

 private:
  int ends_[2];
};

class Stage {
 public:
  Stage(const Setting& setting, std::uint64_t seed);
  Stage(const Stage&) = delete;
  Stage& operator=(const Stage&) = delete;
  // All processes end.
  ~Stage();

  const Setting& setting() const { return setting_; }
  int socket() const { return socket_; }

  // Random.
  int below(int end) { return static_cast<int>(random_() % static_cast<unsigned>(end)); }
  bool chance() { return below(2) == 0; }
  uid_t victim() { return kFirstVictim + static_cast<uid_t>(below(kEach)); }
  uid_t attacker() { return kFirstAttacker + static_cast<uid_t>(below(kEach)); }
  // How many bytes the first sender sends: often a whole frame, never all.
  std::size_t cut();

  // A child that does `work` and ends.
  template <class Work>
  pid_t start(Work&& work) {
    return start_as(0, std::forward<Work>(work));
  }
  // The same with a pid that is free; -1 if it is not.
  template <class Work>
  pid_t start_as(pid_t pid, Work&& work) {
    pid_t child = fork_as(pid);
    if (child != 0) return child;
    prepare();
    work();
    leave();
  }
  // Returns once it has ended.
  static void reap(pid_t pid);

  // For the processes. Ends the caller if it cannot.
  void connect();
  void send(std::size_t from, std::size_t to) const;
  // Until the round is over.
  void hold() const;
  [[noreturn]] static void leave();
  // Another program, as send_program() or connect_program() reads it.
  void exec_sender(const std::string& path, std::size_t from) const;
  void exec_connector(const std::string& path, std::size_t cut, const std::string& next) const;

  // Whether somebody connects.
  bool connected() { return is_connected_ = is_connected_ || connected_.wait(); }

 private:
  static pid_t fork_as(pid_t pid);
  void prepare() const;

  const Setting& setting_;
  std::mt19937_64 random_;
  const int socket_;
  Gate connected_;
  bool is_connected_ = false;
  int hold_[2];
};

void send_bytes(int socket, std::size_t from, std::size_t to);
void connect_socket(int socket, const std::string& path);
void wait_for_end(int hold);

// Effective; back by become_effective(0).
void become_effective(uid_t uid);
void become(uid_t uid);
// The caller moves there.
void join_cgroup(const std::string& folder);
void spin(int microseconds);
// Stands still once this returns.
void stop_process(pid_t pid);
void continue_process(pid_t pid);

}  // namespace nodepilot
