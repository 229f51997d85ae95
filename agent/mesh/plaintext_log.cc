#include "agent/mesh/plaintext_log.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

#include "agent/mesh/envoy_parts.h"
#include "proto/envoy/grpc_access_logger.pb.h"

namespace nodepilot::mesh {
namespace {

namespace data = envoy::data::accesslog::v3;

// How IPv4 looks on a socket of IPv6: "::ffff:10.0.0.1".
constexpr std::array<unsigned char, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

std::optional<std::string> canonical_ip(const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  std::array<char, INET6_ADDRSTRLEN> out{};
  const unsigned char* v4 = bytes.data();
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) != 1) {
    if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) != 1) return std::nullopt;
    if (!std::equal(kMapped.begin(), kMapped.end(), bytes.begin())) {
      return std::string(::inet_ntop(AF_INET6, bytes.data(), out.data(), out.size()));
    }
    v4 += kMapped.size();
  }
  return std::string(::inet_ntop(AF_INET, v4, out.data(), out.size()));
}

}  // namespace

envoy::config::accesslog::v3::AccessLog log_to_agent(
    const char* name, std::initializer_list<data::AccessLogType> moments) {
  envoy::extensions::access_loggers::grpc::v3::TcpGrpcAccessLogConfig config;
  auto& common = *config.mutable_common_config();
  common.set_log_name(name);
  common.mutable_grpc_service()->mutable_envoy_grpc()->set_cluster_name(kAgentCluster);
  common.set_transport_api_version(envoy::config::core::v3::V3);
  envoy::config::accesslog::v3::AccessLog out;
  out.set_name("envoy.access_loggers.tcp_grpc");
  for (auto moment : moments) out.mutable_filter()->mutable_log_type_filter()->add_types(moment);
  *out.mutable_typed_config() = pack(config);
  return out;
}

std::optional<Sighting> parse_sighting(const data::AccessLogCommon& entry) {
  const auto& peer = entry.downstream_direct_remote_address().socket_address();
  std::uint32_t port = entry.downstream_local_address().socket_address().port_value();
  // A zero byte would end the text early.
  bool is_text = peer.address().find('\0') == std::string::npos;
  auto ip = is_text ? canonical_ip(peer.address()) : std::nullopt;
  if (!ip || port == 0 || port > 65535) return std::nullopt;
  return Sighting{.port = static_cast<std::uint16_t>(port),
                  .ip = *std::move(ip),
                  .is_end = entry.access_log_type() == data::TcpConnectionEnd};
}

}  // namespace nodepilot::mesh
