// Micro-benchmarks of what is asked of the kernel about a caller; the caller is this process.
#include <benchmark/benchmark.h>
#include <sys/socket.h>

#include <array>

#include "agent/base/clock.h"
#include "attest/attest.h"
#include "attest/kubernetes/pod_finder.h"
#include "attest/kubernetes/pod_list_parser.h"
#include "attest/unix_attestor.h"
#include "test/kubernetes/fake_kubelet.h"

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

// A caller in one of 100 pods, by a list that is at hand.
void find_pod(benchmark::State& state) {
  testing::FinderRig rig;
  std::vector<nlohmann::json> pods;
  for (unsigned i = 0; i < 100; ++i) {
    pods.push_back(testing::pod_json(i, testing::container_id_of(i)));
  }
  rig.kubelet.list(pods);
  const PodContainerKey where{testing::pod_uid(42), testing::container_id_of(42)};
  for (auto _ : state) {
    auto found = rig.finder.find(where, 4711);
    if (!found) state.SkipWithError(found.error().message.c_str());
    benchmark::DoNotOptimize(found);
  }
}
BENCHMARK(find_pod)->Name("attest/k8s_warm");

// 10,000 pods in 50 MB.
void parse_pods(benchmark::State& state) {
  std::vector<nlohmann::json> pods;
  for (unsigned i = 0; i < 10'000; ++i) {
    pods.push_back(testing::pod_json(i, testing::container_id_of(i)));
    pods.back()["metadata"]["annotations"]["filler"] = std::string(3600, 'x');
  }
  std::string text = testing::list_json(pods).dump();
  pods.clear();
  for (auto _ : state) {
    testing::TextInPieces pieces(text, 64 * 1024);
    auto list = parse_pod_list(pieces, "node-1");
    if (!list || list->index.pods() != 10'000) state.SkipWithError("not parsed");
  }
  state.SetBytesProcessed(static_cast<std::int64_t>(state.iterations() * text.size()));
  state.counters["bytes"] = static_cast<double>(text.size());
}
BENCHMARK(parse_pods)->Name("k8s/parse_50MB")->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace nodepilot
