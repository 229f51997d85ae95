// Who came to the workloads of this node without an identity of the mesh. In memory, since the
// agent began; bounded by workload, so that no Envoy's report, true or made up, washes out another
// workload's: who was seen longest ago makes room.
#pragma once

#include <cstdint>
#include <list>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "agent/base/clock.h"
#include "agent/mesh/plaintext_log.h"

namespace nodepilot::mesh {

struct PlaintextSource {
  std::uint16_t port = 0;
  std::string ip;
  bool own_tls = false;
  std::uint64_t times = 0;  // connections, or requests if it spoke HTTP
  Time first{};
  Time last{};
};

// Thread: loop.
class PlaintextSources {
 public:
  static constexpr std::size_t kMostOfWorkload = 1024;
  static constexpr std::size_t kMost = std::size_t{16} * 1024;  // of all workloads

  struct OfWorkload {
    std::vector<PlaintextSource> sources;  // who was seen last comes first
    std::uint64_t dropped = 0;             // for want of room
  };

  // At most `workloads` different ones are noted.
  PlaintextSources(Time since, std::size_t workloads);

  void note(const std::string& workload, const Sighting& sighting, Time now);

  std::map<std::string, OfWorkload> all() const;
  Time since() const { return since_; }
  // How many are kept of each workload.
  std::size_t most() const { return most_; }

 private:
  using List = std::list<PlaintextSource>;
  using Key = std::tuple<std::uint16_t, bool, std::string>;
  struct Kept {
    List list;  // who was seen last comes first
    std::map<Key, List::iterator> index;
    std::uint64_t dropped = 0;
  };

  const Time since_;
  const std::size_t most_;
  std::map<std::string, Kept> kept_;
};

}  // namespace nodepilot::mesh
