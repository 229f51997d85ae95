// Micro-benchmarks of what is asked of the kernel about a caller; the caller is this process.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <array>

#include "attest/attest.h"
#include "attest/unix_attestor.h"

namespace nodepilot {
namespace {

class Pair {
 public:
  Pair() {
    std::array<int, 2> ends{};
    ::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data());
    ours_.reset(ends[0]);
    theirs_.reset(ends[1]);
  }
  std::shared_ptr<const Peer> peer() const { return Peer::of_socket(ours_.get()).value(); }

 private:
  Fd ours_;
  Fd theirs_;
};

void identify_peer(benchmark::State& state) {
  Pair pair;
  for (auto _ : state) benchmark::DoNotOptimize(pair.peer());
}
BENCHMARK(identify_peer)->Name("peer/of_socket");

// Before each key that goes out.
void check_peer(benchmark::State& state) {
  auto peer = Pair().peer();
  for (auto _ : state) benchmark::DoNotOptimize(peer->check());
}
BENCHMARK(check_peer)->Name("peer/check");

void attest_unix(benchmark::State& state) {
  auto peer = Pair().peer();
  UnixAttestor attestor({});
  for (auto _ : state) benchmark::DoNotOptimize(attest(*peer, {&attestor}));
}
BENCHMARK(attest_unix)->Name("attest/unix");

// Where no entry asks for the name of a user or group.
void attest_unix_quick(benchmark::State& state) {
  auto peer = Pair().peer();
  UnixAttestor attestor({.look_up_names = false});
  for (auto _ : state) benchmark::DoNotOptimize(attest(*peer, {&attestor}));
}
BENCHMARK(attest_unix_quick)->Name("attest/unix_without_names");

}  // namespace
}  // namespace nodepilot
