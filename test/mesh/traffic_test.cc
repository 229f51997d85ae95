#include "agent/mesh/traffic.h"

#include <doctest/doctest.h>

namespace nodepilot::mesh {
namespace {

TEST_CASE("connections are counted by port and security, over HTTP and TCP chains") {
  auto traffic = parse_traffic(
      "http.inbound_80_mtls_http.downstream_cx_total: 3\n"
      "http.inbound_80_mtls_http.downstream_cx_active: 1\n"
      "tcp.inbound_80_mtls_tcp.downstream_cx_total: 4\n"
      "http.inbound_80_plaintext_http.downstream_cx_total: 5\n"
      "tcp.inbound_80_tls_tcp.downstream_cx_total: 6\n"
      "tcp.inbound_81_plaintext_tcp.downstream_cx_active: 7\n"
      "http.inbound_80_mtls_http.downstream_cx_length_ms: P0(nan,1)\n"
      "http.admin.downstream_cx_total: 9\n"
      "http.inbound_99999_mtls_http.downstream_cx_total: 9\n"
      "http.inbound_80_mtls_http.downstream_cx_total: x\n"
      "http.inbound_");

  REQUIRE(traffic.size() == 2);
  CHECK(traffic[80].mutual.total == 7);
  CHECK(traffic[80].mutual.active == 1);
  CHECK(traffic[80].plaintext.total == 11);
  CHECK(traffic[81].plaintext.active == 7);
  CHECK(parse_traffic("").empty());
}

TEST_CASE("a port may go STRICT once somebody came, and nobody in plaintext") {
  Traffic none;
  Traffic mutual{.mutual = {3, 1}, .plaintext = {}};
  Traffic mixed{.mutual = {3, 1}, .plaintext = {2, 1}};
  CHECK(advice(MtlsMode::kPermissive, none) == "nobody has come yet");
  CHECK(advice(MtlsMode::kPermissive, mutual) == "safe to go STRICT");
  CHECK(advice(MtlsMode::kPermissive, mixed) == "2 of 5 connections in plaintext, 1 open now");
  CHECK(advice(MtlsMode::kStrict, mutual) == "STRICT already");
  CHECK(advice(MtlsMode::kDisable, mixed) == "plaintext, as the policy says");
}

}  // namespace
}  // namespace nodepilot::mesh
