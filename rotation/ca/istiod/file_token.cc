#include "rotation/ca/istiod/file_token.h"

#include "agent/base/files.h"
#include "rotation/ca/istiod/bearer_token.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

expected<SecretBytes> read_bytes(const fs::path& file) {
  fs::path real = TRY(real_path(file));
  return read_file_beneath(real.parent_path(), real.filename(), kMaxTokenBytes);
}

expected<SecretBytes> read_token(const fs::path& file) {
  auto bytes = read_bytes(file);
  // What the link pointed to goes away when it is swapped: the second try sees the new one.
  if (!bytes && bytes.error().code == Code::kNotFound) bytes = read_bytes(file);
  if (!bytes) return bytes;
  return parse_bearer_token(*bytes, file.string());
}

}  // namespace

expected<SecretBytes> FileToken::token(const Entry&) {
  auto token = read_token(file_);
  std::lock_guard lock(mutex_);
  if (token) {
    fault_.over();
    last_ = *token;
    return token;
  }
  if (last_.empty()) return fail_with("token for the CA", token.error());
  fault_.warn("token for the CA not read: the last one is used", token.error(), now_());
  return last_;
}

void FileToken::refused(const Entry&, const SecretBytes& token) {
  std::lock_guard lock(mutex_);
  if (last_ == token) last_.clear();
}

}  // namespace nodepilot
