#include "rotation/ca/vault/vault_files.h"

#include <algorithm>

#include "agent/base/files.h"
#include "rotation/ca/vault/vault_reply.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxWordBytes = std::size_t{16} * 1024;

tl::unexpected<Error> unusable(const Error& error) {
  return fail(Code::kFailedPrecondition, error.message);
}

tl::unexpected<Error> unusable(const fs::path& file, const Error& error) {
  return fail(Code::kFailedPrecondition, file.string() + ": " + error.message);
}

expected<SecretBytes> trimmed_word(SecretBytes bytes, const fs::path& file) {
  auto is_space = [](std::uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  auto last = std::find_if_not(bytes.rbegin(), bytes.rend(), is_space).base();
  bytes.erase(last, bytes.end());
  bytes.erase(bytes.begin(), std::find_if_not(bytes.begin(), bytes.end(), is_space));
  if (is_secret_word({reinterpret_cast<const char*>(bytes.data()), bytes.size()})) return bytes;
  const char* why = bytes.empty()
                        ? ": is empty"
                        : ": must hold one word of printable ASCII without quotes and backslashes";
  return fail(Code::kFailedPrecondition, file.string() + why);
}

}  // namespace

expected<std::vector<Certificate>> read_certificates(const fs::path& file) {
  auto real = real_path(file);
  if (!real) return unusable(real.error());
  auto pem = read_file(*real, kMaxPemBytes);
  if (!pem) return unusable(pem.error());
  auto certificates = Certificate::parse_pem(*pem);
  if (!certificates) return unusable(file, certificates.error());
  return certificates;
}

expected<ClientIdentity> read_client_certificate(const VaultCertificate& files) {
  auto chain = TRY(read_certificates(files.certificate_file));
  auto real = real_path(files.key_file);
  if (!real) return unusable(real.error());
  auto pem = read_private_file(*real, kMaxPrivateKeyPemBytes);
  if (!pem) return unusable(pem.error());
  auto key = PrivateKey::parse_pem(*pem);
  if (!key) return unusable(files.key_file, key.error());
  return ClientIdentity{std::move(chain), *std::move(key)};
}

expected<SecretBytes> read_secret_word(const fs::path& file) {
  auto real = real_path(file);
  if (!real) return unusable(real.error());
  auto bytes = read_private_file(*real, kMaxWordBytes);
  if (!bytes) return unusable(bytes.error());
  return trimmed_word(*std::move(bytes), file);
}

expected<SecretBytes> read_jwt(const fs::path& file) {
  auto real = real_path(file);
  if (!real) return unusable(real.error());
  auto bytes = read_file_beneath(real->parent_path(), real->filename(), kMaxWordBytes);
  if (!bytes) return unusable(bytes.error());
  return trimmed_word(*std::move(bytes), file);
}

}  // namespace nodepilot
