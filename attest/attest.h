// Who is calling? Merges what every attestor found, and trusts it only if the peer is still itself.
#pragma once

#include <vector>

#include "attest/attestor.h"

namespace nodepilot {

using Attestors = std::vector<const Attestor*>;

// One failing attestor is logged and its selectors are simply absent. kUnavailable if all failed,
// or if the peer changed or went away while it was looked at.
// Thread: worker, or loop if all of them are quick.
expected<Selectors> attest(const Peer& peer, const Attestors& attestors);

bool all_quick(const Attestors& attestors);

}  // namespace nodepilot
