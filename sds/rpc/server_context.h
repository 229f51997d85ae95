// What the connections of one listener share. Thread: loop.
#pragma once

#include <array>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "agent/base/loop.h"
#include "attest/peer_looks.h"
#include "sds/rpc/admission.h"
#include "sds/rpc/call.h"
#include "sds/rpc/incident_log.h"
#include "sds/rpc/limits.h"

namespace nodepilot {

class Connection;

struct ServerContext {
  ServerContext(Loop& on, const char* name, const Limits& bounds, Methods served)
      : loop(on), limits(bounds), methods(std::move(served)), admission(bounds), incidents(name) {
    for (const Method& method : methods) by_path.emplace(method.path, &method);
  }
  ServerContext(const ServerContext&) = delete;
  ServerContext& operator=(const ServerContext&) = delete;

  // Constant after construction.
  Loop& loop;
  const Limits limits;
  const Methods methods;
  std::unordered_map<std::string_view, const Method*> by_path;

  // Loop only.
  Admission admission;
  IncidentLog incidents;
  std::function<void(Connection&)> on_closed;
  std::deque<std::weak_ptr<Connection>> kicked;  // in the order of their kicks
  std::optional<PeerLooks> looks;                // while several take their turns together
  // What was read last, on its way into a session: one buffer for all, since only one reads.
  std::array<char, std::size_t{16} * 1024> input{};
};

}  // namespace nodepilot
