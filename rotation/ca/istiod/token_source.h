// What the agent authenticates itself to the CA with.
#pragma once

#include "agent/base/entry.h"
#include "agent/base/result.h"
#include "agent/base/secret.h"

namespace nodepilot {

// Thread: worker, several at once; may block on the disk.
class TokenSource {
 public:
  virtual ~TokenSource() = default;

  // The token for a request for `entry`: fit to stand in a header, never empty.
  virtual expected<SecretBytes> token(const Entry& entry) = 0;

  // The CA does not take `token`, which token(entry) gave.
  virtual void refused(const Entry& entry, const SecretBytes& token) = 0;
};

}  // namespace nodepilot
