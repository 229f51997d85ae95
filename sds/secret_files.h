// The secrets in files that somebody watches: read on a worker when the first one asks, looked at
// again every few seconds, shared by all who ask for the same. A file that turns bad, or is gone,
// leaves what was read before in its place until that ends.
#pragma once

#include <functional>
#include <list>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "sds/secret_resources.h"

namespace nodepilot {

class FileWatch;

// Thread: loop.
class SecretFiles {
 public:
  // Both outlive it. A file system that hangs may keep `workers` busy for ever: give it some that
  // serve nothing else.
  SecretFiles(Clock& clock, Workers& workers, Duration interval = std::chrono::seconds(5));
  SecretFiles(const SecretFiles&) = delete;
  SecretFiles& operator=(const SecretFiles&) = delete;
  ~SecretFiles();

  // `on_change` runs whenever the watch's answer() changes, until the watch is destroyed; it may
  // begin and end watches, its own too. kResourceExhausted if too many files of its directory are
  // watched.
  expected<std::unique_ptr<FileWatch>> watch(const FileSource& source,
                                             std::function<void()> on_change);

 private:
  friend class FileWatch;
  struct Slot {
    FileAnswer answer;
    Time ends = Time::max();  // of what is held
    bool ended = false;       // what was held has
    bool due = true;          // to be read
    std::string error;        // of the last reading; logged when it changes
    std::list<FileWatch*> watches;
  };
  struct Reading {
    FileSource source;
    expected<FileSecretPtr> secret;
  };

  // One reading at a time: one that hangs shall not be joined by others.
  void read_due();
  void take(const std::vector<Reading>& readings);
  // Whether the slot's answer has changed.
  bool take(Slot& slot, const Reading& reading);
  void tell(const FileSource& source);
  void unwatch(FileWatch& watch);

  Clock& clock_;
  Workers& workers_;
  const Duration interval_;
  std::map<FileSource, Slot> slots_;
  bool reading_ = false;
  Alarm next_look_;
  std::shared_ptr<SecretFiles*> self_;  // a reading may come back after our end
};

// Thread: loop. Must not outlive its SecretFiles.
class FileWatch {
 public:
  ~FileWatch();
  FileWatch(const FileWatch&) = delete;
  FileWatch& operator=(const FileWatch&) = delete;

  const FileSource& source() const { return source_; }
  const FileAnswer& answer() const;

 private:
  friend class SecretFiles;
  FileWatch(SecretFiles& files, FileSource source, std::function<void()> on_change)
      : files_(files),
        source_(std::move(source)),
        on_change_(std::make_shared<const std::function<void()>>(std::move(on_change))) {}

  SecretFiles& files_;
  const FileSource source_;
  // Gone with us, though the call that tells of a change is under way.
  const std::shared_ptr<const std::function<void()>> on_change_;
};

}  // namespace nodepilot
