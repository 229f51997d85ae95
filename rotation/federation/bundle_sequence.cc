#include "rotation/federation/bundle_sequence.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "agent/base/sha256.h"
#include "agent/base/strict_json.h"
#include "rotation/pki/bundle_document.h"

namespace nodepilot {
namespace {

constexpr JsonLimits kJsonLimits{.max_bytes = 4096, .max_depth = 1};

struct Last {
  std::uint64_t sequence;
  std::string digest;
};

expected<Last> read_last(const std::filesystem::path& file) {
  auto text = TRY(read_file(file, kJsonLimits.max_bytes));
  auto json = TRY(parse_strict_json(text, kJsonLimits));
  auto sequence = json.is_object() ? json.value("sequence", nlohmann::json()) : nlohmann::json();
  auto digest = json.is_object() ? json.value("sha256", nlohmann::json()) : nlohmann::json();
  if (sequence.is_number_unsigned() && digest.is_string()) {
    return Last{sequence.get<std::uint64_t>(), digest.get<std::string>()};
  }
  return fail(Code::kDataLoss, file.string() + ": sequence or sha256 is missing");
}

std::uint64_t unix_seconds(Time now) {
  auto seconds = std::chrono::floor<std::chrono::seconds>(now.time_since_epoch()).count();
  return static_cast<std::uint64_t>(std::max<std::int64_t>(seconds, 1));
}

}  // namespace

BundleSequence::BundleSequence(std::filesystem::path state_dir)
    : state_dir_(std::move(state_dir)), file_(state_dir_ / "bundle-sequence.json") {}

BundleSequence::Numbered BundleSequence::number(const TrustBundle& bundle, Time now) const {
  std::string digest = sha256_hex(write_bundle_document({bundle, {}, {}, {}}));
  std::uint64_t sequence = unix_seconds(now);
  auto last = read_last(file_);
  if (last) {
    if (last->digest == digest) return {last->sequence, {}};
    sequence = std::max(sequence, last->sequence + 1);
  } else if (last.error().code != Code::kNotFound) {
    log::warn("sequence of our bundle lost; the time takes its place",
              {{"error", last.error().message}});
  }
  auto stored = ensure_directory(state_dir_, 0700);
  if (stored) {
    stored = write_file_atomic(file_,
                               fmt::format(R"({{"sequence":{},"sha256":"{}"}})", sequence, digest));
  }
  return {sequence, stored ? std::nullopt : std::optional(stored.error())};
}

}  // namespace nodepilot
