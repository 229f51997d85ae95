// The HTTP server of `telemetry`: /metrics for Prometheus, /live and /ready for who probes. It asks
// nobody who they are: what it tells is no secret.
#pragma once

#include "agent/admin.h"
#include "agent/config/telemetry.h"
#include "agent/http_server.h"

namespace nodepilot {

// Thread: loop.
class Telemetry {
 public:
  // All references outlive it.
  Telemetry(Loop& loop, Clock& clock, const TelemetryConfig& config, AdminContext context);

  // Serves now, or tells why it cannot. Errors name the address.
  expected<void> listen();
  // The same, but tries again each second until it can: who is to be followed still has the port.
  void listen_patiently();
  // Leaves the port to another agent.
  void close();

  // 0 if it does not serve.
  std::uint16_t port() const { return server_ ? server_->port() : 0; }

 private:
  std::optional<HttpAnswer> answer(std::string_view target);
  const std::string& metrics();

  Loop& loop_;
  Clock& clock_;
  const TelemetryConfig config_;
  const AdminContext context_;
  Alarm retry_;
  bool is_failing_ = false;
  std::unique_ptr<HttpServer> server_;
  std::string metrics_;  // as of ...
  std::optional<Time> collected_at_;
};

}  // namespace nodepilot
