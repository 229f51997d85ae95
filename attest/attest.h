// Who is calling? Merges what every attestor found, and trusts it only if the peer is still itself.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "attest/attestor.h"

namespace nodepilot {

using Attestors = std::vector<const Attestor*>;

// What one attestor did. The selectors that it found bear its name as their type.
struct Finding {
  std::string attestor;
  std::chrono::microseconds took{0};
  std::size_t selectors = 0;
  std::optional<Error> failure{};
};

struct Attestation {
  // What all of them found together. kUnavailable if all failed, or if the peer changed or went
  // away while it was looked at. With retry_after some attestor will know more then, as long as
  // the peer is willing to wait: ask again.
  expected<Selectors> selectors;
  std::vector<Finding> findings;  // one for each attestor

  // Whether every attestor answered. If not, selectors may be missing: who matches nothing is then
  // not somebody without an identity, but somebody who is not fully known.
  bool complete() const;
};

// One failing attestor is logged and its selectors are simply absent. Slow attestors are not asked
// while a quick one says that it will know more.
// Thread: worker, or loop if all of them are quick.
Attestation attest(const Peer& peer, const Attestors& attestors);

bool all_quick(const Attestors& attestors);

}  // namespace nodepilot
