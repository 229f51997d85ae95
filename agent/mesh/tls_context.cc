#include "agent/mesh/tls_context.h"

#include <array>
#include <set>

#include "proto/envoy/raw_buffer.pb.h"
#include "proto/envoy/tls.pb.h"

namespace nodepilot::mesh {
namespace core = envoy::config::core::v3;
namespace tls = envoy::extensions::transport_sockets::tls::v3;
namespace {

// Istio's, of TLS 1.2; those of 1.3 are all good.
constexpr std::array kCiphers = {
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",   "AES256-GCM-SHA384",           "AES128-GCM-SHA256"};

template <class Context>
core::TransportSocket tls_socket(const Context& context) {
  core::TransportSocket socket;
  socket.set_name("envoy.transport_sockets.tls");
  *socket.mutable_typed_config() = pack(context);
  return socket;
}

tls::SdsSecretConfig secret(const std::string& name) {
  tls::SdsSecretConfig config;
  config.set_name(name);
  *config.mutable_sds_config() = from_agent();
  return config;
}

using Peers = tls::CertificateValidationContext;

tls::SubjectAltNameMatcher& add_peer(Peers& peers, tls::SubjectAltNameMatcher::SanType type) {
  auto* peer = peers.add_match_typed_subject_alt_names();
  peer->set_san_type(type);
  return *peer;
}

void add_exact(Peers& peers, const std::string& name) {
  bool is_uri = name.find("://") != std::string::npos;
  add_peer(peers, is_uri ? tls::SubjectAltNameMatcher::URI : tls::SubjectAltNameMatcher::DNS)
      .mutable_matcher()
      ->set_exact(name);
}

void add_domain(Peers& peers, const TrustDomain& trust_domain) {
  // With the "/": "spiffe://td" would let "spiffe://td.evil" in.
  add_peer(peers, tls::SubjectAltNameMatcher::URI)
      .mutable_matcher()
      ->set_prefix(trust_domain.id() + "/");
}

void set_common(tls::CommonTlsContext& common, const std::string& certificate,
                const std::string& roots, Peers peers) {
  auto* params = common.mutable_tls_params();
  params->set_tls_minimum_protocol_version(tls::TlsParameters::TLSv1_2);
  params->set_tls_maximum_protocol_version(tls::TlsParameters::TLSv1_3);
  for (const char* cipher : kCiphers) params->add_cipher_suites(cipher);
  if (!certificate.empty()) *common.add_tls_certificate_sds_secret_configs() = secret(certificate);
  auto* validation = common.mutable_combined_validation_context();
  *validation->mutable_default_validation_context() = std::move(peers);
  *validation->mutable_validation_context_sds_secret_config() = secret(roots);
}

// Of all accounts under every name of the trust domain.
std::set<std::string> names_of(const Surroundings& surroundings, const Service& service) {
  std::set<std::string> names;
  for (const SpiffeId& account : service.service_accounts) {
    names.insert(account.str());
    bool is_ours = account.trust_domain() == surroundings.trust_domain;
    for (const TrustDomain& alias : surroundings.aliases) {
      if (is_ours) names.insert(alias.id() + std::string(account.path()));
    }
  }
  return names;
}

// What tells TLS of the mesh from TLS of applications; no server serves it.
void offer(tls::CommonTlsContext& common, Protocol protocol) {
  common.add_alpn_protocols("istio");
  if (protocol == Protocol::kHttp) common.add_alpn_protocols("http/1.1");
  if (protocol == Protocol::kHttp2) common.add_alpn_protocols("h2");
}

}  // namespace

core::TransportSocket inbound_tls(const Surroundings& surroundings, Protocol protocol) {
  Peers peers;
  add_domain(peers, surroundings.trust_domain);
  for (const TrustDomain& alias : surroundings.aliases) add_domain(peers, alias);
  tls::DownstreamTlsContext context;
  auto& common = *context.mutable_common_tls_context();
  set_common(common, surroundings.certificate, surroundings.roots, std::move(peers));
  // An application that speaks one HTTP only shall not be asked for the other.
  if (protocol != Protocol::kHttp) common.add_alpn_protocols("h2");
  if (protocol != Protocol::kHttp2) common.add_alpn_protocols("http/1.1");
  context.mutable_require_client_certificate()->set_value(true);
  return tls_socket(context);
}

core::TransportSocket plaintext() {
  core::TransportSocket socket;
  socket.set_name("envoy.transport_sockets.raw_buffer");
  *socket.mutable_typed_config() =
      pack(envoy::extensions::transport_sockets::raw_buffer::v3::RawBuffer());
  return socket;
}

expected<core::TransportSocket> istio_mutual_tls(const Surroundings& surroundings,
                                                 const Service& service, const ClientTls& rule) {
  std::set<std::string> names(rule.subject_alt_names.begin(), rule.subject_alt_names.end());
  if (names.empty()) names = names_of(surroundings, service);
  if (names.empty()) {
    return fail(Code::kFailedPrecondition,
                service.host + ":" + std::to_string(service.port) +
                    ": mutual TLS needs to know who may answer: give it service_accounts, or its "
                    "DestinationRule subjectAltNames");
  }
  Peers peers;
  for (const std::string& name : names) add_exact(peers, name);
  tls::UpstreamTlsContext context;
  auto& common = *context.mutable_common_tls_context();
  set_common(common, surroundings.certificate, surroundings.roots, std::move(peers));
  offer(common, service.protocol);
  context.set_sni(!rule.sni.empty()
                      ? rule.sni
                      : "outbound_." + std::to_string(service.port) + "_._." + service.host);
  return tls_socket(context);
}

core::TransportSocket foreign_tls(const Service& service, const ClientTls& rule) {
  std::string sni = rule.sni.empty() ? service.host : rule.sni;
  Peers peers;
  for (const std::string& name : rule.subject_alt_names) add_exact(peers, name);
  if (rule.subject_alt_names.empty()) add_exact(peers, sni);
  tls::UpstreamTlsContext context;
  auto& common = *context.mutable_common_tls_context();
  bool shows_own = rule.mode == ClientTlsMode::kMutual;
  set_common(common,
             shows_own ? "file-cert:" + rule.client_certificate + "~" + rule.private_key : "",
             "file-root:" + (rule.ca_certificates.empty() ? "system" : rule.ca_certificates),
             std::move(peers));
  if (service.protocol == Protocol::kHttp) common.add_alpn_protocols("http/1.1");
  if (service.protocol == Protocol::kHttp2) common.add_alpn_protocols("h2");
  context.set_sni(sni);
  return tls_socket(context);
}

}  // namespace nodepilot::mesh
