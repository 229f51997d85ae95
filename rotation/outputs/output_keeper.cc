#include "rotation/outputs/output_keeper.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr Duration kFirstRetry = std::chrono::seconds(1);
constexpr Duration kLongestRetry = std::chrono::minutes(1);
constexpr Duration kLogPause = std::chrono::minutes(10);  // between lines that say the same

std::optional<OutputContent> content_of(const WorkloadUpdate& update, bool federated) {
  if (update.svids.empty() || !update.bundle) return std::nullopt;
  OutputContent content{update.svids.front().svid, update.bundle, {}};
  if (federated) content.federated = update.federated;
  return content;
}

Duration backoff(unsigned failures) {
  return std::min(kFirstRetry * (1 << std::min(failures - 1, 10U)), kLongestRetry);
}

}  // namespace

expected<std::unique_ptr<OutputKeeper>> OutputKeeper::start(const Context& context,
                                                            const Output& output) {
  EntryPtr entry = context.store.entries().find(output.entry_id);
  assert(entry);
  std::string place = "output " + output.directory.string();
  auto owner = find_owner(output.owner);
  if (!owner) return fail_with(place, owner.error());
  OutputDirectory directory({.path = output.directory,
                             .owner = *owner,
                             .key_mode = output.key_mode,
                             .mode = output.mode});
  if (auto prepared = directory.prepare(file_names(output.profile)); !prepared) {
    if (prepared.error().code == Code::kFailedPrecondition) {
      return fail_with(place, prepared.error());
    }
    log::warn("output not prepared", {{"error", prepared.error().message}});
  }
  std::unique_ptr<OutputKeeper> keeper(
      new OutputKeeper(context, output, entry, std::move(directory)));
  auto* raw = keeper.get();
  keeper->subscription_ =
      context.store.subscribe_to({entry}, [raw](const UpdatePtr& update) { raw->take(*update); });
  keeper->take(*keeper->subscription_->latest());
  return keeper;
}

OutputKeeper::OutputKeeper(const Context& context, const Output& output, EntryPtr entry,
                           OutputDirectory directory)
    : clock_(context.clock),
      writers_(context.writers),
      output_(output),
      entry_(std::move(entry)),
      directory_(std::make_shared<const OutputDirectory>(std::move(directory))),
      hooks_(context.clock, context.hook_workers, context.hooks, output.hooks,
             {entry_->spiffe_id.str(), output.directory}, [this] { tell_roots(); }),
      retry_(context.clock, [this] { write_if_needed(); }),
      self_(std::make_shared<OutputKeeper*>(this)) {}

OutputStatus OutputKeeper::status() const {
  return {.directory = output_.directory,
          .spiffe_id = entry_->spiffe_id.str(),
          .serial = written_ ? written_->svid->leaf().serial() : "",
          .written_at = written_at_,
          .error = error_,
          .hook_error = hooks_.error(),
          .writes = writes_,
          .failed_writes = failed_writes_};
}

void OutputKeeper::take(const WorkloadUpdate& update) {
  auto content = content_of(update, output_.federated);
  if (!content && wanted_) {
    log::error("output left as it is: its SVID has ended, and there is no other",
               {{"directory", output_.directory.string()}, {"spiffe_id", entry_->spiffe_id.str()}});
  }
  bool is_news = content && (!wanted_ || !content->same_files(*wanted_));
  wanted_ = std::move(content);
  if (is_news) write_if_needed();
}

void OutputKeeper::write_if_needed() {
  if (is_writing_ || !wanted_ || (written_ && written_->same_files(*wanted_))) return;
  retry_.clear();
  is_writing_ = true;
  subscription_->sent(entry_->id);
  subscription_->sent_roots();
  writers_.run([directory = directory_, content = *wanted_, profile = output_.profile,
                now = clock_.now()] { return directory->show(render(content, profile), now); },
               [weak = std::weak_ptr(self_), content = *wanted_](const expected<void>& shown) {
                 if (auto self = weak.lock()) (*self)->finish(content, shown);
               });
}

void OutputKeeper::finish(const OutputContent& content, const expected<void>& shown) {
  is_writing_ = false;
  ++writes_;
  if (!shown) return heed_failure(shown.error());
  std::string serial = content.svid->leaf().serial();
  log::info("output written", {{"directory", output_.directory.string()},
                               {"spiffe_id", entry_->spiffe_id.str()},
                               {"serial", serial}});
  written_ = content;
  written_at_ = clock_.now();
  error_.reset();
  failures_ = 0;
  subscription_->took(entry_->id, serial);
  hooks_.begin();
  write_if_needed();  // there may be a newer one
}

void OutputKeeper::tell_roots() {
  // A program that has not heard of new roots would refuse a peer's leaf under them.
  if (!hooks_.error()) subscription_->took_roots(written_->bundle);
}

void OutputKeeper::heed_failure(const Error& error) {
  ++failures_;
  ++failed_writes_;
  bool is_news = !error_ || error_->message != error.message;
  error_ = error;
  if (is_news || clock_.now() - logged_at_ >= kLogPause) {
    logged_at_ = clock_.now();
    log::error("output not written; its files stay as they are",
               {{"directory", output_.directory.string()},
                {"spiffe_id", entry_->spiffe_id.str()},
                {"failures", failures_},
                {"error", error.message}});
  }
  retry_.set(clock_.now() + backoff(failures_));
}

}  // namespace nodepilot
