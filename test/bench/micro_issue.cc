// Micro-benchmarks of keys, certificates and tokens. "issue" is the whole way of one X.509-SVID:
// key, CSR, signature of the embedded CA, verification; the others are its parts.
#include <benchmark/benchmark.h>

#include "test/bench/stage.h"

namespace nodepilot {
namespace {

void issue_x509(benchmark::State& state) {
  Stage stage;
  for (auto _ : state) benchmark::DoNotOptimize(stage.issue_svid());
}
BENCHMARK(issue_x509)->Name("issue");

void key(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(PrivateKey::generate());
}
BENCHMARK(key)->Name("issue/key");

void csr(benchmark::State& state) {
  Stage stage;
  auto key = PrivateKey::generate().value();
  for (auto _ : state) benchmark::DoNotOptimize(Csr::create(key, stage.entry->spiffe_id));
}
BENCHMARK(csr)->Name("issue/csr");

void sign(benchmark::State& state) {
  Stage stage;
  auto csr = Csr::create(PrivateKey::generate().value(), stage.entry->spiffe_id).value();
  for (auto _ : state) benchmark::DoNotOptimize(stage.ca().sign(csr, *stage.entry));
}
BENCHMARK(sign)->Name("issue/sign");

void verify(benchmark::State& state) {
  Stage stage;
  X509Svid svid = stage.issue_svid();
  X509Svid::Expectation expectation{stage.entry->spiffe_id, {}, stage.clock.now()};
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        X509Svid::verified(svid.key(), svid.chain(), stage.bundle(), expectation));
  }
}
BENCHMARK(verify)->Name("issue/verify");

void parse_certificate(benchmark::State& state) {
  std::string der = Stage().issue_svid().leaf().der();
  for (auto _ : state) benchmark::DoNotOptimize(Certificate::parse_der(der));
}
BENCHMARK(parse_certificate)->Name("certificate/parse");

void sign_jwt(benchmark::State& state) {
  Stage stage;
  for (auto _ : state) {
    benchmark::DoNotOptimize(
        stage.jwt_signer().sign_jwt(stage.entry->spiffe_id, {"bench"}, std::chrono::minutes(5)));
  }
}
BENCHMARK(sign_jwt)->Name("jwt/sign");

void parse_id(benchmark::State& state) {
  for (auto _ : state) {
    benchmark::DoNotOptimize(SpiffeId::parse("spiffe://example.org/ns/shop/sa/web"));
  }
}
BENCHMARK(parse_id)->Name("spiffe_id/parse");

}  // namespace
}  // namespace nodepilot
