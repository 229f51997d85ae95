// The token that the agent shows to the CA is somebody else's file: it is swapped, ends, or is
// gone.
#include <doctest/doctest.h>

#include <filesystem>

#include "agent/base/sha256.h"
#include "test/faults/upstream.h"
#include "test/support/captured_log.h"

namespace nodepilot {
namespace {

namespace fs = std::filesystem;

const std::string kNode = "spiffe://td/ns/infra/sa/node";

// A token as the kubelet projects it: token -> ..data/token, ..data -> a directory of its own.
struct ProjectedToken {
  explicit ProjectedToken(const TemporaryDirectory& directory) : directory_(directory) {
    swap(Upstream::kToken);
    fs::create_symlink("..data/token", file());
  }

  fs::path file() const { return directory_ / "volume/token"; }

  void swap(const std::string& token) {
    std::string folder = "..v" + std::to_string(++version_);
    directory_.write("volume/" + folder + "/token", token + "\n");
    fs::create_symlink(folder, directory_ / "volume/..data_new");
    fs::rename(directory_ / "volume/..data_new", directory_ / "volume/..data");
    if (version_ > 1) fs::remove_all(directory_ / ("volume/..v" + std::to_string(version_ - 1)));
  }

 private:
  const TemporaryDirectory& directory_;
  int version_ = 0;
};

}  // namespace

TEST_CASE("fault 82: the call after a swap of links has the new token") {
  TemporaryDirectory directory;
  ProjectedToken token(directory);
  UpstreamRig rig(1, [&](IstiodOptions& options) { options.token_file = token.file(); });
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  REQUIRE(!serial.empty());

  rig.istiod.trust("token.of-the.next-hour", kNode, true);
  rig.istiod.distrust(Upstream::kToken);
  token.swap("token.of-the.next-hour");
  rig.clock.advance(minutes(31));

  CHECK(watcher->serial() != serial);
  CHECK(rig.rotator->failures("e0") == 0);
  CHECK(rig.istiod.counts().tokens ==
        std::map<std::string, std::size_t>{{sha256_hex(Upstream::kToken), 1},
                                           {sha256_hex("token.of-the.next-hour"), 1}});
}

TEST_CASE("fault 83: a token that has expired is read again at every try, and said to be refused") {
  UpstreamRig rig(2);
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();
  CapturedLog log;

  rig.istiod.distrust(Upstream::kToken);
  rig.clock.advance(minutes(33));

  CHECK(watcher->updates.empty());
  CHECK(rig.state().failure->code == Code::kUnauthenticated);
  CHECK(has(rig.failure(), "check, in this order: the token of " +
                               rig.upstream.options.token_file.string() + " (expired"));
  CHECK(!has(rig.failure() + log.text(), Upstream::kToken));
  CHECK(rig.rotator->failures("e0") < 60);

  rig.istiod.trust("fresh.token.of-the.node", kNode, true);
  rig.upstream.directory.write("token", "fresh.token.of-the.node");
  rig.clock.advance(minutes(2));
  CHECK(watcher->serial() != serial);

  rig.istiod.distrust("fresh.token.of-the.node");
  rig.clock.advance(minutes(59));
  CHECK(log.count("level=error msg=\"svid about to expire\"") == 1);
}

TEST_CASE("fault 84: without its file the last token is used until the CA refuses it") {
  UpstreamRig rig;
  auto watcher = rig.watch(0);
  const fs::path file = rig.upstream.options.token_file;
  CapturedLog log;
  SUBCASE("missing") { fs::remove(file); }
  SUBCASE("empty") { rig.upstream.directory.write("token", "\n"); }
  SUBCASE("unreadable") {
    fs::remove(file);
    fs::create_directory(file);
  }
  std::string serial = watcher->serial();

  rig.clock.advance(minutes(31));
  CHECK(watcher->serial() != serial);
  CHECK(log.count("token for the CA not read: the last one is used") > 0);
  serial = watcher->serial();

  rig.istiod.distrust(Upstream::kToken);
  rig.clock.advance(minutes(45));
  CHECK(watcher->serial() == serial);
  CHECK(has(rig.failure(), "token for the CA: "));
  CHECK(has(rig.failure(), file.string()));
  CHECK(log.count("svid not issued") > 3);
}

TEST_CASE("fault 84: with no token from the start nobody is asked, and the file is named") {
  UpstreamRig rig(1, [](IstiodOptions& options) { options.token_file += ".none"; });

  auto watcher = rig.watch(0);

  CHECK(watcher->now().svids.empty());
  CHECK(has(rig.failure(), "token.none"));
  CHECK(rig.istiod.counts().calls == 0);

  rig.upstream.directory.write("token.none", Upstream::kToken);
  rig.clock.advance(seconds(10));
  CHECK(watcher->now().svids.size() == 1);
}

}  // namespace nodepilot
