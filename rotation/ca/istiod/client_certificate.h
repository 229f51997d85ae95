// The certificate that we show to a CA's server, from files that others replace while we run.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "agent/base/secret.h"
#include "agent/base/time.h"
#include "rotation/ca/istiod/lasting_fault.h"

namespace nodepilot {

struct ShownCertificate {
  std::string chain_pem;
  SecretBytes key_pem;
  Time not_after;
};
using ShownCertificatePtr = std::shared_ptr<const ShownCertificate>;

// Thread: any, several at once; blocks on the disk.
class ClientCertificate {
 public:
  ClientCertificate(std::filesystem::path certificate_file, std::filesystem::path key_file,
                    std::function<Time()> now)
      : certificate_file_(std::move(certificate_file)),
        key_file_(std::move(key_file)),
        now_(std::move(now)) {}

  // The pair as it is now; the same object as long as it does not change. A pair that cannot be
  // read, or is half replaced, is logged, and the one read before stands. One that has ended is
  // logged and not shown: null, and the server may still take the token.
  ShownCertificatePtr read();

 private:
  expected<void> refresh();

  const std::filesystem::path certificate_file_;
  const std::filesystem::path key_file_;
  const std::function<Time()> now_;

  std::mutex mutex_;  // guards the rest
  ShownCertificatePtr shown_;
  LastingFault fault_;
};

}  // namespace nodepilot
