// Micro-benchmarks of the answers: what is done once for a new SVID and all who see the same.
#include <benchmark/benchmark.h>

#include "sds/rpc/call.h"
#include "sds/secret_session.h"
#include "sds/workload_reply.h"
#include "test/bench/stage.h"

namespace nodepilot {
namespace {

void render_workload_reply(benchmark::State& state) {
  UpdatePtr update = Stage().make_update();
  for (auto _ : state) benchmark::DoNotOptimize(make_frame(svid_reply(*update), /*secret=*/true));
}
BENCHMARK(render_workload_reply)->Name("workload/render");

// From a rotated SVID to the response, for one stream that asks for certificate and roots.
void answer_secrets(benchmark::State& state) {
  Stage stage;
  UpdatePtr updates[] = {stage.make_update(), stage.make_update()};
  SecretOptions options;
  SecretSession session(options, [] { return std::string("nonce"); });
  SecretSession::Request request;
  request.add_resource_names("default");
  request.add_resource_names("ROOTCA");
  session.ledger().set_update(updates[1]);
  benchmark::DoNotOptimize(session.on_request(request));
  benchmark::DoNotOptimize(session.next());
  session.ledger().on_sent();
  std::size_t turn = 0;
  for (auto _ : state) {
    session.ledger().set_update(updates[turn++ % 2]);
    auto response = session.next();
    if (!response || !response->holds_key) state.SkipWithError("no new certificate");
    benchmark::DoNotOptimize(make_frame(response->message, /*secret=*/true));
    session.ledger().on_sent();
  }
}
BENCHMARK(answer_secrets)->Name("sds/next");

}  // namespace
}  // namespace nodepilot
