#include "agent/cli/grpc_client.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cerrno>

#include "agent/base/fd.h"

namespace nodepilot {
namespace {

// Room for the bundles of a large federation and for the status of thousands of identities.
constexpr int kMaxMessageBytes = 64 * 1024 * 1024;

// 0, or why nobody can connect: gRPC's own words for it are long and differ between versions.
int connect_error(const std::string& path) {
  Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  const auto* generic = reinterpret_cast<const sockaddr*>(&address);
  return ::connect(socket.get(), generic, sizeof address) == 0 ? 0 : errno;
}

const char* remedy(int errnum) {
  if (errnum == ENOENT || errnum == ECONNREFUSED) return "; is the agent running?";
  if (errnum == EACCES) return "; the socket's mode does not let this user in";
  return "";
}

}  // namespace

std::shared_ptr<grpc::Channel> open_channel(const EndpointAddress& address) {
  grpc::ChannelArguments arguments;
  // A proxy from the environment must never see a call that carries a key.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  return grpc::CreateCustomChannel(address.grpc_target(), grpc::InsecureChannelCredentials(),
                                   arguments);
}

void set_deadline(grpc::ClientContext& context, Duration timeout) {
  context.set_deadline(std::chrono::system_clock::now() + timeout);
}

tl::unexpected<Error> call_error(const grpc::Status& status, const EndpointAddress& address) {
  // The peer may send any number.
  bool is_known = status.error_code() >= 0 && status.error_code() <= 16;
  Code code = is_known ? static_cast<Code>(status.error_code()) : Code::kUnknown;
  if (code == Code::kUnavailable && !address.unix_path.empty()) {
    if (int errnum = connect_error(address.unix_path); errnum != 0) {
      Error error = fail_errno("connect to " + address.str(), errnum).value();
      return fail(Code::kUnavailable, error.message + remedy(errnum));
    }
  }
  if (code == Code::kDeadlineExceeded) return fail(code, address.str() + ": no answer in time");
  return fail(code, address.str() + ": " + to_string(code) + ": " + status.error_message());
}

}  // namespace nodepilot
