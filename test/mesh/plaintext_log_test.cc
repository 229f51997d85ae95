#include "agent/mesh/plaintext_log.h"

#include <doctest/doctest.h>

#include "proto/envoy/grpc_access_logger.pb.h"

namespace nodepilot::mesh {
namespace {

using namespace envoy::data::accesslog::v3;

AccessLogCommon entry(const std::string& ip, std::uint32_t port = 8080) {
  AccessLogCommon out;
  out.mutable_downstream_direct_remote_address()->mutable_socket_address()->set_address(ip);
  out.mutable_downstream_local_address()->mutable_socket_address()->set_port_value(port);
  return out;
}

// "" if there is no sighting.
std::string ip_in(const AccessLogCommon& entry) {
  auto sighting = parse_sighting(entry);
  return sighting ? sighting->ip : "";
}

TEST_CASE("a log goes to the agent, tells no headers, and is of the given moments alone") {
  auto log = log_to_agent(kPlaintextLog, {DownstreamStart, TcpConnectionEnd});

  CHECK(log.name() == "envoy.access_loggers.tcp_grpc");
  REQUIRE(log.filter().log_type_filter().types_size() == 2);
  CHECK(log.filter().log_type_filter().types(0) == DownstreamStart);
  CHECK(log.filter().log_type_filter().types(1) == TcpConnectionEnd);
  envoy::extensions::access_loggers::grpc::v3::TcpGrpcAccessLogConfig config;
  REQUIRE(log.typed_config().UnpackTo(&config));
  CHECK(config.common_config().log_name() == "plaintext");
  CHECK(config.common_config().grpc_service().envoy_grpc().cluster_name() == "nodepilot");
}

TEST_CASE("one peer has one spelling") {
  CHECK(ip_in(entry("10.0.0.9")) == "10.0.0.9");
  CHECK(ip_in(entry("::ffff:10.0.0.9")) == "10.0.0.9");
  CHECK(ip_in(entry("2001:DB8:0:0::1")) == "2001:db8::1");
  CHECK(ip_in(entry("::1")) == "::1");
}

TEST_CASE("an entry says which port was reached, and whether it is about the end") {
  AccessLogCommon told = entry("10.0.0.9", 65535);
  CHECK(parse_sighting(told)->port == 65535);
  CHECK_FALSE(parse_sighting(told)->is_end);
  told.set_access_log_type(TcpConnectionEnd);
  CHECK(parse_sighting(told)->is_end);
}

TEST_CASE("what is no IP address or no port is no sighting") {
  const std::string with_zero("10.0.0.9\0x", 10);
  for (const std::string& ip :
       {std::string(), std::string("web"), std::string("10.0.0.9 "), std::string("10.0.0.09"),
        std::string("10.0.0.9:80"), std::string("fe80::1%eth0"), std::string("\x1b[2J"), with_zero,
        std::string(100'000, '1')}) {
    CHECK(ip_in(entry(ip)).empty());
  }
  CHECK(ip_in(entry("10.0.0.9", 0)).empty());
  CHECK(ip_in(entry("10.0.0.9", 65536)).empty());
  CHECK(ip_in(AccessLogCommon()).empty());
  AccessLogCommon pipe = entry("10.0.0.9");
  pipe.mutable_downstream_direct_remote_address()->mutable_pipe()->set_path("/run/a");
  CHECK(ip_in(pipe).empty());
}

}  // namespace
}  // namespace nodepilot::mesh
