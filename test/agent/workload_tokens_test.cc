#include "agent/workload_tokens.h"

#include <doctest/doctest.h>

#include "test/attest/client_process.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

EntryPtr make_entry(const std::string& name) {
  return std::make_shared<const Entry>(Entry{.id = name,
                                             .spiffe_id = *SpiffeId::parse("spiffe://td/" + name),
                                             .match = {{"unix", "uid:0"}},
                                             .dns_names = {},
                                             .hint = ""});
}

struct Rig {
  ClientProcess client;
  std::shared_ptr<const Peer> peer = Peer::of_socket(client.socket()).value();
  TemporaryDirectory directory;
  std::filesystem::path file = directory.write("token", "first\n");
  WorkloadTokens tokens{file};
  EntryPtr web = make_entry("web");
  EntryPtr db = make_entry("db");

  std::string read(const EntryPtr& entry) {
    auto token = tokens.token(*entry);
    return token ? std::string(token->begin(), token->end()) : token.error().message;
  }
};

TEST_CASE(
    "the token of an entry is read through a process that is entitled to it, each time anew") {
  Rig rig;
  auto noted = rig.tokens.note(rig.peer, {rig.web});

  CHECK(rig.read(rig.web) == "first");
  rig.directory.write("token", "second");

  CHECK(rig.read(rig.web) == "second");
}

TEST_CASE(
    "no process lends its token to an entry that it is not entitled to, or after its stream") {
  Rig rig;
  auto noted = rig.tokens.note(rig.peer, {rig.web});

  CHECK(rig.tokens.token(*rig.db).error().code == Code::kUnavailable);
  noted.reset();

  CHECK(rig.read(rig.web) ==
        "token of the workload: no process of spiffe://td/web is connected, and only it can see "
        "its token");
}

TEST_CASE("a process that has changed does not keep another one's token from being read") {
  Rig rig;
  ClientProcess other;
  auto changed = Peer::of_socket(other.socket()).value();
  auto noted = rig.tokens.note(rig.peer, {rig.web});
  auto noted_too = rig.tokens.note(changed, {rig.web});

  other.exec("/bin/cat");

  CHECK(rig.read(rig.web) == "first");
}

TEST_CASE("what is no token is refused without being quoted") {
  Rig rig;
  auto noted = rig.tokens.note(rig.peer, {rig.web});

  rig.directory.write("token", "not a token\r\nx-evil: 1");
  CHECK(rig.read(rig.web).find("holds no token") != std::string::npos);
  CHECK(rig.read(rig.web).find("evil") == std::string::npos);
  rig.directory.write("token", " \n");
  CHECK(rig.read(rig.web).find("is empty") != std::string::npos);
}

TEST_CASE("an entry may have several processes, and a process several entries") {
  Rig rig;
  ClientProcess other;
  auto peer = Peer::of_socket(other.socket()).value();
  auto first = rig.tokens.note(rig.peer, {rig.web, rig.db});
  auto second = rig.tokens.note(peer, {rig.web});

  first.reset();

  CHECK(rig.read(rig.web) == "first");
  CHECK(rig.tokens.token(*rig.db).error().code == Code::kUnavailable);
}

}  // namespace
}  // namespace nodepilot
