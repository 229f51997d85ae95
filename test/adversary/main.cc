// Attacks a real agent by thousands of processes that want an identity which is another's, and
// counts what they get. Run as the first process of a pid namespace, as test/e2e/test_adversary.py
// does. Prints JSON.
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "test/adversary/rounds.h"
#include "test/adversary/stage.h"
#include "test/adversary/wire.h"

namespace nodepilot {
namespace {

constexpr int kAnswerMilliseconds = 5000;
constexpr std::size_t kWorkers = 2;

struct Options {
  Setting setting;
  std::string agent;
  std::string config;
  std::string log;
  std::uint64_t rounds = 10000;
  std::uint64_t seed = 1;
};

struct Tally {
  std::size_t tried = 0;
  std::size_t granted_rightly = 0;
  std::size_t refused = 0;
  std::size_t closed = 0;
  std::size_t silent = 0;
  std::size_t wrong = 0;   // an identity that is not the sender's
  std::size_t unfair = 0;  // an honest call without what it is entitled to
  std::size_t missed = 0;  // could not be staged
};
using Tallies = std::array<Tally, kKinds.size()>;

std::string joined(const std::set<std::string>& names) {
  std::string all;
  for (const std::string& name : names) all += " " + name;
  return all;
}

void count(Tally& tally, const Entitled& entitled, const Answer& answer, const std::string& what) {
  ++tally.tried;
  const auto& got = answer.granted();
  const auto& may = entitled.identities;
  bool right = std::includes(may.begin(), may.end(), got.begin(), got.end());
  bool fair =
      got == may && answer.outcome() == (may.empty() ? Outcome::kRefused : Outcome::kGranted);
  if (!right) ++tally.wrong;
  if (entitled.certain && !fair) ++tally.unfair;
  if (!right || (entitled.certain && !fair)) {
    std::fprintf(stderr, "%s: got%s, entitled to%s\n", what.c_str(), joined(got).c_str(),
                 joined(may).c_str());
  }
  if (answer.outcome() == Outcome::kGranted && right) ++tally.granted_rightly;
  if (answer.outcome() == Outcome::kRefused) ++tally.refused;
  if (answer.outcome() == Outcome::kClosed) ++tally.closed;
  if (answer.outcome() == Outcome::kSilent) ++tally.silent;
}

void play(const Setting& setting, std::uint64_t seed, std::uint64_t number, Tallies& tallies) {
  std::seed_seq seeds{seed, number};
  std::array<std::uint32_t, 2> drawn;
  seeds.generate(drawn.begin(), drawn.end());
  Stage stage(setting, std::uint64_t{drawn[0]} << 32 | drawn[1]);
  int share = stage.below(100);
  std::size_t which = 0;
  while (share >= kKinds[which].share) share -= kKinds[which++].share;

  auto entitled = kKinds[which].play(stage);
  if (!entitled || !stage.connected()) {
    ++tallies[which].missed;
    return;
  }
  std::string what = "round " + std::to_string(number) + " (" + kKinds[which].name + ")";
  count(tallies[which], *entitled, read_answer(stage.socket(), kAnswerMilliseconds), what);
}

pid_t start_worker(const Options& options, std::size_t worker, Tallies& tallies) {
  pid_t child = ::fork();
  if (child != 0) return child;
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);  // a round's orphans are waited for, too
  for (std::uint64_t i = worker; i < options.rounds; i += kWorkers) {
    play(options.setting, options.seed, i, tallies);
  }
  ::_exit(0);
}

pid_t start_agent(const Options& options) {
  pid_t child = ::fork();
  if (child != 0) return child;
  int log = ::open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  ::dup2(log, 1);
  ::dup2(log, 2);
  ::execl(options.agent.c_str(), options.agent.c_str(), "run", "-c", options.config.c_str(),
          nullptr);
  ::_exit(1);
}

bool wait_for_socket(const std::string& path) {
  for (int tries = 0; tries < 1000; ++tries) {
    if (::access(path.c_str(), F_OK) == 0) return true;
    ::usleep(20'000);
  }
  return false;
}

void add(const Tally& part, Tally& sum) {
  for (auto number : {&Tally::tried, &Tally::granted_rightly, &Tally::refused, &Tally::closed,
                      &Tally::silent, &Tally::wrong, &Tally::unfair, &Tally::missed}) {
    sum.*number += part.*number;
  }
}

nlohmann::json told(const Tally& tally) {
  return {{"tried", tally.tried},     {"granted_rightly", tally.granted_rightly},
          {"refused", tally.refused}, {"closed", tally.closed},
          {"silent", tally.silent},   {"wrong", tally.wrong},
          {"unfair", tally.unfair},   {"missed", tally.missed}};
}

int attack(Options options) {
  pid_t agent = start_agent(options);
  options.setting.agent = agent;
  if (!wait_for_socket(options.setting.socket)) {
    std::fprintf(stderr, "the agent does not listen, see %s\n", options.log.c_str());
    ::kill(agent, SIGKILL);
    return 1;
  }
  using Shared = std::array<Tallies, kWorkers>;
  void* memory =
      ::mmap(nullptr, sizeof(Shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 1;
  auto& tallies = *new (memory) Shared();

  auto begun = std::chrono::steady_clock::now();
  std::array<pid_t, kWorkers> workers;
  for (std::size_t i = 0; i < kWorkers; ++i) workers[i] = start_worker(options, i, tallies[i]);
  bool well = true;
  for (pid_t worker : workers) {
    int status = 0;
    ::waitpid(worker, &status, 0);
    well = well && status == 0;
  }
  std::chrono::duration<double> took = std::chrono::steady_clock::now() - begun;
  ::kill(agent, SIGTERM);
  int status = 0;
  ::waitpid(agent, &status, 0);

  nlohmann::json kinds;
  std::size_t rounds = 0;
  for (std::size_t i = 0; i < kKinds.size(); ++i) {
    Tally all = tallies[0][i];
    for (std::size_t worker = 1; worker < kWorkers; ++worker) add(tallies[worker][i], all);
    kinds[kKinds[i].name] = told(all);
    rounds += all.tried;
  }
  nlohmann::json result = {{"rounds", rounds},
                           {"seed", options.seed},
                           {"seconds", took.count()},
                           {"rounds_per_second", static_cast<double>(rounds) / took.count()},
                           {"agent_ended_well", status == 0},
                           {"kinds", kinds}};
  std::puts(result.dump().c_str());
  return well ? 0 : 1;
}

// What a round runs as another program, see Stage::exec_sender() and exec_connector().
int send_program(char** args) {
  send_bytes(std::atoi(args[0]), static_cast<std::size_t>(std::atoi(args[2])), call_bytes().size());
  wait_for_end(std::atoi(args[1]));
  return 0;
}

int connect_program(char** args) {
  int socket = std::atoi(args[0]);
  connect_socket(socket, args[4]);
  send_bytes(socket, 0, static_cast<std::size_t>(std::atoi(args[2])));
  (void)!::write(std::atoi(args[3]), "x", 1);
  const char* next = args[5];
  if (*next == '\0') {
    wait_for_end(std::atoi(args[1]));
    return 0;
  }
  ::execl(next, next, "send", args[0], args[1], args[2], nullptr);
  return 1;
}

}  // namespace
}  // namespace nodepilot

int main(int argc, char** argv) {
  using namespace nodepilot;
  std::string_view part = argc > 1 ? argv[1] : "";
  if (part == "send" && argc == 5) return send_program(argv + 2);
  if (part == "connect" && argc == 8) return connect_program(argv + 2);

  Options options;
  CLI::App app("Attacks an agent; see test/e2e/test_adversary.py.");
  app.add_option("--agent", options.agent, "the program nodepilot")->required();
  app.add_option("--config", options.config, "its configuration")->required();
  app.add_option("--log", options.log, "where it logs to")->required();
  app.add_option("--socket", options.setting.socket, "where it listens")->required();
  app.add_option("--allowed", options.setting.allowed, "copy of this with an identity")->required();
  app.add_option("--other", options.setting.other, "copy of this with none")->required();
  app.add_option("--outside", options.setting.outside, "a cgroup of no pod")->required();
  app.add_option("--web", options.setting.web, "the cgroup of a container")->required();
  app.add_option("--shop", options.setting.shop, "that of another pod's")->required();
  app.add_option("--rounds", options.rounds, "how many");
  app.add_option("--seed", options.seed, "of what is random");
  CLI11_PARSE(app, argc, argv);
  return attack(options);
}
