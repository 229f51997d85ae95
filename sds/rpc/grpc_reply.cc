#include "sds/rpc/grpc_reply.h"

#include <array>
#include <string>
#include <vector>

#include "sds/rpc/grpc_headers.h"

namespace nodepilot {
namespace {

using Header = Http2Session::Header;

constexpr std::array<Header, 3> kReplyHeaders = {{
    {":status", "200"},
    {"content-type", "application/grpc"},
    {"grpc-accept-encoding", "identity"},
}};

// The two fields that say how a call ended; owns their text.
class StatusFields {
 public:
  explicit StatusFields(const Status& status)
      : code_(std::to_string(static_cast<int>(status.code))),
        message_(encode_status_message(status.message)) {}

  void append_to(std::vector<Header>& headers) const {
    headers.push_back({"grpc-status", code_});
    if (!message_.empty()) headers.push_back({"grpc-message", message_});
  }

 private:
  const std::string code_;
  const std::string message_;
};

}  // namespace

void send_headers(Http2Session& session, std::int32_t stream) {
  session.respond(stream, kReplyHeaders, true);
}

void send_trailers(Http2Session& session, std::int32_t stream, const Status& status) {
  StatusFields fields(status);
  std::vector<Header> trailers;
  fields.append_to(trailers);
  session.end(stream, trailers);
}

void send_status(Http2Session& session, std::int32_t stream, const Status& status) {
  StatusFields fields(status);
  std::vector<Header> headers(kReplyHeaders.begin(), kReplyHeaders.end());
  fields.append_to(headers);
  session.respond(stream, headers, false);
}

void send_http_status(Http2Session& session, std::int32_t stream, int http_status) {
  std::string text = std::to_string(http_status);
  std::vector<Header> headers = {{":status", text}, {"content-length", "0"}};
  if (http_status == 405) headers.push_back({"allow", "POST"});
  session.respond(stream, headers, false);
}

}  // namespace nodepilot
