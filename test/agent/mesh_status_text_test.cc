#include "agent/mesh_status_text.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using admin::v1::GetPlaintextResponse;
using mesh::MtlsMode;

constexpr std::int64_t kNow = 1'000'000;

PortStatus port(const std::string& workload, std::uint16_t number,
                MtlsMode mode = MtlsMode::kPermissive) {
  return {workload, number, mode, "shop/a (a.yaml:1)"};
}

EnvoyReport counts(std::uint16_t number, std::uint64_t mutual, std::uint64_t plaintext) {
  mesh::EnvoyCounts out{.ports = {}, .uptime = 1h};
  out.ports[number] = {.mutual = {.total = mutual}, .plaintext = {.total = plaintext}};
  return out;
}

GetPlaintextResponse told() {
  GetPlaintextResponse out;
  out.set_now(kNow);
  out.set_since(kNow - 7200);
  out.set_most_per_workload(1024);
  return out;
}

void add(GetPlaintextResponse& out, const std::string& ip, std::int64_t seconds_ago,
         bool own_tls = false) {
  auto& source = *out.add_sources();
  source.set_workload("web");
  source.set_port(80);
  source.set_address(ip);
  source.set_own_tls(own_tls);
  source.set_times(3);
  source.set_first_at(kNow - 3600);
  source.set_last_at(kNow - seconds_ago);
}

std::string status(const GetPlaintextResponse& plaintext, std::uint64_t mutual,
                   std::uint64_t in_plaintext, MtlsMode mode = MtlsMode::kPermissive) {
  return mesh_status_text({port("web", 80, mode)}, {{"web", counts(80, mutual, in_plaintext)}},
                          plaintext);
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST_CASE("who speaks plaintext is named, in the verdict and below") {
  auto plaintext = told();
  add(plaintext, "10.0.0.9", 12);
  add(plaintext, "10.0.0.7", 60, true);

  CHECK(status(plaintext, 1, 3) ==
        "WORKLOAD  PORT  MODE        DECIDED BY         MTLS     PLAINTEXT  VERDICT\n"
        "web       80    PERMISSIVE  shop/a (a.yaml:1)  1 (25%)  3 (75%)    not safe: plaintext "
        "from 10.0.0.9 and 10.0.0.7 (TLS of its own), last 12s ago, 0 open now\n"
        "\n"
        "WORKLOAD  PORT  PLAINTEXT FROM             TIMES  FIRST   LAST\n"
        "web       80    10.0.0.9                   3      1h ago  12s ago\n"
        "web       80    10.0.0.7 (TLS of its own)  3      1h ago  1m ago\n"
        "sources are noted since the agent began, 2h ago\n");
}

TEST_CASE("a verdict names two, the list twenty of a port, and both say how many more there are") {
  auto plaintext = told();
  for (int i = 0; i < 23; ++i) add(plaintext, "10.0.0." + std::to_string(i), i);
  (*plaintext.mutable_dropped())["web"] = 7;

  auto text = status(plaintext, 1, 3);

  CHECK(has(text, "plaintext from 10.0.0.0, 10.0.0.1 and 21 more, last 0s ago"));
  CHECK(has(text, "10.0.0.19 "));
  CHECK_FALSE(has(text, "10.0.0.20"));
  CHECK(has(text, "\nweb       80    3 more\n"));
  CHECK(has(text,
            "\nweb: 7 times who was seen longest ago was dropped, for at most 1024 are kept\n"));
}

TEST_CASE("who was seen before Envoy began to count is listed and weighs nothing") {
  auto plaintext = told();
  add(plaintext, "10.0.0.9", 3620);

  auto text = status(plaintext, 3, 0);

  CHECK(has(text, "safe to go STRICT: 3 of 3 connections in 1h by mutual TLS"));
  CHECK(has(text, "10.0.0.9"));
}

TEST_CASE("ports that refuse plaintext, or are meant to have it, name nobody") {
  auto plaintext = told();
  add(plaintext, "10.0.0.9", 12);

  for (MtlsMode mode : {MtlsMode::kStrict, MtlsMode::kDisable}) {
    CHECK_FALSE(has(status(plaintext, 1, 3, mode), "10.0.0.9"));
  }
}

TEST_CASE("sources of another port or workload are not this one's") {
  auto plaintext = told();
  add(plaintext, "10.0.0.9", 12);
  plaintext.mutable_sources(0)->set_workload("pay");
  add(plaintext, "10.0.0.8", 12);
  plaintext.mutable_sources(1)->set_port(81);

  CHECK(has(status(plaintext, 1, 1), "plaintext from an unknown source"));
}

TEST_CASE("an Envoy or an agent that does not answer is said, and hides not what the other knows") {
  auto plaintext = told();
  add(plaintext, "10.0.0.9", 12);

  auto no_envoy = mesh_status_text({port("web", 80)},
                                   {{"web", fail(Code::kUnavailable,
                                                 "ask Envoy: re\x1b"
                                                 "fused")}},
                                   plaintext);
  auto no_agent = mesh_status_text({port("web", 80)}, {{"web", counts(80, 0, 1)}},
                                   fail(Code::kUnavailable, "connect to\nx"));

  CHECK(has(no_envoy, "-     -          cannot tell: ask Envoy: re?fused"));
  CHECK(has(no_envoy, "\nweb       80    10.0.0.9"));
  CHECK(has(no_agent, "plaintext from an unknown source"));
  CHECK(has(no_agent, "\nwho speaks plaintext is not known: connect to?x\n"));
}

TEST_CASE("a port of which Envoy says nothing has seen nothing") {
  auto text = mesh_status_text({port("web", 81)}, {{"web", counts(80, 1, 1)}}, told());

  CHECK(has(text, "nothing seen yet in 1h, cannot tell"));
}

}  // namespace
}  // namespace nodepilot
