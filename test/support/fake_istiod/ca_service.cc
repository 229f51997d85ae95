#include "test/support/fake_istiod/ca_service.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <thread>

#include "agent/base/sha256.h"
#include "agent/base/spiffe_id.h"
#include "proto/google/retry_info.pb.h"
#include "proto/google/status.pb.h"

namespace nodepilot::test {
namespace {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr std::chrono::seconds kDefaultLife = std::chrono::hours(24);
constexpr std::chrono::seconds kLongestLife = std::chrono::hours(24) * 90;
constexpr milliseconds kTick{5};

std::string metadata(const grpc::ServerContext& context, const std::string& key) {
  auto it = context.client_metadata().find(key);
  if (it == context.client_metadata().end()) return "";
  return {it->second.data(), it->second.size()};
}

std::string token_of(const grpc::ServerContext& context) {
  const std::string scheme = "Bearer ";
  std::string value = metadata(context, "authorization");
  return value.starts_with(scheme) ? value.substr(scheme.size()) : "";
}

// spiffe://TD/ns/NS/sa/SA.
bool is_service_account(const std::string& id) {
  auto parsed = SpiffeId::parse(id);
  if (!parsed) return false;
  std::string_view path = parsed->path();
  std::size_t account = path.find('/', std::string_view("/ns/").size());
  return path.starts_with("/ns/") && std::count(path.begin(), path.end(), '/') == 4 &&
         path.substr(std::min(account, path.size())).starts_with("/sa/");
}

// istiod does not say which of its checks failed.
grpc::Status unauthenticated() {
  return {grpc::StatusCode::UNAUTHENTICATED, "request authenticate failure"};
}

// Says when to come again in both ways of gRPC: RetryInfo and the pushback trailer.
grpc::Status exhausted(grpc::ServerContext& context, milliseconds time) {
  google::rpc::Status details;
  details.set_code(grpc::StatusCode::RESOURCE_EXHAUSTED);
  details.set_message("too much to do");
  if (time.count() > 0) {
    context.AddTrailingMetadata("grpc-retry-pushback-ms", std::to_string(time.count()));
    google::rpc::RetryInfo again;
    again.mutable_retry_delay()->set_seconds(time.count() / 1000);
    again.mutable_retry_delay()->set_nanos(static_cast<int>(time.count() % 1000 * 1000000));
    details.add_details()->PackFrom(again);
  }
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, details.message(), details.SerializeAsString()};
}

// Until then, or until the caller has gone. gRPC has no way to wait for that.
void wait(const grpc::ServerContext& context, steady_clock::time_point until) {
  while (!context.IsCancelled() && steady_clock::now() < until) std::this_thread::sleep_for(kTick);
}

}  // namespace

grpc::Status CaService::CreateCertificate(grpc::ServerContext* context, const Request* request,
                                          Response* response) {
  std::string token = token_of(*context);
  begin(token);
  grpc::Status status = answer(*context, token, *request, *response);
  std::scoped_lock lock(mutex_);
  --counts_.in_flight;
  return status;
}

void CaService::begin(const std::string& token) {
  auto now = steady_clock::now();
  std::scoped_lock lock(mutex_);
  ++counts_.calls;
  counts_.most_in_flight = std::max(counts_.most_in_flight, ++counts_.in_flight);
  if (!token.empty()) ++counts_.tokens[sha256_hex(token)];
  last_second_.push_back(now);
  while (last_second_.front() <= now - std::chrono::seconds(1)) last_second_.pop_front();
  counts_.most_per_second = std::max(counts_.most_per_second, last_second_.size());
}

grpc::Status CaService::answer(grpc::ServerContext& context, const std::string& token,
                               const Request& request, Response& response) {
  std::optional<std::string> id = granted_id(context, token, request);
  if (!id) return unauthenticated();
  const Misdeed misdeed = misdeed_for(*id);
  auto now = steady_clock::now();
  switch (misdeed.fault) {
    case Fault::kReject:
      return {grpc::StatusCode::UNAVAILABLE, "told to reject"};
    case Fault::kHang:
      wait(context, steady_clock::time_point::max());
      break;
    case Fault::kSlow:
      wait(context, now + misdeed.time);
      break;
    case Fault::kExhausted:
      return exhausted(context, misdeed.time);
    case Fault::kUnauthenticated:
      return unauthenticated();
    default:
      break;
  }
  if (context.IsCancelled()) return grpc::Status::CANCELLED;
  return sign(*id, request, misdeed, response);
}

std::optional<std::string> CaService::granted_id(const grpc::ServerContext& context,
                                                 const std::string& token,
                                                 const Request& request) const {
  std::scoped_lock lock(mutex_);
  auto caller = callers_.find(token);
  if (caller == callers_.end()) return std::nullopt;
  const auto& fields = request.metadata().fields();
  auto asked = fields.find("ImpersonatedIdentity");
  if (asked == fields.end() || asked->second.string_value().empty()) return caller->second.id;
  bool is_allowed = caller->second.is_node && metadata(context, "clusterid") == cluster_id_ &&
                    is_service_account(asked->second.string_value());
  return is_allowed ? std::optional(asked->second.string_value()) : std::nullopt;
}

Misdeed CaService::misdeed_for(const std::string& id) const {
  std::scoped_lock lock(mutex_);
  if (!only_for_.empty() && only_for_ != id) return {};
  bool is_over = misdeed_.fault == Fault::kUnauthenticated && misdeed_.time.count() > 0 &&
                 steady_clock::now() >= set_at_ + misdeed_.time;
  return is_over ? Misdeed{} : misdeed_;
}

grpc::Status CaService::sign(const std::string& id, const Request& request, Misdeed misdeed,
                             Response& response) {
  std::chrono::seconds life{request.validity_duration()};
  if (life.count() <= 0) life = kDefaultLife;
  if (life > kLongestLife) {
    return {grpc::StatusCode::INVALID_ARGUMENT, "the requested TTL is above the longest allowed"};
  }
  std::scoped_lock lock(mutex_);
  auto chain = mint_.fill({request.csr(), id, life, misdeed});
  if (!chain) return {grpc::StatusCode::INVALID_ARGUMENT, "the CSR cannot be parsed"};
  ++counts_.signed_for[id];
  for (std::string& element : *chain) response.add_cert_chain(std::move(element));
  return grpc::Status::OK;
}

void CaService::trust(const std::string& token, const std::string& id, bool is_node) {
  std::scoped_lock lock(mutex_);
  callers_[token] = {id, is_node};
}

void CaService::distrust(const std::string& token) {
  std::scoped_lock lock(mutex_);
  callers_.erase(token);
}

void CaService::set(Misdeed misdeed, const std::string& only_for) {
  std::scoped_lock lock(mutex_);
  misdeed_ = misdeed;
  only_for_ = only_for;
  set_at_ = steady_clock::now();
}

CaService::Counts CaService::counts() const {
  std::scoped_lock lock(mutex_);
  return counts_;
}

}  // namespace nodepilot::test
