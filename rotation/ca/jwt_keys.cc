#include "rotation/ca/jwt_keys.h"

#include "agent/base/files.h"
#include "agent/base/log.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxFileBytes = std::size_t{64} * 1024;

expected<void> save(const fs::path& file, const JwtKeyring& ring) {
  return write_file_atomic(file, ring.serialise(), 0600);
}

expected<JwtKeyring> read(const fs::path& file, JwtKeyring::Policy policy) {
  auto text = TRY(read_private_file(file, kMaxFileBytes));
  return JwtKeyring::parse({reinterpret_cast<const char*>(text.data()), text.size()}, policy);
}

// Two agents that share the directory, while one follows the other, turn at the same time, and
// tokens of a key that the other never heard of would be refused: who comes second takes what the
// first has written.
expected<JwtKeyring> turn(const fs::path& file, const JwtKeyring& ring, JwtKeyring::Policy policy,
                          Time now) {
  if (!TRY(ring.turned(now))) return ring;
  Fd lock = TRY(lock_directory(file.parent_path()));
  auto stored = read(file, policy);
  const JwtKeyring& newest = stored ? *stored : ring;
  auto turned = TRY(newest.turned(now));
  if (!turned) return newest;
  TRY(save(file, *turned));
  return *std::move(turned);
}

expected<JwtKeyring> load(const fs::path& file, JwtKeyring::Policy policy, Time now) {
  Fd lock = TRY(lock_directory(file.parent_path()));
  auto ring = read(file, policy);
  if (ring) return ring;
  if (ring.error().code == Code::kNotFound) {
    auto fresh = TRY(JwtKeyring::start(now, policy));
    TRY(save(file, fresh));
    return fresh;
  }
  if (ring.error().code != Code::kInvalidArgument) return ring;  // it could not be read
  return fail(ring.error().code,
              file.string() + ": " + ring.error().message +
                  "; restore it from a backup, or move it away to have a new key made, which "
                  "ends the JWT-SVIDs signed until now");
}

}  // namespace

expected<std::unique_ptr<JwtKeys>> JwtKeys::open(const fs::path& file, JwtKeyring::Policy policy,
                                                 Time now) {
  auto ring = TRY(load(file, policy, now));
  return std::unique_ptr<JwtKeys>(new JwtKeys(file, policy, std::move(ring)));
}

std::vector<JwtAuthority> JwtKeys::authorities(Time now) {
  const std::lock_guard lock(mutex_);
  if (auto ring = turn(file_, ring_, policy_, now)) {
    ring_ = *std::move(ring);
  } else {
    log::warn("JWT keys not rotated", {{"error", ring.error().message}});
  }
  return ring_.authorities();
}

JwtSigningKey JwtKeys::signer(Time now) const {
  const std::lock_guard lock(mutex_);
  return ring_.signer(now);
}

}  // namespace nodepilot
