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

expected<JwtKeyring> turn(const fs::path& file, const JwtKeyring& ring, Time now) {
  auto turned = TRY(ring.turned(now));
  if (!turned) return ring;
  TRY(save(file, *turned));
  return *std::move(turned);
}

expected<JwtKeyring> load(const fs::path& file, JwtKeyring::Policy policy, Time now) {
  auto text = read_private_file(file, kMaxFileBytes);
  if (!text && text.error().code == Code::kNotFound) {
    auto ring = TRY(JwtKeyring::start(now, policy));
    TRY(save(file, ring));
    return ring;
  }
  if (!text) return tl::unexpected(text.error());
  auto ring =
      JwtKeyring::parse({reinterpret_cast<const char*>(text->data()), text->size()}, policy);
  if (ring) return ring;
  return fail(ring.error().code,
              file.string() + ": " + ring.error().message +
                  "; restore it from a backup, or move it away to have a new key made, which "
                  "ends the JWT-SVIDs signed until now");
}

}  // namespace

expected<std::unique_ptr<JwtKeys>> JwtKeys::open(const fs::path& file, JwtKeyring::Policy policy,
                                                 Time now) {
  auto ring = TRY(load(file, policy, now));
  return std::unique_ptr<JwtKeys>(new JwtKeys(file, std::move(ring)));
}

std::vector<JwtAuthority> JwtKeys::authorities(Time now) {
  const std::lock_guard lock(mutex_);
  if (auto ring = turn(file_, ring_, now)) {
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
