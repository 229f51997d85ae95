#include "sds/file_secret.h"

#include <algorithm>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "agent/base/sha256.h"
#include "rotation/pki/root_list.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kCertPrefix = "file-cert:";
constexpr std::string_view kRootPrefix = "file-root:";
constexpr std::string_view kSystem = "system";
constexpr std::size_t kMaxShown = 256;

// "/a" must not grant "/ab", and of two directories the one named more closely counts.
expected<GrantedFile> find_grant(std::string_view text, const std::vector<EntryPtr>& entries) {
  fs::path path(text);
  bool is_plain = path.is_absolute() && path.lexically_normal().native() == text &&
                  path.has_filename() && text.find('\0') == std::string_view::npos;
  if (!is_plain) {
    return fail(Code::kInvalidArgument,
                quote(text.substr(0, kMaxShown)) +
                    ": a file must be named by an absolute path without \".\", \"..\" or \"//\"");
  }
  const fs::path* closest = nullptr;
  for (const EntryPtr& entry : entries) {
    for (const fs::path& directory : entry->files) {
      auto [end, rest] =
          std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
      bool inside = end == directory.end() && rest != path.end();
      if (!inside) continue;
      if (!closest || directory.native().size() > closest->native().size()) closest = &directory;
    }
  }
  if (!closest) {
    return fail(Code::kPermissionDenied, "no entry of this caller grants " +
                                             quote(text.substr(0, kMaxShown)) +
                                             ": `files` of the identity must name its directory");
  }
  return GrantedFile{*closest, path.lexically_relative(*closest)};
}

std::string_view text_of(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

expected<SecretBytes> read_system_roots() {
  fs::path file = TRY(find_system_roots());
  return read_file_beneath(file.parent_path(), file.filename(), kMaxPemBytes);
}

expected<SecretBytes> read(const GrantedFile& file, std::size_t max_bytes) {
  if (file.directory.empty()) return read_system_roots();
  return read_file_beneath(file.directory, file.path, max_bytes);
}

bool is_known(const FileSecretPtr& known, const std::string& digest) {
  return known && known->source_digest == digest;
}

FileSecretPtr make_secret(std::vector<Certificate> certificates, std::optional<PrivateKey> key,
                          std::string digest) {
  std::string version = sha256_hex(concatenated_der(certificates));
  return std::make_shared<const FileSecret>(
      FileSecret{std::move(certificates), std::move(key), std::move(version), std::move(digest)});
}

expected<FileSecretPtr> read_roots(const GrantedFile& file, const FileSecretPtr& known) {
  auto bytes = TRY(read(file, kMaxPemBytes));
  std::string digest = sha256_hex(text_of(bytes));
  if (is_known(known, digest)) return known;
  auto roots = parse_root_list(text_of(bytes));
  if (!roots) return fail_with(file.whole().string(), roots.error());
  return make_secret(*std::move(roots), std::nullopt, std::move(digest));
}

expected<FileSecretPtr> parse_pair(const FileSource& source, const SecretBytes& chain_pem,
                                   const SecretBytes& key_pem, std::string digest) {
  auto chain = Certificate::parse_pem(text_of(chain_pem));
  if (!chain) return fail_with(source.certificates.whole().string(), chain.error());
  auto key = PrivateKey::parse_pem(key_pem);
  if (!key) return fail_with(source.key->whole().string(), key.error());
  return make_secret(*std::move(chain), *std::move(key), std::move(digest));
}

expected<void> check_pair(const FileSource& source, const FileSecret& secret, Time now) {
  const Certificate& leaf = secret.certificates.front();
  auto refuse = [&](const std::string& why) {
    return fail(Code::kFailedPrecondition, source.certificates.whole().string() + ": " + why);
  };
  if (!leaf.has_key(*secret.key))
    return refuse("is not of the key " + source.key->whole().string());
  // A key that signs others is worth more than any workload.
  if (leaf.is_ca()) return refuse("is a CA's; only a workload's certificate is handed out");
  if (leaf.validity().contains(now)) return {};
  return refuse("is valid from " + to_rfc3339(leaf.validity().not_before) + " to " +
                to_rfc3339(leaf.validity().not_after) + ", but it is " + to_rfc3339(now));
}

expected<FileSecretPtr> read_pair(const FileSource& source, const FileSecretPtr& known, Time now) {
  auto chain = TRY(read(source.certificates, kMaxPemBytes));
  auto key = TRY(read(*source.key, kMaxPrivateKeyPemBytes));
  std::string digest = sha256_hex(text_of(chain)) + sha256_hex(text_of(key));
  FileSecretPtr secret =
      is_known(known, digest) ? known : TRY(parse_pair(source, chain, key, std::move(digest)));
  TRY(check_pair(source, *secret, now));
  return secret;
}

}  // namespace

bool is_file_name(std::string_view name) {
  return name.starts_with(kCertPrefix) || name.starts_with(kRootPrefix);
}

expected<FileSource> find_source(std::string_view name, const std::vector<EntryPtr>& entries,
                                 bool system_roots) {
  if (name.starts_with(kRootPrefix)) {
    name.remove_prefix(kRootPrefix.size());
    if (name != kSystem) return FileSource{TRY(find_grant(name, entries)), std::nullopt};
    if (system_roots) return FileSource{{"", kSystem}, std::nullopt};
    return fail(Code::kPermissionDenied, "`sds.system_roots` is off");
  }
  name.remove_prefix(kCertPrefix.size());
  std::size_t tilde = name.find('~');
  if (tilde == std::string_view::npos) {
    return fail(Code::kInvalidArgument, "must be file-cert:CERTIFICATE~KEY");
  }
  auto certificate = TRY(find_grant(name.substr(0, tilde), entries));
  auto key = TRY(find_grant(name.substr(tilde + 1), entries));
  return FileSource{std::move(certificate), std::move(key)};
}

expected<FileSecretPtr> read_secret(const FileSource& source, const FileSecretPtr& known,
                                    Time now) {
  return source.key ? read_pair(source, known, now) : read_roots(source.certificates, known);
}

}  // namespace nodepilot
