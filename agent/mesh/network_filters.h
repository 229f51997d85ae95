// The filters of stock Envoy that a rendered listener is made of. Pure. Thread: any.
#pragma once

#include <string>

#include "proto/envoy/listener.pb.h"

namespace nodepilot::mesh {

// Sends HTTP to `cluster`, without a limit of time. x-forwarded-client-cert tells the application
// who the client is if `tells_peer`, and otherwise never passes: a client could have made it up.
// The agent hears of every request under `log`, one of plaintext_log.h; null: of none.
envoy::config::listener::v3::Filter http_filter(const std::string& stat_prefix,
                                                const std::string& cluster, bool tells_peer,
                                                const char* log = nullptr);
// The agent hears of every connection.
envoy::config::listener::v3::Filter tcp_filter(const std::string& stat_prefix,
                                               const std::string& cluster,
                                               const char* log = nullptr);

envoy::config::listener::v3::ListenerFilter tls_inspector();
envoy::config::listener::v3::ListenerFilter http_inspector();

}  // namespace nodepilot::mesh
