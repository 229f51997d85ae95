#include "agent/cli/admin_client.h"

#include "agent/cli/grpc_client.h"
#include "proto/nodepilot/admin.grpc.pb.h"

namespace nodepilot {

namespace pb = admin::v1;

namespace {

// One unary call, of any kind.
template <class Request, class Response>
expected<Response> call(const EndpointAddress& admin,
                        grpc::Status (pb::Admin::Stub::*method)(grpc::ClientContext*,
                                                                const Request&, Response*),
                        const Request& request, Duration timeout) {
  auto stub = pb::Admin::NewStub(open_channel(admin));
  grpc::ClientContext context;
  set_deadline(context, timeout);
  Response response;
  grpc::Status status = (stub.get()->*method)(&context, request, &response);
  if (!status.ok()) return call_error(status, admin);
  return response;
}

}  // namespace

expected<pb::GetStatusResponse> get_status(const EndpointAddress& admin, Duration timeout) {
  return call(admin, &pb::Admin::Stub::GetStatus, {}, timeout);
}

expected<pb::RotateResponse> rotate(const EndpointAddress& admin, const pb::RotateRequest& request,
                                    Duration timeout) {
  return call(admin, &pb::Admin::Stub::Rotate, request, timeout);
}

expected<pb::GetBundlesResponse> get_bundles(const EndpointAddress& admin,
                                             const pb::GetBundlesRequest& request,
                                             Duration timeout) {
  return call(admin, &pb::Admin::Stub::GetBundles, request, timeout);
}

expected<pb::ExplainResponse> explain(const EndpointAddress& admin,
                                      const pb::ExplainRequest& request, Duration timeout) {
  return call(admin, &pb::Admin::Stub::Explain, request, timeout);
}

expected<pb::DescribeResponse> describe(const EndpointAddress& admin,
                                        const pb::DescribeRequest& request, Duration timeout) {
  return call(admin, &pb::Admin::Stub::Describe, request, timeout);
}

expected<pb::GetPlaintextResponse> get_plaintext(const EndpointAddress& admin, Duration timeout) {
  return call(admin, &pb::Admin::Stub::GetPlaintext, {}, timeout);
}

}  // namespace nodepilot
