// Who is calling? Merges what every attestor found, and trusts it only if the peer is still itself.
#pragma once

#include <vector>

#include "attest/attestor.h"

namespace nodepilot {

using Attestors = std::vector<const Attestor*>;

struct Attested {
  Selectors selectors;
  // Whether every attestor answered. If not, selectors may be missing: who matches nothing is then
  // not somebody without an identity, but somebody who is not fully known.
  bool complete = true;
};

// One failing attestor is logged and its selectors are simply absent. kUnavailable if all failed,
// or if the peer changed or went away while it was looked at.
//
// With retry_after the error says that some attestor will know more then, as long as the peer is
// willing to wait: ask again. Slow attestors are not asked while a quick one says so.
// Thread: worker, or loop if all of them are quick.
expected<Attested> attest(const Peer& peer, const Attestors& attestors);

bool all_quick(const Attestors& attestors);

}  // namespace nodepilot
