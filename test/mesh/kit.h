// What tests of the renderer share.
#pragma once

#include <doctest/doctest.h>

#include "agent/mesh/envoy_parts.h"
#include "proto/envoy/tls.pb.h"

namespace nodepilot::mesh::testing {

namespace tls = envoy::extensions::transport_sockets::tls::v3;

inline Surroundings surroundings(const std::vector<std::string>& aliases = {}) {
  Surroundings out{.trust_domain = *TrustDomain::parse("example.org"),
                   .agent_socket = "/run/nodepilot/public/api.sock"};
  for (const std::string& alias : aliases) out.aliases.push_back(*TrustDomain::parse(alias));
  return out;
}

template <class Context>
Context context_in(const envoy::config::core::v3::TransportSocket& socket) {
  CHECK(socket.name() == "envoy.transport_sockets.tls");
  Context context;
  REQUIRE(socket.typed_config().UnpackTo(&context));
  return context;
}

// "URI =spiffe://td/a", "URI ^spiffe://td/", "DNS =a.example": the peers that a context accepts.
template <class Context>
std::vector<std::string> peers_in(const Context& context) {
  std::vector<std::string> peers;
  const auto& validation = context.common_tls_context().combined_validation_context();
  for (const auto& peer : validation.default_validation_context().match_typed_subject_alt_names()) {
    std::string type = tls::SubjectAltNameMatcher::SanType_Name(peer.san_type());
    const auto& matcher = peer.matcher();
    peers.push_back(type +
                    (matcher.has_exact() ? " =" + matcher.exact() : " ^" + matcher.prefix()));
  }
  return peers;
}

template <class Context>
std::string certificate_of(const Context& context) {
  const auto& common = context.common_tls_context();
  if (common.tls_certificate_sds_secret_configs().empty()) return "";
  return common.tls_certificate_sds_secret_configs(0).name();
}

template <class Context>
std::string roots_of(const Context& context) {
  const auto& validation = context.common_tls_context().combined_validation_context();
  return validation.validation_context_sds_secret_config().name();
}

using Words = std::vector<std::string>;

template <class Repeated>
Words words(const Repeated& repeated) {
  return {repeated.begin(), repeated.end()};
}

}  // namespace nodepilot::mesh::testing
