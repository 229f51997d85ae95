#include "rotation/federation/bundle_fetcher.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "rotation/https/https_client.h"

namespace nodepilot {
namespace {

constexpr Duration kTimeout = std::chrono::seconds(15);  // redirects included
constexpr int kMaxRedirects = 5;

expected<ServerIdentity> identity_of(const Federation& federation,
                                     const std::shared_ptr<const TrustBundle>& anchors) {
  if (const auto* spiffe = std::get_if<HttpsSpiffe>(&federation.profile)) {
    return SpiffeServer{spiffe->endpoint_id, anchors};
  }
  const auto& ca_file = std::get<HttpsWeb>(federation.profile).ca_file;
  if (!ca_file) return WebServer{};
  // Read each time, so that new CAs count without a restart.
  auto file = TRY(real_path(*ca_file));
  auto pem = TRY(read_file(file, kMaxPemBytes));
  auto roots = Certificate::parse_pem(pem);
  if (!roots) return fail_with(ca_file->string(), roots.error());
  return WebServer{*std::move(roots)};
}

bool is_redirect(unsigned status) {
  constexpr std::array kRedirects = {301U, 302U, 303U, 307U, 308U};
  return std::find(kRedirects.begin(), kRedirects.end(), status) != kRedirects.end();
}

// A page that a proxy or a login put in the way is told as what it is.
expected<std::string> take_document(HttpsReply reply, const Url& url) {
  std::string what = "GET " + url.str() + ": ";
  if (reply.status != 200) {
    return fail(Code::kUnavailable, fmt::format("{}status {}", what, reply.status));
  }
  auto start = reply.body.find_first_not_of(" \t\r\n");
  if (start != std::string::npos && reply.body[start] == '{') return std::move(reply.body);
  return fail(
      Code::kDataLoss,
      fmt::format("{}no SPIFFE bundle: its type is {}, and it starts with {}", what,
                  quote(reply.content_type.substr(0, 80)), quote(reply.body.substr(0, 40))));
}

}  // namespace

expected<std::string> HttpsBundleFetcher::fetch(const Federation& federation,
                                                const std::shared_ptr<const TrustBundle>& anchors,
                                                Time now) {
  auto deadline = std::chrono::steady_clock::now() + kTimeout;
  auto server = TRY(identity_of(federation, anchors));
  HttpsRequest request{
      .url = federation.url, .server = std::move(server), .now = now, .stop = stop_.get_token()};
  for (int redirects = 0;; ++redirects) {
    request.timeout = std::chrono::floor<Duration>(deadline - std::chrono::steady_clock::now());
    auto reply = TRY(https_send(request));
    if (!is_redirect(reply.status)) return take_document(std::move(reply), request.url);
    std::string what = "GET " + request.url.str() + ": redirected";
    if (redirects == kMaxRedirects) {
      return fail(Code::kUnavailable, fmt::format("{} more than {} times", what, kMaxRedirects));
    }
    auto target = request.url.resolve(reply.location);
    if (!target) return fail_with(what + ", to where", target.error());
    request.url = *std::move(target);
  }
}

}  // namespace nodepilot
