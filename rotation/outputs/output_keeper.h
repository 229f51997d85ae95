// Keeps one output's files as fresh as its identity: a subscriber of the entry that writes each
// SVID and bundle to the directory, whether or not a stream asks for them, and then runs the hooks.
// What fails leaves the files as they are and is tried again.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "rotation/identity_store.h"
#include "rotation/outputs/hook_sequence.h"
#include "rotation/outputs/output_directory.h"

namespace nodepilot {

// For `status`.
struct OutputStatus {
  std::filesystem::path directory;
  std::string spiffe_id;
  std::string serial;              // of the SVID written; empty before the first
  std::optional<Time> written_at;  // since the agent's start
  std::optional<Error> error;      // of the last try to write, if it failed
  std::optional<Error> hook_error;
  std::uint64_t writes = 0;         // since the agent's start ...
  std::uint64_t failed_writes = 0;  // ... and those that failed
};

// Thread: loop; the disk is written and hooks are run on workers.
class OutputKeeper {
 public:
  // All references outlive it and every job already given to the workers.
  struct Context {
    Clock& clock;
    Workers& writers;  // a disk that hangs keeps one busy for ever
    Workers& hook_workers;
    HookRunner& hooks;
    IdentityStore& store;
  };

  // Demands the SVID from now on. kFailedPrecondition if the owner or the directory is refused
  // (find_owner(), OutputDirectory); a passing fault of the disk is none. Blocks on the disk and
  // the name service.
  static expected<std::unique_ptr<OutputKeeper>> start(const Context& context,
                                                       const Output& output);

  OutputStatus status() const;

 private:
  OutputKeeper(const Context& context, const Output& output, EntryPtr entry,
               OutputDirectory directory);

  void take(const WorkloadUpdate& update);
  void write_if_needed();
  void finish(const OutputContent& content, const expected<void>& shown);
  void tell_roots();
  void heed_failure(const Error& error);

  Clock& clock_;
  Workers& writers_;
  const Output output_;
  const EntryPtr entry_;
  const std::shared_ptr<const OutputDirectory> directory_;  // shared with the job that writes

  HookSequence hooks_;
  std::optional<OutputContent> wanted_;   // empty if there is no valid SVID
  std::optional<OutputContent> written_;  // by this process
  std::optional<Time> written_at_;
  std::optional<Error> error_;
  Time logged_at_{};       // when an error was logged last
  unsigned failures_ = 0;  // in a row
  std::uint64_t writes_ = 0;
  std::uint64_t failed_writes_ = 0;
  bool is_writing_ = false;
  Alarm retry_;
  std::unique_ptr<Subscription> subscription_;
  std::shared_ptr<OutputKeeper*> self_;  // completions hold it weakly
};

}  // namespace nodepilot
