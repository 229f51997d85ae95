#include "agent/mesh_access_log.h"

#include "proto/envoy/als.pb.h"
#include "test/agent/mesh_rig.h"

namespace nodepilot {
namespace {

using envoy::service::accesslog::v3::StreamAccessLogsMessage;
using envoy::service::accesslog::v3::StreamAccessLogsResponse;
using testing::TestCall;

struct Rig : testing::MeshRig {
  using MeshRig::MeshRig;

  std::unique_ptr<TestCall> open() {
    return call(mesh_access_log_methods(context, *keeper, sources),
                "/envoy.service.accesslog.v3.AccessLogService/StreamAccessLogs");
  }

  // "10.0.0.9 10.0.0.7", who was seen last first.
  std::string seen(const std::string& workload = "web") const {
    std::string text;
    auto all = sources.all();
    for (const auto& source : all[workload].sources) {
      text += (text.empty() ? "" : " ") + source.ip + (source.own_tls ? "/tls" : "");
    }
    return text;
  }

  mesh::PlaintextSources sources{clock.now(), 2};
};

StreamAccessLogsMessage logs(const std::vector<std::string>& ips, std::uint32_t port = 8080) {
  StreamAccessLogsMessage message;
  for (const std::string& ip : ips) {
    auto& entry = *message.mutable_tcp_logs()->add_log_entry()->mutable_common_properties();
    entry.mutable_downstream_direct_remote_address()->mutable_socket_address()->set_address(ip);
    entry.mutable_downstream_local_address()->mutable_socket_address()->set_port_value(port);
  }
  return message;
}

// The first message of a stream.
StreamAccessLogsMessage first(const std::string& node, const std::vector<std::string>& ips,
                              const std::string& log = "plaintext", std::uint32_t port = 8080) {
  auto message = logs(ips, port);
  message.mutable_identifier()->mutable_node()->set_id(node);
  message.mutable_identifier()->set_log_name(log);
  return message;
}

TEST_CASE("an Envoy reports who came to its workload, and is never answered") {
  Rig rig({"web"});
  auto call = rig.open();

  call->write(first("web", {"10.0.0.9", "10.0.0.7"}));
  call->write(logs({"10.0.0.9"}));
  rig.open()->write(first("web", {"10.0.0.9"}, "own_tls"));

  CHECK(rig.seen() == "10.0.0.9/tls 10.0.0.9 10.0.0.7");
  CHECK(rig.sources.all()["web"].sources[1].times == 2);
  CHECK(call->sends() == 0);
  CHECK(call->held() == 0);
  CHECK_FALSE(call->status());
}

TEST_CASE("an Envoy is heard for its own workload alone, and learns of no other") {
  Rig rig({"web"});
  auto other = rig.open();
  auto none = rig.open();

  other->write(first("pay", {"10.0.0.9"}, "plaintext", 9090));
  none->write(first("nobody", {"10.0.0.9"}));

  CHECK(other->code() == Code::kPermissionDenied);
  CHECK(none->code() == Code::kPermissionDenied);
  CHECK(other->status()->message == none->status()->message);
  CHECK(rig.sources.all().empty());
}

TEST_CASE("a stream stays with the workload that it began with") {
  Rig rig({"web", "pay"});
  auto call = rig.open();

  call->write(first("web", {}));
  call->write(first("pay", {"10.0.0.9"}, "own_tls"));

  CHECK(rig.seen() == "10.0.0.9");
  CHECK(rig.seen("pay").empty());
}

TEST_CASE("ports that the workload has not, and entries that make no sense, are passed over") {
  Rig rig({"web"});
  auto call = rig.open();

  call->write(first("web", {"10.0.0.9"}, "plaintext", 9090));
  call->write(logs({"not an address", ""}));
  call->write(StreamAccessLogsMessage());

  CHECK(rig.seen().empty());
  CHECK_FALSE(call->status());
}

TEST_CASE("a first message that does not say who speaks, or of what, ends the stream") {
  Rig rig({"web"});
  for (const auto& wrong :
       {logs({"10.0.0.9"}), first("", {"10.0.0.9"}), first("web", {"10.0.0.9"}, ""),
        first("web", {"10.0.0.9"}, std::string(5000, 'x'))}) {
    auto call = rig.open();
    call->write(wrong);
    CHECK(call->code() == Code::kInvalidArgument);
    CHECK(call->status()->message.size() < 1000);
  }
  auto garbage = rig.open();
  garbage->write_bytes("\xff\xff");
  CHECK(garbage->code() == Code::kInvalidArgument);
  CHECK(rig.seen().empty());
}

TEST_CASE("what comes before it is known who calls waits, up to a bound, and counts as held") {
  Rig rig({"web"});
  rig.workers.hold();
  auto call = rig.open();
  auto flood = rig.open();

  call->write(first("web", {"10.0.0.9"}));
  CHECK(call->held() > 0);
  flood->write(first("web", std::vector<std::string>(1024, "10.0.0.1")));
  CHECK_FALSE(flood->status());
  flood->write(logs({"10.0.0.1"}));
  CHECK(flood->code() == Code::kResourceExhausted);
  CHECK(rig.seen().empty());

  while (rig.workers.run_one()) {
  }
  CHECK(rig.seen() == "10.0.0.9");
  CHECK(call->held() == 0);
}

TEST_CASE("what waits of a caller that turns out to be nobody is never noted") {
  Rig rig(std::vector<std::string>{});
  rig.workers.hold();
  auto call = rig.open();
  call->write(first("web", {"10.0.0.9"}));

  while (rig.workers.run_one()) {
  }

  CHECK(call->code() == Code::kPermissionDenied);
  CHECK(rig.sources.all().empty());
}

TEST_CASE("a client that has no more to say gets its one answer") {
  Rig rig({"web"});
  auto call = rig.open();
  call->write(first("web", {"10.0.0.9"}));

  call->half_close();

  call->read<StreamAccessLogsResponse>();
  CHECK(call->code() == Code::kOk);
}

}  // namespace
}  // namespace nodepilot
