#include "agent/mesh/inbound.h"

#include <algorithm>
#include <cassert>

#include "agent/mesh/network_filters.h"
#include "agent/mesh/plaintext_log.h"
#include "agent/mesh/tls_context.h"

namespace nodepilot::mesh {
namespace listener = envoy::config::listener::v3;
namespace {

using Chains = std::vector<InboundChain>;
using Alpns = std::vector<const char*>;

constexpr auto kTls = InboundChain::Speaks::kTls;
constexpr auto kRaw = InboundChain::Speaks::kRaw;
constexpr auto kHttp = InboundChain::Becomes::kHttp;
constexpr auto kTcp = InboundChain::Becomes::kTcp;
constexpr auto kMutualTls = InboundChain::Security::kMutualTls;
constexpr auto kAsItIs = InboundChain::Security::kAsItIs;
constexpr auto kAny = InboundChain::Alpn::kAny;
constexpr auto kH = InboundChain::Alpn::kMeshHttp;
constexpr auto kT = InboundChain::Alpn::kMesh;
constexpr auto kHT = InboundChain::Alpn::kMeshBoth;
constexpr auto kP = InboundChain::Alpn::kPlainHttp;

Chains strict(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
    case Protocol::kHttp2:
      return {{kTls, kAny, kHttp, kMutualTls}};
    case Protocol::kTcp:
      return {{kTls, kAny, kTcp, kMutualTls}};
    case Protocol::kAuto:
      return {{kTls, kH, kHttp, kMutualTls}, {kTls, kAny, kTcp, kMutualTls}};
  }
  return {};
}

Chains permissive(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
    case Protocol::kHttp2:
      return {{kTls, kHT, kHttp, kMutualTls}, {kRaw, kAny, kHttp, kAsItIs}};
    case Protocol::kTcp:
      return {
          {kTls, kHT, kTcp, kMutualTls}, {kTls, kAny, kTcp, kAsItIs}, {kRaw, kAny, kTcp, kAsItIs}};
    case Protocol::kAuto:
      return {{kTls, kH, kHttp, kMutualTls},
              {kRaw, kP, kHttp, kAsItIs},
              {kTls, kT, kTcp, kMutualTls},
              {kRaw, kAny, kTcp, kAsItIs},
              {kTls, kAny, kTcp, kAsItIs}};
  }
  return {};
}

Chains disable(Protocol protocol) {
  switch (protocol) {
    case Protocol::kHttp:
    case Protocol::kHttp2:
      return {{kRaw, kAny, kHttp, kAsItIs}};
    case Protocol::kTcp:
      return {{kRaw, kAny, kTcp, kAsItIs}};
    case Protocol::kAuto:
      return {{kRaw, kP, kHttp, kAsItIs}, {kRaw, kAny, kTcp, kAsItIs}};
  }
  return {};
}

// H: what Istio's proxies offer for HTTP. T: what marks the mesh; "istio-peer-exchange", which
// only Istio's own Envoy can speak, never comes without "istio". P: what http_inspector calls HTTP.
Alpns words_of(InboundChain::Alpn alpn) {
  switch (alpn) {
    case kAny:
      return {};
    case kH:
      return {"istio-http/1.0", "istio-http/1.1", "istio-h2"};
    case kT:
      return {"istio"};
    case kHT:
      return {"istio-http/1.0", "istio-http/1.1", "istio-h2", "istio"};
    case kP:
      return {"http/1.1", "h2c"};
  }
  return {};
}

// "8080_mtls_http", "8080_tls_tcp", "8080_plaintext_http": connections are counted under it.
std::string name_of(const Port& port, const InboundChain& chain) {
  const char* security = chain.security == kMutualTls ? "mtls"
                         : chain.speaks == kTls       ? "tls"
                                                      : "plaintext";
  return std::to_string(port.port) + "_" + security + (chain.becomes == kHttp ? "_http" : "_tcp");
}

// Under which name who comes by the chain is reported: whoever STRICT would refuse.
const char* log_of(MtlsMode mode, const InboundChain& chain) {
  if (mode != MtlsMode::kPermissive || chain.security == kMutualTls) return nullptr;
  return chain.speaks == kTls ? kOwnTlsLog : kPlaintextLog;
}

listener::FilterChain render(const Surroundings& surroundings, const Port& port, MtlsMode mode,
                             const InboundChain& chain) {
  listener::FilterChain out;
  out.set_name(name_of(port, chain));
  auto* match = out.mutable_filter_chain_match();
  match->set_transport_protocol(chain.speaks == kTls ? "tls" : "raw_buffer");
  for (const char* word : words_of(chain.alpn)) match->add_application_protocols(word);
  bool is_mutual = chain.security == kMutualTls;
  if (is_mutual) {
    // TCP knows of no HTTP that it would have to serve or not.
    Protocol served = chain.becomes == kHttp ? port.protocol : Protocol::kTcp;
    *out.mutable_transport_socket() = inbound_tls(surroundings, served);
  }
  std::string prefix = "inbound_" + out.name();
  std::string cluster = inbound_cluster(port).name();
  const char* log = log_of(mode, chain);
  *out.add_filters() = chain.becomes == kHttp ? http_filter(prefix, cluster, is_mutual, log)
                                              : tcp_filter(prefix, cluster, log);
  return out;
}

}  // namespace

Chains inbound_chains(MtlsMode mode, Protocol protocol) {
  assert(mode != MtlsMode::kUnset);
  if (mode == MtlsMode::kStrict) return strict(protocol);
  return mode == MtlsMode::kPermissive ? permissive(protocol) : disable(protocol);
}

listener::Listener inbound_listener(const Surroundings& surroundings, const Port& port,
                                    MtlsMode mode) {
  listener::Listener out;
  out.set_name("inbound_" + std::to_string(port.port));
  out.set_stat_prefix(out.name());
  out.set_traffic_direction(envoy::config::core::v3::INBOUND);
  *out.mutable_address() = address_of({port.listen, port.port});
  Chains chains = inbound_chains(mode, port.protocol);
  auto any = [&](auto property) { return std::any_of(chains.begin(), chains.end(), property); };
  if (any([](const InboundChain& chain) { return chain.speaks == kTls; })) {
    *out.add_listener_filters() = tls_inspector();
  }
  if (any([](const InboundChain& chain) { return chain.alpn == kP; })) {
    *out.add_listener_filters() = http_inspector();
  }
  out.mutable_listener_filters_timeout();  // 0 s: a client may be slow with its first byte
  out.set_continue_on_listener_filters_timeout(true);
  for (const InboundChain& chain : chains) {
    *out.add_filter_chains() = render(surroundings, port, mode, chain);
  }
  return out;
}

envoy::config::cluster::v3::Cluster inbound_cluster(const Port& port) {
  auto out = cluster_named("inbound_" + std::to_string(port.port));
  add_endpoint(out, address_of(port.app));
  set_http(out, port.protocol);
  return out;
}

}  // namespace nodepilot::mesh
