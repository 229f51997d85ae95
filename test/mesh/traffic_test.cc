#include "agent/mesh/traffic.h"

#include <doctest/doctest.h>

namespace nodepilot::mesh {
namespace {

using namespace std::chrono_literals;

TEST_CASE("connections are counted by port and security, over HTTP and TCP chains") {
  auto counts = parse_counts(
      "http.inbound_80_mtls_http.downstream_cx_total: 3\n"
      "http.inbound_80_mtls_http.downstream_cx_active: 1\n"
      "tcp.inbound_80_mtls_tcp.downstream_cx_total: 4\n"
      "http.inbound_80_plaintext_http.downstream_cx_total: 5\n"
      "http.inbound_80_plaintext_http.downstream_cx_active: 2\n"
      "tcp.inbound_80_plaintext_tcp.downstream_cx_total: 0\n"
      "tcp.inbound_81_tls_tcp.downstream_cx_total: 6\n"
      "http.inbound_80_mtls_http.downstream_cx_length_ms: P0(nan,1)\n"
      "server.uptime: 42\n");

  REQUIRE(counts.ports.size() == 2);
  CHECK(counts.ports[80].mutual.total == 7);
  CHECK(counts.ports[80].mutual.open == 1);
  CHECK(counts.ports[80].plaintext.total == 5);
  CHECK(counts.ports[80].plaintext.open == 2);
  CHECK_FALSE(counts.ports[80].plaintext.any_tcp);
  CHECK(counts.ports[81].plaintext.total == 6);
  CHECK(counts.ports[81].plaintext.any_tcp);
  CHECK(counts.uptime == 42s);
}

TEST_CASE("what is not about our chains, or not whole, is passed over") {
  for (const std::string& line :
       {std::string(),
        std::string("\n\n\n"),
        std::string("http.admin.downstream_cx_total: 9"),
        std::string("http.inbound_"),
        std::string("http.inbound_80"),
        std::string("http.inbound_80_mtls_"),
        std::string("http.inbound_80_mtls_http"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: "),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: x"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: -1"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: 1.5"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: 1e3"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: 1 2"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: 18446744073709551616"),
        std::string("http.inbound_65536_mtls_http.downstream_cx_total: 1"),
        std::string("http.inbound_-1_mtls_http.downstream_cx_total: 1"),
        std::string("http.inbound__mtls_http.downstream_cx_total: 1"),
        std::string("http.inbound_80_none_http.downstream_cx_total: 1"),
        std::string("http.inbound_80_mtls_http.downstream_cx_total: 1\r\n"),
        std::string("x http.inbound_80_mtls_http.downstream_cx_total: 1"),
        std::string("{\"stats\": [{\"name\": \"http.inbound_80_mtls_http.downstream_cx_total\"}]}"),
        std::string("\0http.inbound_80_mtls_http.downstream_cx_total: 1", 50)}) {
    CAPTURE(line);
    CHECK(parse_counts(line).ports.empty());
  }
  for (const char* line : {"server.uptime: ", "server.uptime: x", "server.uptime: 99999999999",
                           "server.uptime: -1", "server.uptime: 1s", "xserver.uptime: 1"}) {
    CHECK_FALSE(parse_counts(line).uptime);
  }
}

TEST_CASE("an answer of many megabytes, or of one endless line, is read in one go") {
  std::string many;
  while (many.size() < std::size_t{4} * 1024 * 1024) {
    many += "tcp.inbound_" + std::to_string(many.size() % 70'000) +
            "_plaintext_tcp.downstream_cx_total: 18446744073709551615\n";
  }

  CHECK(parse_counts(many).ports.size() <= 65536);
  CHECK(parse_counts(std::string(many.size(), '1')).ports.empty());
}

TEST_CASE("shares add up, and what is little is not nothing") {
  auto shares = [](std::uint64_t mutual, std::uint64_t plaintext) {
    Traffic all{.mutual = {.total = mutual}, .plaintext = {.total = plaintext}};
    return share(all.mutual, all) + " " + share(all.plaintext, all);
  };
  CHECK(shares(0, 0) == "0 0");
  CHECK(shares(3, 1) == "3 (75%) 1 (25%)");
  CHECK(shares(1, 0) == "1 (100%) 0 (0%)");
  CHECK(shares(999, 1) == "999 (>99%) 1 (<1%)");
  CHECK(shares(UINT64_MAX, UINT64_MAX) == "18446744073709551615 (50%) 18446744073709551615 (50%)");
}

TEST_CASE("a port may go STRICT once somebody came, and nobody in plaintext") {
  Traffic none;
  Traffic mutual{.mutual = {.total = 3, .open = 1}, .plaintext = {}};
  Traffic mixed{.mutual = {.total = 3}, .plaintext = {.total = 2, .open = 1}};
  Traffic tcp{.mutual = {}, .plaintext = {.total = 2, .any_tcp = true}};
  auto say = [](const Traffic& traffic, const std::string& who = "") {
    return advice(MtlsMode::kPermissive, traffic, 90s, who);
  };

  CHECK(say(none) == "nothing seen yet in 1m30s, cannot tell");
  CHECK(advice(MtlsMode::kPermissive, none, std::nullopt, "") == "nothing seen yet, cannot tell");
  CHECK(say(mutual) == "safe to go STRICT: 3 of 3 connections in 1m30s by mutual TLS");
  CHECK(say(mixed, "10.0.0.9") == "not safe: plaintext from 10.0.0.9, 1 open now");
  CHECK(say(mixed) == "not safe: plaintext from an unknown source, 1 open now");
  CHECK(say(tcp, "10.0.0.9") == "not safe: plaintext from 10.0.0.9");
  // Envoy forgets its counts when a listener is replaced; the agent has seen somebody all the same.
  CHECK(say(mutual, "10.0.0.9") == "not safe: plaintext from 10.0.0.9, 0 open now");
  CHECK(advice(MtlsMode::kStrict, mixed, 90s, "10.0.0.9") == "STRICT already");
  CHECK(advice(MtlsMode::kDisable, mixed, 90s, "10.0.0.9") == "plaintext, as the policy says");
}

}  // namespace
}  // namespace nodepilot::mesh
