// Who was turned away lately, and why. The caller learns a reference and no more; with it the
// operator finds here what the agent knew.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"
#include "attest/attest.h"

namespace nodepilot {

struct Refusal {
  std::string ref;  // "7f3a91"
  Time first{};
  Time last{};
  std::uint64_t count = 1;  // the same refusal of the same process

  pid_t pid = 0;
  ProcessFacts process;  // when it connected
  std::string method;    // "FetchX509SVID"
  Code code = Code::kUnknown;
  std::string cause;
  std::vector<Finding> findings;  // empty if no attestor was asked
  Selectors selectors;
  std::size_t selectors_left_out = 0;  // for want of room
};

// What a caller is refused with.
struct Denial {
  std::string method;
  Code code = Code::kUnknown;
  std::string cause;  // for the operator
  std::vector<Finding> findings{};
  Selectors selectors{};
};

// Thread: loop.
class Refusals {
 public:
  struct Bounds {
    std::size_t records = 512;
    // No uid washes out the refusals of the others.
    std::size_t records_per_uid = 64;
    std::size_t bytes_per_record = std::size_t{16} * 1024;
  };

  // `random` need not be secret: references only have to differ.
  Refusals(const Clock& clock, std::function<std::uint32_t()> random)
      : Refusals(clock, std::move(random), Bounds()) {}
  Refusals(const Clock& clock, std::function<std::uint32_t()> random, Bounds bounds)
      : clock_(clock), random_(std::move(random)), bounds_(bounds) {}

  // Keeps it and yields its reference. A client that tries again and again, and is refused for the
  // same reason, has one record and one reference.
  std::string note(const Peer& peer, Denial denial);

  // Null if there is none, or none any more.
  const Refusal* find(std::string_view ref) const;

  std::size_t size() const { return kept_.size(); }
  // How often anybody was refused since the agent's start, whether or not it is kept.
  const std::map<Code, std::uint64_t>& counts() const { return counts_; }
  const Bounds& bounds() const { return bounds_; }

 private:
  using Kept = std::list<Refusal>;  // the one seen last at the end

  std::string fresh_ref() const;
  void make_room(uid_t uid);
  void drop(Kept::iterator oldest);

  const Clock& clock_;
  const std::function<std::uint32_t()> random_;
  const Bounds bounds_;
  Kept kept_;
  std::map<uid_t, std::size_t> by_uid_;  // how many are kept
  std::map<Code, std::uint64_t> counts_;
};

}  // namespace nodepilot
