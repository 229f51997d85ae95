#include "test/adversary/rounds.h"

#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstring>
#include <string_view>
#include <utility>

#include "test/adversary/wire.h"

namespace nodepilot {
namespace {

constexpr int kLongestSpin = 300;  // microseconds: about what the agent takes to accept and look

constexpr int kLongestGreeting = 100;  // milliseconds

using Played = std::optional<Entitled>;

std::size_t whole_call() { return call_bytes().size(); }

// Whoever the attack may be meant for: mostly somebody without an identity.
uid_t second_uid(Stage& stage) {
  int which = stage.below(10);
  if (which == 0) return 0;
  return which < 3 ? stage.victim() : stage.attacker();
}

// Somebody of `uid` connects, sends `cut` bytes and does what comes then.
template <class Then>
pid_t start_connector(Stage& stage, uid_t uid, std::size_t cut, Then then) {
  return stage.start([&stage, uid, cut, then] {
    become_effective(uid);
    stage.connect();
    stage.send(0, cut);
    then();
  });
}

Played honest(Stage& stage) {
  uid_t uid = stage.chance() ? stage.victim() : stage.attacker();
  Entitled entitled{identity_of(uid), true};
  int where = stage.below(5);
  if (where == 0) {
    entitled.identities = {"program"};
    stage.start([&] {
      become(kProgramUid);
      stage.exec_connector(stage.setting().allowed, whole_call(), "");
    });
    return entitled;
  }
  if (where == 1) entitled.identities.insert("pod-web");
  stage.start([&] {
    if (where == 1) join_cgroup(stage.setting().web);
    become(uid);
    stage.connect();
    stage.send(0, whole_call());
    stage.hold();
  });
  return entitled;
}

// One program connects, and the next one that the same process runs sends the rest.
Played exec(Stage& stage) {
  bool becomes_other = stage.below(3) > 0;
  bool at_once = becomes_other && stage.below(4) == 0;  // all is sent before
  std::size_t cut = at_once ? whole_call() : stage.cut();
  const Setting& setting = stage.setting();
  stage.start([&] {
    become(kProgramUid);
    if (becomes_other) stage.exec_connector(setting.allowed, cut, setting.other);
    stage.exec_connector(setting.other, cut, setting.allowed);
  });
  if (becomes_other && !at_once) return Entitled{};
  return Entitled{{"program"}};
}

Played setuid(Stage& stage) {
  uid_t first = stage.below(4) == 0 ? 0 : stage.victim();
  uid_t second = second_uid(stage);
  if (first == second) second = stage.attacker();
  std::size_t cut = stage.cut();
  int before = stage.below(kLongestSpin);
  int after = stage.below(kLongestSpin);
  start_connector(stage, first, cut, [&stage, second, cut, before, after] {
    spin(before);
    become(second);
    spin(after);
    stage.send(cut, whole_call());
    stage.hold();
  });
  return Entitled{identity_of(second)};
}

void give_socket(int way, int socket) {
  char byte = 'x';
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(head), &socket, sizeof socket);
  (void)!::sendmsg(way, &message, MSG_NOSIGNAL);
}

int take_socket(int way) {
  char byte = 0;
  iovec part{&byte, 1};
  alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> space{};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = space.data();
  message.msg_controllen = space.size();
  cmsghdr* head = ::recvmsg(way, &message, 0) == 1 ? CMSG_FIRSTHDR(&message) : nullptr;
  int socket = -1;
  if (head != nullptr) std::memcpy(&socket, CMSG_DATA(head), sizeof socket);
  return socket;
}

Played passing(Stage& stage) {
  int way[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM, 0, way) != 0) return std::nullopt;
  uid_t taker = second_uid(stage);
  std::size_t cut = stage.cut();
  bool giver_stays = stage.chance();
  int delay = stage.below(kLongestSpin);
  start_connector(stage, stage.victim(), cut, [&] {
    give_socket(way[0], stage.socket());
    if (giver_stays) stage.hold();
  });
  stage.start([&] {
    become(taker);
    ::close(stage.socket());
    ::close(way[0]);
    int socket = take_socket(way[1]);
    spin(delay);
    send_bytes(socket, cut, whole_call());
    stage.hold();
  });
  ::close(way[0]);
  ::close(way[1]);
  return Entitled{identity_of(taker)};
}

Played inheriting(Stage& stage) {
  uid_t heir = second_uid(stage);
  std::size_t cut = stage.cut();
  bool parent_stays = stage.chance();
  int delay = stage.below(kLongestSpin);
  start_connector(stage, stage.victim(), cut, [&stage, heir, cut, parent_stays, delay] {
    if (::fork() == 0) {
      become(heir);
      spin(delay);
      stage.send(cut, whole_call());
    } else if (!parent_stays) {
      return;
    }
    stage.hold();
  });
  return Entitled{identity_of(heir)};
}

// The agent has looked at who connects once it greets.
void await_greeting(int socket) {
  pollfd ready{.fd = socket, .events = POLLIN, .revents = 0};
  ::poll(&ready, 1, kLongestGreeting);
}

// The connector dies, and somebody with its pid sends the rest. The agent may stand still
// meanwhile, so that it finds death, heir and bytes all at once.
Played pid_reuse(Stage& stage) {
  uid_t heir = stage.attacker();
  std::size_t cut = stage.cut();
  int when = stage.below(3);
  pid_t agent = stage.setting().agent;
  Gate end;
  if (when == 0) stop_process(agent);
  pid_t connector = start_connector(stage, stage.victim(), cut, [&end] { end.wait(); });
  bool staged = stage.connected();
  if (when == 1) {
    await_greeting(stage.socket());
    stop_process(agent);
  }
  end.open();
  Stage::reap(connector);
  int delay = stage.below(kLongestSpin);
  pid_t recycled = stage.start_as(connector, [&stage, heir, cut, delay] {
    ::prctl(PR_SET_NAME, "x) R 1 (y");  // in the middle of /proc/PID/stat
    become(heir);
    if (delay % 2 == 0) spin(delay);
    stage.send(cut, whole_call());
    stage.hold();
  });
  if (when < 2) {
    spin(kLongestSpin);
    continue_process(agent);
  }
  return staged && recycled == connector ? Played(Entitled{}) : std::nullopt;
}

// Makes what is missing of `path` below `root`.
std::string make_below(const std::string& root, std::string_view path) {
  std::string folder = root;
  while (!path.empty()) {
    std::size_t end = std::min(path.find('/'), path.size());
    folder.append("/").append(path.substr(0, end));
    ::mkdir(folder.c_str(), 0755);
    path.remove_prefix(std::min(end + 1, path.size()));
  }
  return folder;
}

// A cgroup that looks like the victim's container, made by whoever owns the one above it: one of
// no pod, or another pod's container.
Played forged_cgroup(Stage& stage) {
  const Setting& setting = stage.setting();
  bool in_pod = stage.chance();
  bool whole_path = stage.chance();
  const std::string& above = in_pod ? setting.shop : setting.outside;
  std::string_view victim = setting.web;
  victim.remove_prefix(whole_path ? victim.find("kubepods") : victim.rfind("/pod") + 1);
  stage.start([&] {
    join_cgroup(above);
    become(kForgerUid);
    join_cgroup(make_below(above, victim));
    stage.connect();
    stage.send(0, whole_call());
    stage.hold();
  });
  return in_pod ? Entitled{{"pod-shop"}} : Entitled{};
}

// In namespaces of its own the sender's cgroup is at the root of all, and the victim's is mounted
// over it: /proc/PID/mountinfo shows what the sender likes.
Played forged_mount(Stage& stage) {
  const Setting& setting = stage.setting();
  uid_t uid = stage.attacker();
  stage.start([&] {
    join_cgroup(setting.outside);
    if (::unshare(CLONE_NEWNS | CLONE_NEWCGROUP) != 0) return;
    if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return;
    if (::mount(setting.web.c_str(), setting.outside.c_str(), nullptr, MS_BIND, nullptr) != 0)
      return;
    become(uid);
    stage.connect();
    stage.send(0, whole_call());
    stage.hold();
  });
  return Entitled{};
}

// A process of one cgroup connects and is moved to another before it sends the rest.
Played moved_cgroup(Stage& stage) {
  const Setting& setting = stage.setting();
  const std::array<std::pair<std::string, std::set<std::string>>, 3> places = {
      {{setting.web, {"pod-web"}}, {setting.shop, {"pod-shop"}}, {setting.outside, {}}}};
  auto from = static_cast<std::size_t>(stage.below(3));
  std::size_t to = (from + 1 + static_cast<std::size_t>(stage.below(2))) % 3;
  uid_t uid = stage.attacker();
  std::size_t cut = stage.cut();
  stage.start([&] {
    join_cgroup(places[from].first);
    become_effective(uid);
    stage.connect();
    stage.send(0, cut);
    become_effective(0);
    join_cgroup(places[to].first);
    become(uid);
    stage.send(cut, whole_call());
    stage.hold();
  });
  return Entitled{places[to].second};
}

Played cgroup(Stage& stage) {
  int which = stage.below(5);
  if (which == 0) return forged_mount(stage);
  return which < 3 ? forged_cgroup(stage) : moved_cgroup(stage);
}

// An attacker with the same socket sends while the one who connected ends, becomes another program
// or user, or is stopped; or it sends all by itself and ends at once.
Played race(Stage& stage) {
  uid_t victim = stage.victim();
  uid_t attacker = stage.attacker();
  bool honest_bytes = stage.below(4) == 0;
  std::size_t cut = honest_bytes ? whole_call() : stage.cut();
  int how = stage.below(4);
  std::array<int, 3> delay = {stage.below(kLongestSpin), stage.below(kLongestSpin),
                              stage.below(kLongestSpin)};
  Gate go;
  pid_t connector = start_connector(stage, victim, cut, [&] {
    go.wait();
    spin(delay[0]);
    if (how == 0) return;
    if (how == 1) ::kill(::getpid(), SIGKILL);
    become(how == 2 ? victim : attacker);
    if (how == 2) stage.exec_sender(stage.setting().other, whole_call());
    stage.hold();
  });
  stage.start([&] {
    become(attacker);
    go.wait();
    spin(delay[1]);
    stage.send(cut, whole_call());
    stage.hold();
  });
  bool staged = stage.connected();
  go.open(2);
  if (stage.chance()) {
    spin(delay[2]);
    ::kill(connector, SIGSTOP);
    spin(delay[2]);
    continue_process(connector);
  }
  if (!staged) return std::nullopt;
  return honest_bytes ? Entitled{identity_of(victim)} : Entitled{};
}

}  // namespace

const std::array<Kind, 8> kKinds = {{{"control", 10, honest},
                                     {"exec", 12, exec},
                                     {"setuid", 14, setuid},
                                     {"passing", 14, passing},
                                     {"inheriting", 14, inheriting},
                                     {"pid_reuse", 14, pid_reuse},
                                     {"cgroup", 8, cgroup},
                                     {"race", 14, race}}};

}  // namespace nodepilot
