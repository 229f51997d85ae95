#include "sds/reflection.h"

#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "proto/envoy/sds.pb.h"
#include "proto/envoy/tls.pb.h"
#include "proto/grpc/health.pb.h"
#include "proto/grpc/reflection.pb.h"
#include "proto/grpc/reflection_v1alpha.pb.h"
#include "proto/spiffe/workload.pb.h"
#include "sds/reflection_catalog.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxRequestBytes = std::size_t{4} * 1024;
constexpr std::size_t kMaxWaitingBytes = std::size_t{16} * 1024;

template <class Message>
const google::protobuf::FileDescriptor* file_of() {
  return Message::descriptor()->file();
}

// The services of every public socket, and the secrets that SDS wraps in Any.
ReflectionCatalog::Files public_files() {
  return {file_of<X509SVIDRequest>(),
          file_of<envoy::service::secret::v3::SdsDummy>(),
          file_of<envoy::extensions::transport_sockets::tls::v3::Secret>(),
          file_of<grpc::health::v1::HealthCheckRequest>(),
          file_of<grpc::reflection::v1::ServerReflectionRequest>(),
          file_of<grpc::reflection::v1alpha::ServerReflectionRequest>()};
}

// Answers one request after the other: as long as an answer is under way, requests wait.
class ReflectionStream : public CallHandler {
 public:
  // `catalog` outlives it.
  ReflectionStream(const ReflectionCatalog& catalog, Call& call) : catalog_(catalog), call_(call) {}

  void on_message(std::string_view message) override {
    waiting_.emplace_back(message);
    waiting_bytes_ += cost(waiting_.back());
    if (waiting_bytes_ > kMaxWaitingBytes) {
      return call_.finish(
          Status(Code::kResourceExhausted, "more than " + std::to_string(kMaxWaitingBytes) +
                                               " bytes of requests wait; read the answers first"));
    }
    push();
  }

  void on_half_close(Call&) override {
    half_closed_ = true;
    push();
  }

  void on_sent() override {
    under_way_ = false;
    push();
  }

  std::size_t held() const override { return waiting_bytes_; }

 private:
  static std::size_t cost(const std::string& request) {
    return sizeof(std::string) + request.size();
  }

  void push() {
    if (waiting_.empty()) {
      if (half_closed_) call_.finish(Status());
      return;
    }
    if (under_way_) return;
    std::string bytes = std::move(waiting_.front());
    waiting_.pop_front();
    waiting_bytes_ -= cost(bytes);
    // The messages of v1alpha are the same on the wire.
    grpc::reflection::v1::ServerReflectionRequest request;
    if (!request.ParseFromString(bytes)) {
      return call_.finish(
          Status(Code::kInvalidArgument, "the request is no valid ServerReflectionRequest"));
    }
    under_way_ = true;
    call_.send(make_frame(catalog_.answer(request)));
  }

  const ReflectionCatalog& catalog_;
  Call& call_;
  std::deque<std::string> waiting_;  // oldest first
  std::size_t waiting_bytes_ = 0;
  bool under_way_ = false;
  bool half_closed_ = false;
};

}  // namespace

Methods reflection_methods(const ReflectionCatalog::Files& more) {
  auto files = std::make_shared<ReflectionCatalog::Files>(public_files());
  files->insert(files->end(), more.begin(), more.end());
  // Made by the first call: few agents are ever asked.
  auto catalog = std::make_shared<std::optional<ReflectionCatalog>>();
  Methods methods;
  for (const char* version : {"v1", "v1alpha"}) {
    Method method;
    method.path =
        std::string("/grpc.reflection.") + version + ".ServerReflection/ServerReflectionInfo";
    method.requests = Method::Requests::kMany;
    method.max_request_bytes = kMaxRequestBytes;
    method.open = [catalog, files](Call& call) {
      if (!*catalog) catalog->emplace(*files);
      return std::make_unique<ReflectionStream>(**catalog, call);
    };
    methods.push_back(std::move(method));
  }
  return methods;
}

}  // namespace nodepilot
