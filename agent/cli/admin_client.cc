#include "agent/cli/admin_client.h"

#include "agent/cli/grpc_client.h"
#include "proto/nodepilot/admin.grpc.pb.h"

namespace nodepilot {

namespace pb = admin::v1;

expected<pb::GetStatusResponse> get_status(const EndpointAddress& admin, Duration timeout) {
  auto stub = pb::Admin::NewStub(open_channel(admin));
  grpc::ClientContext context;
  set_deadline(context, timeout);
  pb::GetStatusResponse response;
  grpc::Status status = stub->GetStatus(&context, {}, &response);
  if (!status.ok()) return call_error(status, admin);
  return response;
}

expected<pb::RotateResponse> rotate(const EndpointAddress& admin, const pb::RotateRequest& request,
                                    Duration timeout) {
  auto stub = pb::Admin::NewStub(open_channel(admin));
  grpc::ClientContext context;
  set_deadline(context, timeout);
  pb::RotateResponse response;
  grpc::Status status = stub->Rotate(&context, request, &response);
  if (!status.ok()) return call_error(status, admin);
  return response;
}

}  // namespace nodepilot
