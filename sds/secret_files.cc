#include "sds/secret_files.h"

#include <algorithm>
#include <cassert>
#include <utility>
#include <vector>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

// Whoever is granted a directory can name as many files in it as it likes, there or not.
constexpr std::size_t kMaxWatchedInDirectory = 256;

// Certificates and keys end, roots are their keeper's business.
Time end_of(const FileSecret& secret) {
  return secret.key ? secret.certificates.front().validity().not_after : Time::max();
}

std::string describe(const FileSource& source) {
  std::string text = source.certificates.whole().string();
  return source.key ? text + "~" + source.key->whole().string() : text;
}

}  // namespace

SecretFiles::SecretFiles(Clock& clock, Workers& workers, Duration interval)
    : clock_(clock),
      workers_(workers),
      interval_(interval),
      next_look_(clock,
                 [this] {
                   for (auto& [source, slot] : slots_) slot.due = true;
                   read_due();
                 }),
      self_(std::make_shared<SecretFiles*>(this)) {}

SecretFiles::~SecretFiles() { assert(slots_.empty()); }

expected<std::unique_ptr<FileWatch>> SecretFiles::watch(const FileSource& source,
                                                        std::function<void()> on_change) {
  bool is_new = !slots_.contains(source);
  if (is_new) {
    const auto& directory = source.certificates.directory;
    auto watched = std::count_if(slots_.begin(), slots_.end(), [&](const auto& slot) {
      return slot.first.certificates.directory == directory;
    });
    if (static_cast<std::size_t>(watched) >= kMaxWatchedInDirectory) {
      return fail(Code::kResourceExhausted, directory.string() + ": more than " +
                                                std::to_string(kMaxWatchedInDirectory) +
                                                " files in it are asked for");
    }
  }
  std::unique_ptr<FileWatch> watch(new FileWatch(*this, source, std::move(on_change)));
  slots_[source].watches.push_back(watch.get());
  read_due();
  return watch;
}

void SecretFiles::unwatch(FileWatch& watch) {
  auto slot = slots_.find(watch.source_);
  slot->second.watches.remove(&watch);
  if (slot->second.watches.empty()) slots_.erase(slot);
}

void SecretFiles::read_due() {
  if (reading_) return;
  std::vector<std::pair<FileSource, FileSecretPtr>> wanted;
  for (auto& [source, slot] : slots_) {
    if (std::exchange(slot.due, false)) wanted.emplace_back(source, slot.answer.secret);
  }
  if (wanted.empty()) return;
  reading_ = true;
  workers_.run(
      [wanted = std::move(wanted), now = clock_.now()] {
        std::vector<Reading> readings;
        readings.reserve(wanted.size());
        for (const auto& [source, known] : wanted) {
          readings.push_back({source, read_secret(source, known, now)});
        }
        return readings;
      },
      [weak = std::weak_ptr(self_)](const std::vector<Reading>& readings) {
        if (auto self = weak.lock()) (*self)->take(readings);
      });
}

void SecretFiles::take(const std::vector<Reading>& readings) {
  reading_ = false;
  std::vector<FileSource> changed;
  for (const Reading& reading : readings) {
    auto slot = slots_.find(reading.source);
    if (slot != slots_.end() && take(slot->second, reading)) changed.push_back(reading.source);
  }
  if (!slots_.empty() && !next_look_.is_set()) next_look_.set(clock_.now() + interval_);
  read_due();
  for (const FileSource& source : changed) tell(source);
}

bool SecretFiles::take(Slot& slot, const Reading& reading) {
  FileAnswer& answer = slot.answer;
  if (reading.secret) {
    slot.error.clear();
    if (answer.secret && answer.secret->version == (*reading.secret)->version) return false;
    answer = {SecretState::kPresent, *reading.secret, ""};
    slot.ends = end_of(**reading.secret);
    return true;
  }
  const std::string& why = reading.secret.error().message;
  bool keep = answer.secret && clock_.now() <= slot.ends;
  if (std::exchange(slot.error, why) != why) {
    log::warn("secret file unusable",
              {{"name", describe(reading.source)}, {"kept", keep}, {"error", why}});
  }
  if (keep) return false;
  // What has ended is handed out no more, but it is not taken back.
  SecretState state = answer.secret || slot.ended ? SecretState::kPending : SecretState::kAbsent;
  slot.ended = state == SecretState::kPending;
  bool changed = answer.state != state;
  answer = {state, nullptr, why};
  return changed;
}

void SecretFiles::tell(const FileSource& source) {
  auto slot = slots_.find(source);
  if (slot == slots_.end()) return;
  // Any of them may end others, and itself.
  std::vector<std::weak_ptr<const std::function<void()>>> listeners;
  for (const FileWatch* watch : slot->second.watches) listeners.push_back(watch->on_change_);
  for (const auto& weak : listeners) {
    if (auto on_change = weak.lock()) (*on_change)();
  }
}

FileWatch::~FileWatch() { files_.unwatch(*this); }

const FileAnswer& FileWatch::answer() const { return files_.slots_.at(source_).answer; }

}  // namespace nodepilot
