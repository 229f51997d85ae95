// The bounds on what local clients may use. Every one has a default; the configuration may change
// it.
#pragma once

#include <chrono>
#include <cstddef>

namespace nodepilot {

struct Limits {
  // Refused with a closed connection at accept: there is no HTTP/2 yet to say it in.
  std::size_t connections = 8192;
  std::size_t connections_per_uid = 2048;
  // Announced in SETTINGS; a stream beyond it is refused (REFUSED_STREAM, safe to retry).
  std::size_t streams_per_connection = 100;
  // By connection; a message of a call that takes many counts as a stream. Beyond it we stop
  // reading the connection until the rate is met: legal clients are only delayed.
  std::size_t new_streams_per_second = 1000;
  // Counted by us as name + value + 32 for each header field; beyond it the call is refused.
  std::size_t header_bytes = std::size_t{16} * 1024;
  // What one message may hold, by API.
  std::size_t workload_request_bytes = std::size_t{16} * 1024;
  std::size_t sds_request_bytes = std::size_t{256} * 1024;
  // Half-received requests and unsent replies of all connections. Beyond it new calls are refused
  // with RESOURCE_EXHAUSTED until it sinks.
  std::size_t buffered_bytes = std::size_t{64} * 1024 * 1024;
  // A client that does not complete preface and SETTINGS in this time is closed.
  std::chrono::milliseconds preface_timeout{2000};
  // A client that begins a frame or a message and then is silent for this long is closed.
  std::chrono::milliseconds half_sent_timeout{30000};
  // Budgets per connection and second (burst ten times that); beyond it the connection is closed
  // with ENHANCE_YOUR_CALM.
  std::size_t pings_per_second = 10;
  std::size_t resets_per_second = 100;
  std::size_t settings_per_second = 5;
  // A connection that takes no byte for this long while we have some for it is closed.
  std::chrono::milliseconds write_stall_timeout{5000};
};

}  // namespace nodepilot
