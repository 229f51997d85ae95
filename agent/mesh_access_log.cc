#include "agent/mesh_access_log.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "agent/base/log.h"
#include "agent/mesh_stream.h"
#include "proto/envoy/als.pb.h"

namespace nodepilot {
namespace {

using envoy::service::accesslog::v3::StreamAccessLogsMessage;
using envoy::service::accesslog::v3::StreamAccessLogsResponse;

// Of one stream, until it is known who calls.
constexpr std::size_t kMaxWaiting = 1024;

class AccessLogStream : public MeshStream {
 public:
  AccessLogStream(const ApiContext& context, MeshKeeper& keeper, mesh::PlaintextSources& sources,
                  Call& call)
      : MeshStream(context, "StreamAccessLogs", keeper, call), sources_(sources) {}

  void on_message(std::string_view message) override {
    if (ended()) return;
    StreamAccessLogsMessage logs;
    if (!logs.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return end(Status(Code::kInvalidArgument, "the message is no valid StreamAccessLogsMessage"));
    }
    if (workload_name().empty() && !begin(logs.identifier())) return;
    for (const auto& entry : logs.tcp_logs().log_entry()) take(entry.common_properties());
    proceed();
    if (!ended() && waiting_.size() > kMaxWaiting) {
      end(Status(Code::kResourceExhausted,
                 "more than " + std::to_string(kMaxWaiting) +
                     " entries wait for this process to be identified; try again later"));
    }
  }

  void on_half_close(Call& call) override {
    if (!ended()) call.send(make_frame(StreamAccessLogsResponse()));
    MeshStream::on_half_close(call);
  }

  std::size_t held() const override { return waiting_.size() * sizeof(mesh::Sighting); }

 private:
  // The first message says who speaks, and of what.
  bool begin(const StreamAccessLogsMessage::Identifier& identifier) {
    own_tls_ = identifier.log_name() == mesh::kOwnTlsLog;
    set_node(identifier.node());
    if (workload_name().empty()) {
      end(Status(Code::kInvalidArgument,
                 "identifier.node.id must name the workload, in the first message"));
    } else if (!own_tls_ && identifier.log_name() != mesh::kPlaintextLog) {
      end(Status(Code::kInvalidArgument, "identifier.log_name must be plaintext or own_tls, got " +
                                             quote(identifier.log_name().substr(0, kMaxShown))));
    }
    return !ended();
  }

  void take(const envoy::data::accesslog::v3::AccessLogCommon& entry) {
    auto sighting = mesh::parse_sighting(entry);
    if (!sighting) return;
    sighting->own_tls = own_tls_;
    waiting_.push_back(*std::move(sighting));
  }

  void proceed() override {
    const mesh::Workload* known = workload();
    if (known == nullptr) return;
    auto has = [known](std::uint16_t port) {
      return std::any_of(known->ports.begin(), known->ports.end(),
                         [port](const mesh::Port& one) { return one.port == port; });
    };
    for (const mesh::Sighting& sighting : waiting_) {
      if (has(sighting.port)) sources_.note(known->name, sighting, context().clock.now());
    }
    waiting_.clear();
  }

  mesh::PlaintextSources& sources_;
  std::vector<mesh::Sighting> waiting_;
  bool own_tls_ = false;
};

}  // namespace

Methods mesh_access_log_methods(const ApiContext& context, MeshKeeper& keeper,
                                mesh::PlaintextSources& sources) {
  Method method;
  method.path = "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs";
  method.requests = Method::Requests::kMany;
  method.max_request_bytes = context.sds_request_bytes;
  method.open = [context, &keeper, &sources](Call& call) {
    auto handler = std::make_unique<AccessLogStream>(context, keeper, sources, call);
    handler->start();
    return handler;
  };
  return {std::move(method)};
}

}  // namespace nodepilot
