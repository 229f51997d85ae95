#include "agent/mesh/plaintext_sources.h"

#include <doctest/doctest.h>

namespace nodepilot::mesh {
namespace {

using namespace std::chrono_literals;

const Time kStart = Time(1000h);

Sighting by(const std::string& ip, std::uint16_t port = 80) { return {.port = port, .ip = ip}; }

std::vector<std::string> ips(const PlaintextSources& sources, const std::string& workload) {
  std::vector<std::string> out;
  auto all = sources.all();
  for (const auto& source : all[workload].sources) out.push_back(source.ip);
  return out;
}

using Texts = std::vector<std::string>;

TEST_CASE("a source is counted, with its first and last time") {
  PlaintextSources sources(kStart, 1);
  sources.note("web", by("10.0.0.9"), kStart + 1s);
  sources.note("web", by("10.0.0.9"), kStart + 5s);

  auto all = sources.all();

  REQUIRE(all["web"].sources.size() == 1);
  const PlaintextSource& source = all["web"].sources[0];
  CHECK(source.times == 2);
  CHECK(source.first == kStart + 1s);
  CHECK(source.last == kStart + 5s);
  CHECK(sources.since() == kStart);
}

TEST_CASE("port, address and kind tell sources apart, and who was seen last comes first") {
  PlaintextSources sources(kStart, 1);
  sources.note("web", by("10.0.0.1"), kStart);
  sources.note("web", by("10.0.0.2"), kStart);
  sources.note("web", by("10.0.0.1", 81), kStart);
  sources.note("web", {.port = 80, .ip = "10.0.0.1", .own_tls = true}, kStart);
  sources.note("pay", by("10.0.0.1"), kStart);
  sources.note("web", by("10.0.0.1"), kStart);

  CHECK(ips(sources, "web") == Texts{"10.0.0.1", "10.0.0.1", "10.0.0.1", "10.0.0.2"});
  CHECK(sources.all()["web"].sources[0].times == 2);
  CHECK(ips(sources, "pay") == Texts{"10.0.0.1"});
}

TEST_CASE("the end of a connection is no second time, unless its beginning was not told") {
  PlaintextSources sources(kStart, 1);
  sources.note("web", by("10.0.0.1"), kStart);
  sources.note("web", {.port = 80, .ip = "10.0.0.1", .is_end = true}, kStart + 9s);
  sources.note("web", {.port = 80, .ip = "10.0.0.2", .is_end = true}, kStart);

  auto all = sources.all();
  CHECK(all["web"].sources[0].times == 1);
  CHECK(all["web"].sources[1].times == 1);
  CHECK(all["web"].sources[1].last == kStart + 9s);
}

TEST_CASE("who was seen longest ago makes room, which is told") {
  PlaintextSources sources(kStart, 1);
  const std::size_t most = sources.most();
  CHECK(most == PlaintextSources::kMostOfWorkload);
  for (std::size_t i = 0; i < most; ++i) sources.note("web", by("a" + std::to_string(i)), kStart);
  CHECK(sources.all()["web"].dropped == 0);
  sources.note("web", by("a0"), kStart);
  sources.note("web", by("new"), kStart);

  auto all = sources.all();

  CHECK(all["web"].sources.size() == most);
  CHECK(all["web"].dropped == 1);
  CHECK(all["web"].sources[0].ip == "new");
  CHECK(all["web"].sources[1].ip == "a0");
  CHECK(all["web"].sources.back().ip == "a2");
}

TEST_CASE("a workload that is told a million sources costs the others none") {
  PlaintextSources sources(kStart, 500);
  CHECK(sources.most() == PlaintextSources::kMost / 500);
  sources.note("web", by("10.0.0.1"), kStart);
  for (int i = 0; i < 1'000'000; ++i) sources.note("evil", by(std::to_string(i)), kStart);

  CHECK(ips(sources, "web") == Texts{"10.0.0.1"});
  CHECK(ips(sources, "evil").size() == sources.most());
  CHECK(sources.all()["evil"].dropped == 1'000'000 - sources.most());
  CHECK(PlaintextSources(kStart, 1'000'000).most() == 1);
}

}  // namespace
}  // namespace nodepilot::mesh
