#include "agent/admin_plaintext.h"

#include "agent/admin_status.h"
#include "proto/nodepilot/admin.pb.h"

namespace nodepilot {
namespace {

namespace pb = admin::v1;

void fill(const std::string& workload, const mesh::PlaintextSource& source,
          pb::PlaintextSource& out) {
  out.set_workload(workload);
  out.set_port(source.port);
  out.set_address(source.ip);
  out.set_own_tls(source.own_tls);
  out.set_times(source.times);
  out.set_first_at(to_unix(source.first));
  out.set_last_at(to_unix(source.last));
}

class GetPlaintext : public CallHandler {
 public:
  GetPlaintext(const AdminContext& context, Call& call) : context_(context), call_(call) {}

  void on_message(std::string_view message) override {
    pb::GetPlaintextRequest request;
    if (!request.ParseFromArray(message.data(), static_cast<int>(message.size()))) {
      return call_.finish(Status(Code::kInvalidArgument, "malformed request"));
    }
    if (context_.plaintext == nullptr) {
      return call_.finish(
          Status(Code::kFailedPrecondition,
                 "the agent runs without the section \"mesh\"; restart it to read it"));
    }
    pb::GetPlaintextResponse out;
    out.set_now(to_unix(context_.clock.now()));
    out.set_since(to_unix(context_.plaintext->since()));
    out.set_most_per_workload(static_cast<std::uint32_t>(context_.plaintext->most()));
    for (const auto& [workload, of] : context_.plaintext->all()) {
      for (const auto& source : of.sources) fill(workload, source, *out.add_sources());
      if (of.dropped > 0) (*out.mutable_dropped())[workload] = of.dropped;
    }
    call_.send(make_frame(out));
    call_.finish(Status());
  }

 private:
  const AdminContext& context_;
  Call& call_;
};

}  // namespace

std::unique_ptr<CallHandler> plaintext_call(const AdminContext& context, Call& call) {
  return std::make_unique<GetPlaintext>(context, call);
}

}  // namespace nodepilot
