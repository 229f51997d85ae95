#include "agent/telemetry.h"

#include <nlohmann/json.hpp>

#include "agent/admin_status.h"
#include "agent/base/log.h"
#include "agent/metrics.h"
#include "agent/status_text.h"

namespace nodepilot {
namespace {

using Json = nlohmann::ordered_json;

constexpr Duration kRetry = std::chrono::seconds(1);
// Each holds an answer of its own while it is sent.
constexpr std::size_t kMaxConnections = 32;
// An accept costs little, and who probes must get through between those of a flood.
constexpr std::size_t kNewPerSecond = 200;
// Metrics cost most with many identities; who asks more often gets the last again.
constexpr Duration kMinInterval = std::chrono::seconds(1);

HttpAnswer readiness(const AdminContext& context) {
  std::string why = why_not_ready(readiness_status(context));
  Json body = {{"ready", why.empty()}, {"reasons", Json::array()}};
  if (!why.empty()) body["reasons"].push_back(why);
  return {
      .status = why.empty() ? 200U : 503U, .body = body.dump() + "\n", .type = "application/json"};
}

}  // namespace

Telemetry::Telemetry(Loop& loop, Clock& clock, const TelemetryConfig& config, AdminContext context)
    : loop_(loop),
      clock_(clock),
      config_(config),
      context_(std::move(context)),
      retry_(clock, [this] { listen_patiently(); }) {}

expected<void> Telemetry::listen() {
  retry_.clear();
  if (server_) return {};
  server_ = TRY(HttpServer::open(loop_,
                                 {.name = "telemetry",
                                  .address = config_.listen.address,
                                  .port = config_.listen.port,
                                  .max_connections = kMaxConnections,
                                  .new_per_second = kNewPerSecond},
                                 [this](std::string_view target) { return answer(target); }));
  server_->serve(nullptr);
  is_failing_ = false;
  log::info("telemetry served", {{"address", config_.listen.address},
                                 {"port", server_->port()},
                                 {"spiffe_ids_told", config_.per_identity}});
  return {};
}

void Telemetry::listen_patiently() {
  auto listening = listen();
  if (listening) return;
  if (!std::exchange(is_failing_, true)) {
    log::warn("telemetry not served yet", {{"error", listening.error().message}});
  }
  retry_.set(clock_.now() + kRetry);
}

void Telemetry::close() {
  retry_.clear();
  server_.reset();
}

std::optional<HttpAnswer> Telemetry::answer(std::string_view target) {
  std::string_view path = target.substr(0, target.find('?'));
  if (path == "/live") return HttpAnswer{.body = "{\"live\":true}\n", .type = "application/json"};
  if (path == "/ready") return readiness(context_);
  if (path != "/metrics") return std::nullopt;
  return HttpAnswer{.body = metrics(), .type = "text/plain; version=0.0.4; charset=utf-8"};
}

const std::string& Telemetry::metrics() {
  Time now = clock_.now();
  bool is_fresh = collected_at_ && *collected_at_ <= now && now - *collected_at_ < kMinInterval;
  if (!is_fresh) {
    metrics_ = metrics_text(context_, {.per_identity = config_.per_identity});
    collected_at_ = now;
  }
  return metrics_;
}

}  // namespace nodepilot
