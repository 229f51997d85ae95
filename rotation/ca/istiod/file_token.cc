#include "rotation/ca/istiod/file_token.h"

#include <algorithm>
#include <string_view>

#include "agent/base/files.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

// API servers make tokens of one or two KiB; HTTP servers take headers of 8 or 16.
constexpr std::size_t kMaxTokenBytes = std::size_t{16} * 1024;

bool is_space(std::uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }

// What a bearer token is made of (RFC 6750 section 2.1).
bool is_token_char(std::uint8_t c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         std::string_view("-._~+/=").find(static_cast<char>(c)) != std::string_view::npos;
}

expected<SecretBytes> read_bytes(const fs::path& file) {
  fs::path real = TRY(real_path(file));
  return read_file_beneath(real.parent_path(), real.filename(), kMaxTokenBytes);
}

expected<SecretBytes> read_token(const fs::path& file) {
  auto bytes = read_bytes(file);
  // What the link pointed to goes away when it is swapped: the second try sees the new one.
  if (!bytes && bytes.error().code == Code::kNotFound) bytes = read_bytes(file);
  if (!bytes) return bytes;
  auto begin = std::find_if_not(bytes->begin(), bytes->end(), is_space);
  auto end = std::find_if_not(bytes->rbegin(), std::make_reverse_iterator(begin), is_space).base();
  if (begin == end) return fail(Code::kFailedPrecondition, "read " + file.string() + ": is empty");
  if (!std::all_of(begin, end, is_token_char)) {
    return fail(Code::kFailedPrecondition,
                "read " + file.string() +
                    ": holds no token: only A-Z a-z 0-9 - . _ ~ + / = may stand in one");
  }
  return SecretBytes(begin, end);
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
