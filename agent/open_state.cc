#include "agent/open_state.h"

#include <fmt/format.h>
#include <stdlib.h>

#include "agent/base/files.h"
#include "agent/base/log.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxKeyFileBytes = std::size_t{64} * 1024;
constexpr const char* kPurpose = "nodepilot sealed state";

fs::path directory_of(const Config& config) { return config.state_dir / "sealed"; }

std::string how_to_make(const std::string& credential) {
  return fmt::format(
      "make one: head -c 32 /dev/urandom | systemd-creds encrypt --name={0} - "
      "/etc/nodepilot/{0}.cred, and in the unit LoadCredentialEncrypted={0}:"
      "/etc/nodepilot/{0}.cred; or without systemd: (umask 077; head -c 32 /dev/urandom > "
      "/etc/nodepilot/state.key), and name that file in state.sealed.key_file",
      credential);
}

// systemd keeps others out of the directory; what it lets the unit's user read by an access list
// looks like a file that the group may read.
expected<SecretBytes> read_credential(const std::string& name) {
  const char* directory = ::getenv("CREDENTIALS_DIRECTORY");
  if (directory == nullptr) {
    return fail(Code::kFailedPrecondition,
                "state: sealed has no key: state.sealed.key_file is not given, and no credential " +
                    name + " came from systemd; " + how_to_make(name));
  }
  auto bytes = read_file_beneath(directory, name, kMaxKeyFileBytes);
  if (bytes || bytes.error().code != Code::kNotFound) return bytes;
  return fail(Code::kFailedPrecondition,
              "state: sealed has no key: " + bytes.error().message + "; " + how_to_make(name));
}

// A key of whoever had the agent run sealed before, which `state: memory` does not touch.
void warn_if_left(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(directory, error)) return;
  log::warn("state of an earlier run is left; remove it if it is not wanted",
            {{"directory", directory.string()}});
}

expected<SecretBytes> read_secret(const SealedConfig& config) {
  if (!config.key_file) return read_credential(config.key_credential);
  fs::path real = TRY(real_path(*config.key_file));
  return read_private_file(real, kMaxKeyFileBytes);
}

}  // namespace

expected<SealingKey> read_state_key(const SealedConfig& config) {
  SecretBytes secret = TRY(read_secret(config));
  auto key = SealingKey::derive(secret, kPurpose);
  if (key) return key;
  std::string name = config.key_file ? config.key_file->string() : config.key_credential;
  return fail(Code::kFailedPrecondition,
              name + ": " + key.error().message + "; " + how_to_make(config.key_credential));
}

expected<std::unique_ptr<StateKeeper>> StateKeeper::open(const Config& config, bool may_follow,
                                                         Loop& loop, Clock& clock,
                                                         IdentityStore& store, Rotator& rotator,
                                                         Jitter jitter) {
  if (!config.state) {
    warn_if_left(directory_of(config));
    return nullptr;
  }
  SealingKey key = TRY(read_state_key(*config.state));
  std::unique_ptr<StateFiles> files = TRY(StateDirectory::open(directory_of(config), may_follow));
  std::unique_ptr<StateKeeper> keeper(new StateKeeper(config.trust_domain, loop, clock,
                                                      std::move(files), std::move(key), store,
                                                      rotator, std::move(jitter)));
  if (may_follow) keeper->lead(false);
  return keeper;
}

}  // namespace nodepilot
