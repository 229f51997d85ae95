// An agent's identities that live on through restarts: everything real but time, threads, the CA
// and what the disk is made to fail with.
#pragma once

#include <memory>
#include <string>

#include "rotation/state/sealed_state.h"
#include "test/rotation/rig.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {

inline SealingKey state_key(std::uint8_t fill = 1) {
  return SealingKey::derive(SecretBytes(32, fill), "test").value();
}

// The real directory, until it is told to fail.
class FailingFiles : public StateFiles {
 public:
  explicit FailingFiles(StateFiles& files) : files_(files) {}

  void fail_with(const std::string& why) { why_ = why; }
  void recover() { why_.reset(); }
  std::size_t writes() const { return writes_; }

  expected<std::set<std::string>> list() override { return files_.list(); }
  expected<SecretBytes> read(const std::string& name) override { return files_.read(name); }
  expected<void> write(const std::string& name, std::string_view bytes) override {
    ++writes_;
    if (why_) return fail(Code::kInternal, "write " + name + ": " + *why_);
    return files_.write(name, bytes);
  }
  expected<void> remove(const std::string& name) override {
    if (why_) return fail(Code::kInternal, "remove " + name + ": " + *why_);
    return files_.remove(name);
  }
  expected<void> set_aside(const std::string& name) override {
    if (why_) return fail(Code::kInternal, "rename " + name + ": " + *why_);
    return files_.set_aside(name);
  }
  void release() override { files_.release(); }
  std::filesystem::path path(std::string_view name) const override { return files_.path(name); }

 private:
  StateFiles& files_;
  std::optional<std::string> why_;
  std::size_t writes_ = 0;
};

// One life of the agent; what it holds in memory ends with it.
struct Life {
  Life(FakeClock& clock, CertificateAuthority& ca, const std::filesystem::path& directory,
       EntrySet entries, SealingKey key = state_key())
      : directory_files(StateDirectory::open(directory).value()),
        files(*directory_files),
        store(clock, std::move(entries)),
        rotator(clock, workers, ca, store, {}, [] { return 0.5; }),
        state(std::make_unique<SealedState>(clock, disk_workers, files, std::move(key), store,
                                            rotator, [] { return 0.5; })) {
    store.set_demand(&rotator);
  }

  Life& start() {
    REQUIRE(state->restore(TrustDomain::parse("td").value()));
    rotator.start();
    return *this;
  }
  std::unique_ptr<Watcher> watch(int uid) { return std::make_unique<Watcher>(store, uid); }
  std::string serial(int number) const {
    SvidPtr svid = store.svid("e" + std::to_string(number));
    return svid ? svid->leaf().serial() : "";
  }

  std::unique_ptr<StateDirectory> directory_files;
  FailingFiles files;
  InlineWorkers workers;
  InlineWorkers disk_workers;
  IdentityStore store;
  Rotator rotator;
  std::unique_ptr<SealedState> state;
};

// A node: what outlives the agent.
struct Node {
  std::unique_ptr<Life> live(int entries = 1, SealingKey key = state_key()) {
    return live(make_entries(entries), std::move(key));
  }
  std::unique_ptr<Life> live(EntrySet entries, SealingKey key = state_key()) {
    return std::make_unique<Life>(clock, ca, directory, std::move(entries), std::move(key));
  }
  // A life in which `count` identities are issued, and its end.
  void live_once(int count) {
    auto life = live(count);
    life->start();
    auto watchers = std::vector<std::unique_ptr<Watcher>>();
    for (int uid = 0; uid < count; ++uid) watchers.push_back(life->watch(uid));
    serials.clear();
    for (int number = 0; number < count; ++number) serials.push_back(life->serial(number));
  }
  std::filesystem::path file_of(int number) const {
    return directory / svid_file("e" + std::to_string(number));
  }

  TemporaryDirectory folder;
  std::filesystem::path directory = folder / "sealed";
  FakeClock clock;
  FakeCa ca{clock};
  std::vector<std::string> serials;  // of live_once(), by number
};

}  // namespace nodepilot
