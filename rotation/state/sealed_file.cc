#include "rotation/state/sealed_file.h"

#include <fmt/format.h>

#include "agent/base/sha256.h"

namespace nodepilot {
namespace {

constexpr std::string_view kMagic = "NPSEALED";
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kIdBytes = 16;
constexpr std::size_t kHeadBytes = kMagic.size() + 1 + kIdBytes;
constexpr std::size_t kHashBytes = 64;

std::string head_of(const SealingKey& key) {
  return std::string(kMagic) + static_cast<char>(kVersion) + key.id();
}

tl::unexpected<Error> damaged(const std::string& why) { return fail(Code::kDataLoss, why); }

}  // namespace

expected<std::string> seal_file(const SealingKey& key, std::string_view name,
                                const SecretBytes& content) {
  std::string bytes = head_of(key);
  bytes += TRY(key.seal(content, bytes + std::string(name)));
  return bytes + sha256_hex(bytes);
}

expected<SecretBytes> open_file(const SealingKey& key, std::string_view name,
                                std::string_view bytes) {
  if (bytes.size() < kHeadBytes + kHashBytes) {
    return damaged(fmt::format("cut short: {} bytes", bytes.size()));
  }
  if (!bytes.starts_with(kMagic)) return damaged("not a file of the sealed state");
  std::string_view hash = bytes.substr(bytes.size() - kHashBytes);
  bytes.remove_suffix(kHashBytes);
  if (sha256_hex(bytes) != hash) return damaged("damaged: its checksum does not fit");
  auto version = static_cast<std::uint8_t>(bytes[kMagic.size()]);
  if (version != kVersion) {
    return fail(
        Code::kUnimplemented,
        fmt::format("is of version {}, and this agent knows version {}", version, kVersion));
  }
  std::string_view head = bytes.substr(0, kHeadBytes);
  if (head != head_of(key)) return fail(Code::kUnauthenticated, "is sealed under another key");
  return key.open(bytes.substr(kHeadBytes), std::string(head) + std::string(name));
}

}  // namespace nodepilot
