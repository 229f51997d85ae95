#include "rotation/federation/stored_bundles.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "agent/base/sha256.h"
#include "agent/base/strict_json.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

// A file's name holds 255 bytes; a temporary one is longer than its target.
constexpr std::size_t kLongestName = 200;
constexpr std::size_t kEnvelopeBytes = 1024;  // around the document
constexpr JsonLimits kJsonLimits{.max_bytes = kMaxBundleDocumentBytes + kEnvelopeBytes,
                                 .max_depth = 20};

std::string name_of(const TrustDomain& trust_domain) {
  const std::string& name = trust_domain.name();
  return (name.size() <= kLongestName ? name : sha256_hex(name)) + ".json";
}

expected<BundleDocument> parse_copy(const TrustDomain& trust_domain, std::string_view text) {
  auto json = TRY(parse_strict_json(text, kJsonLimits));
  if (!json.is_object() || !json.contains("bundle") ||
      json.value("trust_domain", nlohmann::json()) != trust_domain.name()) {
    return fail(Code::kDataLoss, "not a stored bundle of " + trust_domain.name());
  }
  return parse_bundle_document(trust_domain, json["bundle"].dump());
}

}  // namespace

StoredBundles::StoredBundles(const fs::path& state_dir)
    : state_dir_(state_dir), directory_(state_dir / "federation") {}

fs::path StoredBundles::file_of(const TrustDomain& trust_domain) const {
  return directory_ / name_of(trust_domain);
}

expected<void> StoredBundles::open(const std::set<TrustDomain>& kept) const {
  std::error_code error;
  if (kept.empty() && !fs::exists(directory_, error)) return {};
  TRY(ensure_directory(state_dir_, 0700));
  TRY(ensure_directory(directory_, 0700));
  std::set<fs::path> files;
  for (const TrustDomain& trust_domain : kept) files.insert(file_of(trust_domain));
  std::vector<fs::path> gone;
  for (fs::directory_iterator it(directory_, error), end; !error && it != end;
       it.increment(error)) {
    fs::path file = it->path();
    if (file.extension() == ".corrupt") file.replace_extension();
    if (file.extension() == ".json" && !files.contains(file)) gone.push_back(it->path());
  }
  for (const fs::path& file : gone) {
    if (fs::remove(file, error)) log::info("stored bundle deleted", {{"file", file.string()}});
  }
  if (error) return fail(Code::kInternal, directory_.string() + ": " + error.message());
  return {};
}

expected<std::optional<BundleDocument>> StoredBundles::load(const TrustDomain& trust_domain) const {
  fs::path file = file_of(trust_domain);
  auto text = read_file(file, kJsonLimits.max_bytes);
  if (!text && text.error().code == Code::kNotFound) return std::nullopt;
  if (!text) return tl::unexpected(text.error());
  auto document = parse_copy(trust_domain, *text);
  if (document) return *std::move(document);
  std::error_code ignored;
  fs::rename(file, file.string() + ".corrupt", ignored);
  return fail(Code::kDataLoss, fmt::format("{}: {}; set aside as {}.corrupt", file.string(),
                                           document.error().message, file.filename().string()));
}

expected<void> StoredBundles::save(const BundleDocument& document) const {
  const TrustDomain& trust_domain = document.bundle.trust_domain();
  return write_file_atomic(file_of(trust_domain),
                           fmt::format(R"({{"trust_domain":"{}","bundle":{}}})",
                                       trust_domain.name(), write_bundle_document(document)));
}

expected<BundleDocument> read_first_bundle(const TrustDomain& trust_domain, const fs::path& file) {
  fs::path real = TRY(real_path(file));
  std::string text = TRY(read_file(real, kMaxBundleDocumentBytes));
  auto parse = [&]() -> expected<BundleDocument> {
    if (text.starts_with('{')) return parse_bundle_document(trust_domain, text);
    auto roots = TRY(Certificate::parse_pem(text));
    return BundleDocument{TrustBundle::foreign(trust_domain, roots, {}), {}, {}, {}};
  };
  auto document = parse();
  if (!document) return fail_with(file.string(), document.error());
  if (!document->bundle.roots().empty()) return document;
  return fail(Code::kInvalidArgument,
              file.string() + ": holds no CA certificate to know an endpoint by");
}

}  // namespace nodepilot
