#include "attest/peer_looks.h"

#include <doctest/doctest.h>

#include "test/attest/client_process.h"

namespace nodepilot {
namespace {

std::shared_ptr<const Peer> peer_of(const ClientProcess& client) {
  auto peer = Peer::of_socket(client.socket());
  REQUIRE(peer);
  return *peer;
}

TEST_CASE("a process with several connections is looked at once") {
  ClientProcess client;
  auto one = peer_of(client);
  auto other = peer_of(client);
  PeerLooks looks;
  CHECK(looks.check(one));

  client.exec("/bin/cat");

  CHECK(looks.check(other));
  CHECK(looks.check(one));
  CHECK_FALSE(PeerLooks().check(other));
}

TEST_CASE("a look at one process says nothing of another") {
  ClientProcess client;
  ClientProcess changed;
  auto one = peer_of(client);
  auto other = peer_of(changed);
  changed.exec("/bin/cat");
  PeerLooks looks;

  CHECK(looks.check(one));
  CHECK_FALSE(looks.check(other));
  CHECK(looks.check(one));
}

TEST_CASE("who has exited since the look is refused") {
  ClientProcess client(/*heir=*/true);
  auto one = peer_of(client);
  auto other = peer_of(client);
  PeerLooks looks;
  CHECK(looks.check(one));

  client.exit();

  CHECK_FALSE(looks.check(one));
  CHECK_FALSE(looks.check(other));
}

TEST_CASE("who connected as another than the process is now is refused") {
  ClientProcess client;
  auto before = peer_of(client);
  client.exec("/bin/cat");
  auto after = peer_of(client);
  PeerLooks looks;

  CHECK(looks.check(after));
  CHECK_FALSE(looks.check(before));
  CHECK(looks.check(after));
}

}  // namespace
}  // namespace nodepilot
