#include "rotation/ca/istiod/istiod_failure.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>

#include "agent/base/log.h"
#include "proto/google/retry_info.pb.h"
#include "proto/google/status.pb.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxServerText = 300;
constexpr std::size_t kMaxDetailBytes = std::size_t{16} * 1024;
constexpr std::size_t kMaxScanned = 2048;
constexpr std::size_t kShortestLeak = 12;  // what a text and a token have in common by chance
constexpr std::string_view kRetryInfo = "type.googleapis.com/google.rpc.RetryInfo";

// Within what a Duration holds; whoever heeds it has a bound of its own.
constexpr std::int64_t kLongestHintSeconds = 24 * 3600;

std::optional<Duration> hint_in_details(const std::string& details) {
  google::rpc::Status status;
  if (details.size() > kMaxDetailBytes || !status.ParseFromString(details)) return std::nullopt;
  for (const auto& detail : status.details()) {
    google::rpc::RetryInfo info;
    if (detail.type_url() != kRetryInfo || !info.ParseFromString(detail.value())) continue;
    const auto& delay = info.retry_delay();
    if (delay.seconds() < 0 || delay.nanos() < 0 || !info.has_retry_delay()) return std::nullopt;
    std::int64_t seconds = std::min<std::int64_t>(delay.seconds(), kLongestHintSeconds);
    return std::chrono::seconds(seconds) + Duration(delay.nanos() / 1'000'000);
  }
  return std::nullopt;
}

// A negative number means "do not retry", which for an identity is not ours to decide: no hint.
std::optional<Duration> hint_in_trailer(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  auto found = trailers.find("grpc-retry-pushback-ms");
  if (found == trailers.end()) return std::nullopt;
  std::uint32_t milliseconds = 0;
  const char* end = found->second.data() + found->second.size();
  auto [stop, error] = std::from_chars(found->second.data(), end, milliseconds);
  if (error != std::errc() || stop != end) return std::nullopt;
  return Duration(milliseconds);
}

// A server that puts the token into its refusal must not have it in our log; neither a part of it.
std::string without_token(std::string_view text, const SecretBytes& token) {
  std::string_view secret(reinterpret_cast<const char*>(token.data()), token.size());
  std::size_t length = std::min(kShortestLeak, secret.size());
  std::string clean;
  std::size_t leaked = 0;  // up to here
  for (std::size_t i = 0; i < text.size(); ++i) {
    bool begins = length > 0 && i + length <= text.size() &&
                  secret.find(text.substr(i, length)) != std::string_view::npos;
    if (begins && i >= leaked) clean += "***";
    if (begins) leaked = i + length;
    if (i >= leaked) clean += text[i];
  }
  return clean;
}

}  // namespace

Error istiod_failure(const std::string& address, const grpc::Status& status,
                     const grpc::ClientContext& context, const SecretBytes& token,
                     Duration timeout) {
  // The peer may send any number.
  bool is_known = status.error_code() > 0 && status.error_code() <= 16;
  Error error{is_known ? static_cast<Code>(status.error_code()) : Code::kUnknown, ""};
  error.message = address + ": " + to_string(error.code) + ": ";
  if (error.code == Code::kDeadlineExceeded) {
    error.message += "no answer within " + to_text(timeout);
    return error;
  }
  std::string text = without_token(status.error_message().substr(0, kMaxScanned), token);
  bool is_cut = text.size() > kMaxServerText;
  error.message += quote(text.substr(0, kMaxServerText)) + (is_cut ? "..." : "");
  error.retry_after = hint_in_details(status.error_details());
  if (!error.retry_after) error.retry_after = hint_in_trailer(context);
  return error;
}

}  // namespace nodepilot
