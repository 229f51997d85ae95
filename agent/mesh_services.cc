#include "agent/mesh_services.h"

#include "agent/mesh_access_log.h"
#include "agent/mesh_discovery.h"
#include "proto/envoy/als.pb.h"
#include "proto/envoy/cds.pb.h"
#include "proto/envoy/cluster.pb.h"
#include "proto/envoy/grpc_access_logger.pb.h"
#include "proto/envoy/http_connection_manager.pb.h"
#include "proto/envoy/http_inspector.pb.h"
#include "proto/envoy/http_protocol_options.pb.h"
#include "proto/envoy/lds.pb.h"
#include "proto/envoy/listener.pb.h"
#include "proto/envoy/raw_buffer.pb.h"
#include "proto/envoy/router.pb.h"
#include "proto/envoy/tcp_proxy.pb.h"
#include "proto/envoy/tls.pb.h"
#include "proto/envoy/tls_inspector.pb.h"

namespace nodepilot {
namespace {

namespace ext = envoy::extensions;

template <class... Messages>
ReflectionCatalog::Files files_of() {
  return {Messages::descriptor()->file()...};
}

}  // namespace

Methods mesh_methods(const ApiContext& context, MeshKeeper& keeper,
                     mesh::PlaintextSources& sources) {
  Methods methods = mesh_discovery_methods(context, keeper);
  for (Method& method : mesh_access_log_methods(context, keeper, sources)) {
    methods.push_back(std::move(method));
  }
  return methods;
}

ReflectionCatalog::Files mesh_files() {
  return files_of<envoy::service::listener::v3::LdsDummy, envoy::service::cluster::v3::CdsDummy,
                  envoy::service::accesslog::v3::StreamAccessLogsMessage,
                  envoy::config::listener::v3::Listener, envoy::config::cluster::v3::Cluster,
                  ext::access_loggers::grpc::v3::TcpGrpcAccessLogConfig,
                  ext::filters::http::router::v3::Router,
                  ext::filters::listener::http_inspector::v3::HttpInspector,
                  ext::filters::listener::tls_inspector::v3::TlsInspector,
                  ext::filters::network::http_connection_manager::v3::HttpConnectionManager,
                  ext::filters::network::tcp_proxy::v3::TcpProxy,
                  ext::transport_sockets::raw_buffer::v3::RawBuffer,
                  ext::transport_sockets::tls::v3::UpstreamTlsContext,
                  ext::upstreams::http::v3::HttpProtocolOptions>();
}

std::vector<std::string> mesh_service_names() {
  std::vector<std::string> names;
  for (const auto* file : mesh_files()) {
    for (int i = 0; i < file->service_count(); ++i) names.push_back(file->service(i)->full_name());
  }
  return names;
}

}  // namespace nodepilot
