#include "rotation/ca/istiod/istiod_client.h"

#include <grpc/compression.h>
#include <grpc/support/log.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/security/credentials.h>

#include <algorithm>
#include <chrono>

#include "proto/istio/ca.grpc.pb.h"
#include "rotation/ca/istiod/istiod_failure.h"

namespace nodepilot {
namespace {

using istio::v1::auth::IstioCertificateService;
using std::chrono::steady_clock;

// Ten certificates of the largest kind fit, and a hundred roots of the usual one.
constexpr int kMaxAnswerBytes = 1024 * 1024;
constexpr std::size_t kMaxBufferedBytes = std::size_t{8} * kMaxAnswerBytes;
// An idle connection may die without a sign; the next certificate is hours away anyway.
constexpr int kIdleMilliseconds = 30'000;
constexpr int kConnectMilliseconds = 3'000;

// Its answer to one address is no answer of the others.
bool is_of_address(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded;
}

grpc::ChannelArguments channel_arguments(const IstiodOptions& options) {
  grpc::ChannelArguments arguments;
  if (!options.server_name.empty()) arguments.SetSslTargetNameOverride(options.server_name);
  // Nothing that the environment or the DNS says may lead the token elsewhere.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // Retries have their own schedule.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  // A compressed answer would be unpacked before its size is known: none is asked for nor taken.
  arguments.SetInt(GRPC_COMPRESSION_CHANNEL_ENABLED_ALGORITHMS_BITSET, 1 << GRPC_COMPRESS_NONE);
  arguments.SetInt(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  arguments.SetMaxReceiveMessageSize(kMaxAnswerBytes);
  // gRPC takes in a whole message before it looks at that bound; beyond its quota it cuts it off.
  arguments.SetResourceQuota(grpc::ResourceQuota("istiod").Resize(kMaxBufferedBytes));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_CLIENT_IDLE_TIMEOUT_MS, kIdleMilliseconds);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectMilliseconds);
  return arguments;
}

std::string text_of(const SecretBytes& bytes) { return {bytes.begin(), bytes.end()}; }

// One error for all that was tried: its code is the last one's, its hint the longest.
Error combined(const std::vector<Error>& errors) {
  Error all{errors.back().code, ""};
  for (const Error& error : errors) {
    all.message += (all.message.empty() ? "" : "; then ") + error.message;
    all.retry_after = std::max(all.retry_after, error.retry_after);
  }
  return all;
}

}  // namespace

struct IstiodClient::Connection {
  Trust trust;
  std::unique_ptr<IstioCertificateService::Stub> stub;
};

// While it lives, stop() can reach the call.
class IstiodClient::InFlight {
 public:
  InFlight(IstiodClient& client, grpc::ClientContext& context)
      : client_(client), context_(context) {
    std::lock_guard lock(client_.mutex_);
    client_.in_flight_.insert(&context_);
    is_late_ = client_.stopped_;
  }
  InFlight(const InFlight&) = delete;
  InFlight& operator=(const InFlight&) = delete;
  ~InFlight() {
    std::lock_guard lock(client_.mutex_);
    client_.in_flight_.erase(&context_);
  }

  bool is_late() const { return is_late_; }  // stop() came before

 private:
  IstiodClient& client_;
  grpc::ClientContext& context_;
  bool is_late_ = false;
};

IstiodClient::IstiodClient(IstiodOptions options)
    : options_(std::move(options)), connections_(options_.addresses.size()) {
  // It would write to stderr what a status tells anyway, unescaped.
  gpr_set_log_function([](gpr_log_func_args*) {});
}

IstiodClient::~IstiodClient() = default;

expected<IstiodClient::Response> IstiodClient::create_certificate(const Request& request,
                                                                  const SecretBytes& token,
                                                                  const Trust& trust) {
  const auto deadline = steady_clock::now() + options_.timeout;
  const std::size_t count = options_.addresses.size();
  std::size_t first = 0;
  {
    std::lock_guard lock(mutex_);
    first = preferred_;
  }
  std::vector<Error> errors;
  for (std::size_t i = 0; i < count; ++i) {
    auto left = std::chrono::floor<Duration>(deadline - steady_clock::now());
    if (left <= Duration(0)) break;
    std::size_t index = (first + i) % count;
    auto reply = ask(index, request, token, trust, left / static_cast<int>(count - i));
    if (reply) {
      std::lock_guard lock(mutex_);
      preferred_ = index;
      return reply;
    }
    errors.push_back(std::move(reply).error());
    if (!is_of_address(errors.back().code)) break;
  }
  if (errors.empty()) return fail(Code::kDeadlineExceeded, "no time was left to ask");
  return tl::unexpected<Error>(combined(errors));
}

void IstiodClient::stop() {
  std::lock_guard lock(mutex_);
  stopped_ = true;
  for (grpc::ClientContext* context : in_flight_) context->TryCancel();
}

expected<IstiodClient::Response> IstiodClient::ask(std::size_t index, const Request& request,
                                                   const SecretBytes& token, const Trust& trust,
                                                   Duration timeout) {
  ConnectionPtr used = connection(index, trust);
  grpc::ClientContext context;
  prepare(context, token, timeout);
  Response response;
  grpc::Status status;
  {
    InFlight in_flight(*this, context);
    if (in_flight.is_late()) return fail(Code::kCancelled, "the agent is stopping");
    status = used->stub->CreateCertificate(&context, request, &response);
  }
  if (status.ok()) return response;
  drop(index, used);
  return tl::unexpected<Error>(
      istiod_failure(options_.addresses[index], status, context, token, timeout));
}

IstiodClient::ConnectionPtr IstiodClient::connection(std::size_t index, const Trust& trust) {
  std::lock_guard lock(mutex_);
  ConnectionPtr& held = connections_[index];
  if (!held || held->trust != trust) held = connect(options_.addresses[index], trust);
  return held;
}

void IstiodClient::drop(std::size_t index, const ConnectionPtr& failed) {
  std::lock_guard lock(mutex_);
  if (connections_[index] == failed) connections_[index] = nullptr;
}

IstiodClient::ConnectionPtr IstiodClient::connect(const std::string& address,
                                                  const Trust& trust) const {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = trust.roots->pem;
  if (trust.certificate) {
    tls.pem_cert_chain = trust.certificate->chain_pem;
    tls.pem_private_key = text_of(trust.certificate->key_pem);
  }
  // The scheme is ours: "unix:" or "xds:" in an address is but a bad name.
  auto channel = grpc::CreateCustomChannel("dns:///" + address, grpc::SslCredentials(tls),
                                           channel_arguments(options_));
  return std::make_shared<Connection>(Connection{trust, IstioCertificateService::NewStub(channel)});
}

void IstiodClient::prepare(grpc::ClientContext& context, const SecretBytes& token,
                           Duration timeout) const {
  // Monotonic: a step of the wall clock must not end a call, nor keep it.
  context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                    gpr_time_from_millis(timeout.count(), GPR_TIMESPAN)));
  context.AddMetadata("authorization", "Bearer " + text_of(token));
  context.AddMetadata("clusterid", options_.cluster_id);
  for (const auto& [name, value] : options_.headers) context.AddMetadata(name, value);
}

}  // namespace nodepilot
