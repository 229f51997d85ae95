#include "agent/mesh/discovery_session.h"

#include <doctest/doctest.h>

namespace nodepilot::mesh {
namespace {

using Verdict = DiscoverySession::Verdict;

ResourceSetPtr set_of(const std::string& version) {
  auto set = std::make_shared<ResourceSet>();
  set->version = version;
  set->resources.emplace_back().set_value(version);
  return set;
}

DiscoverySession::Request request(const std::string& nonce = "", bool rejects = false) {
  DiscoverySession::Request out;
  out.set_type_url(kListenerType);
  out.set_response_nonce(nonce);
  if (rejects) out.mutable_error_detail()->set_message("no");
  return out;
}

// A session that has been asked.
struct Rig {
  Rig() { REQUIRE(session.on_request(request())); }

  // The version that goes out next, "" if nothing does.
  std::string sent() {
    auto response = session.next();
    if (!response) return "";
    nonce = response->nonce();
    CHECK(response->type_url() == kListenerType);
    CHECK(response->resources(0).value() == response->version_info());
    session.on_sent();
    return response->version_info();
  }

  int made = 0;
  std::string nonce;
  DiscoverySession session{kListenerType, [this] { return "n" + std::to_string(++made); }};
};

TEST_CASE("nothing is said before it is asked for, nor before there is something") {
  DiscoverySession session(kListenerType, [] { return "n"; });
  session.set(set_of("a"));
  CHECK_FALSE(session.next());

  Rig rig;
  CHECK(rig.sent().empty());
  rig.session.set(set_of("a"));
  CHECK(rig.sent() == "a");
}

TEST_CASE("what is new is sent once, what is the same is not") {
  Rig rig;
  rig.session.set(set_of("a"));
  CHECK(rig.sent() == "a");
  CHECK(rig.sent().empty());

  rig.session.set(set_of("a"));
  CHECK(rig.sent().empty());
  rig.session.set(set_of("b"));
  CHECK(rig.sent() == "b");
}

TEST_CASE("a slow client skips what lies between") {
  Rig rig;
  rig.session.set(set_of("a"));
  REQUIRE(rig.session.next());
  rig.session.set(set_of("b"));
  CHECK_FALSE(rig.session.next());
  rig.session.set(set_of("c"));
  rig.session.on_sent();

  CHECK(rig.sent() == "c");
}

TEST_CASE("answers are told apart by their nonce") {
  Rig rig;
  CHECK(*rig.session.on_request(request("made-up")) == Verdict::kStale);
  rig.session.set(set_of("a"));
  rig.sent();
  std::string first = rig.nonce;
  CHECK(*rig.session.on_request(request(first)) == Verdict::kAck);
  rig.session.set(set_of("b"));
  rig.sent();
  CHECK(*rig.session.on_request(request(first)) == Verdict::kStale);
  CHECK(*rig.session.on_request(request(rig.nonce, true)) == Verdict::kNack);
}

TEST_CASE("what the client rejects is not sent again before it changes") {
  Rig rig;
  rig.session.set(set_of("a"));
  rig.sent();
  CHECK(*rig.session.on_request(request(rig.nonce, true)) == Verdict::kNack);
  rig.session.set(set_of("a"));
  CHECK(rig.sent().empty());
  rig.session.set(set_of("b"));
  CHECK(rig.sent() == "b");
}

TEST_CASE("the version and nonce of a stream that broke mean nothing on the next") {
  Rig old;
  old.session.set(set_of("a"));
  old.sent();
  DiscoverySession session(kListenerType, [] { return "m1"; });
  auto again = request(old.nonce, /*rejects=*/true);
  again.set_version_info("a");

  CHECK(*session.on_request(again) == Verdict::kSubscription);
  session.set(set_of("a"));
  CHECK(session.next()->version_info() == "a");
}

TEST_CASE("a response that is under way may be answered before it is known to be sent") {
  Rig rig;
  rig.session.set(set_of("a"));
  auto response = rig.session.next();
  REQUIRE(response);
  CHECK(*rig.session.on_request(request(response->nonce())) == Verdict::kAck);
  rig.session.set(set_of("b"));
  CHECK_FALSE(rig.session.next());

  rig.session.on_sent();
  CHECK(rig.sent() == "b");
}

TEST_CASE("an empty set is said, for it takes all away") {
  Rig rig;
  auto empty = std::make_shared<ResourceSet>();
  empty->version = "none";
  rig.session.set(empty);

  auto response = rig.session.next();

  REQUIRE(response);
  CHECK(response->version_info() == "none");
  CHECK(response->resources().empty());
}

TEST_CASE("another type ends the stream, none is ours") {
  Rig rig;
  DiscoverySession::Request other;
  other.set_type_url(kClusterType);
  CHECK(rig.session.on_request(other).error().code == Code::kInvalidArgument);
  CHECK(rig.session.on_request(DiscoverySession::Request()));
}

}  // namespace
}  // namespace nodepilot::mesh
