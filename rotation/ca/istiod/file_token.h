// The token of a file that others rotate: a projected service account token.
#pragma once

#include <filesystem>
#include <functional>
#include <mutex>
#include <utility>

#include "agent/base/time.h"
#include "rotation/ca/istiod/lasting_fault.h"
#include "rotation/ca/istiod/token_source.h"

namespace nodepilot {

// The same token for every entry. Thread: any, several at once.
class FileToken : public TokenSource {
 public:
  // `now` is called from any thread.
  FileToken(std::filesystem::path file, std::function<Time()> now)
      : file_(std::move(file)), now_(std::move(now)) {}

  // Read anew each time, white space around it left out. If the file is missing, empty or otherwise
  // unfit, that is logged, and the last token read serves on until the CA refuses it.
  expected<SecretBytes> token(const Entry& entry) override;
  void refused(const Entry& entry, const SecretBytes& token) override;

 private:
  const std::filesystem::path file_;
  const std::function<Time()> now_;

  std::mutex mutex_;  // guards the rest
  SecretBytes last_;  // empty: none
  LastingFault fault_;
};

}  // namespace nodepilot
