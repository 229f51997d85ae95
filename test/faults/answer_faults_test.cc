// What a CA answers may be anything: it is held against what was asked for, or refused, and what is
// held already stays.
#include <doctest/doctest.h>

#include "test/faults/upstream.h"
#include "test/support/captured_log.h"

namespace nodepilot {
namespace {

using steady = std::chrono::steady_clock;

// Everything that is owed when the CA answers wrongly for one identity at its renewal, `why` being
// a part of what an operator gets to read.
void check_refused(Fault fault, const std::string& why, milliseconds time = {}) {
  CAPTURE(to_string(fault));
  UpstreamRig rig(2);
  auto watcher = rig.watch(0);
  auto other = rig.watch(1);
  const std::string serial = watcher->serial();
  const std::string other_serial = other->serial();
  REQUIRE(!serial.empty());

  CapturedLog log;
  rig.istiod.set(fault, time, account(0));
  rig.clock.advance(minutes(33));
  auto newcomer = rig.watch(0);

  CHECK(watcher->updates.empty());
  CHECK(newcomer->serial() == serial);
  CHECK(other->serial() != other_serial);
  CHECK_MESSAGE(has(rig.failure(), why), rig.failure());
  CHECK(rig.failure(1).empty());
  CHECK(rig.rotator->failures("e0") > 3);
  CHECK(rig.rotator->failures("e0") < 30);
  CHECK(log.count("svid not issued") == rig.rotator->failures("e0"));
  REQUIRE(rig.rotator->next_renewal("e0"));
  CHECK(*rig.rotator->next_renewal("e0") < rig.clock.now() + minutes(2));

  rig.istiod.recover();
  rig.clock.advance(minutes(2));

  CHECK(watcher->serial() != serial);
  CHECK(rig.failure().empty());
}

// The certificates that a subscriber sees of a CA that goes wrong harmlessly.
void check_accepted(Fault fault) {
  CAPTURE(to_string(fault));
  UpstreamRig rig;
  rig.istiod.set(fault);

  auto watcher = rig.watch(0);

  REQUIRE_MESSAGE(watcher->now().svids.size() == 1, rig.failure());
  const X509Svid& svid = *watcher->now().svids.front().svid;
  REQUIRE(svid.chain().size() == 2);
  CHECK(svid.leaf().uri_sans() == std::vector{account(0)});
  CHECK(svid.chain()[1].subject() == "CN=fake istiod\\, below");
}

}  // namespace

TEST_CASE("fault 08: what is no certificate is refused") {
  check_refused(Fault::kGarbage, "element 1: ");
  check_refused(Fault::kGarbageInPem, "element 1: ");
  check_refused(Fault::kTruncated, "element 1: ");
  check_refused(Fault::kTrailingBytes, "element 1: ");
}

TEST_CASE("fault 09: a leaf for another key is refused and the old SVID stays") {
  check_refused(Fault::kOtherKey, "no certificate of the chain is for our key");
}

TEST_CASE("fault 10: a leaf for another identity is refused") {
  check_refused(Fault::kOtherId, "the leaf is for " + account(0) + "x, asked for was");
  check_refused(Fault::kTwoIds, "2 URI SANs");
  check_refused(Fault::kOtherCase, "the leaf is for spiffe://td/Ns/shop/sa/0, asked for was");
  check_refused(Fault::kEscaped, "the leaf's URI SAN is no SPIFFE ID");
}

TEST_CASE("fault 10: a leaf with another name besides is refused") {
  check_refused(Fault::kDnsName, "a DNS SAN that was not asked for: bank.example");
  check_refused(Fault::kIpName, "a SAN that was not asked for");
  check_refused(Fault::kEmailName, "a SAN that was not asked for");
}

TEST_CASE("fault 11: a leaf that has expired is refused") {
  check_refused(Fault::kExpired, "the leaf expired at ");
}

TEST_CASE("fault 12: a leaf that is valid in more than a minute is refused") {
  check_refused(Fault::kNotYetValid, "clock skew is allowed", seconds(90));
}

TEST_CASE("fault 12: a leaf that is valid in less than a minute is held until it is") {
  UpstreamRig rig;
  auto watcher = rig.watch(0);
  const std::string serial = watcher->serial();

  rig.istiod.set(Fault::kNotYetValid, seconds(50));
  rig.clock.advance(minutes(30) + seconds(45));
  CHECK(watcher->updates.empty());
  CHECK(rig.rotator->in_flight("e0"));
  CHECK(rig.failure().empty());

  rig.clock.advance(seconds(10));
  CHECK(watcher->serial() != serial);
  CHECK(watcher->now().svids.front().svid->validity().not_before <= rig.clock.now());
}

TEST_CASE("fault 13: a life out of bounds is refused") {
  check_refused(Fault::kLife, "at least 2m are wanted", seconds(110));
  check_refused(Fault::kLife, "at most 1d are allowed", hours(26));
}

TEST_CASE("fault 14: an answer without end is cut off, a long chain costs no time") {
  auto begun = steady::now();

  check_refused(Fault::kTenMegabytes, "RESOURCE_EXHAUSTED");
  check_refused(Fault::kHundredCertificates, "100 elements, at most");

  CHECK(steady::now() - begun < seconds(10));
}

TEST_CASE("fault 15: no chain, or one without the leaf, is refused") {
  check_refused(Fault::kEmptyChain, "0 elements; a leaf and the roots are the least");
  check_refused(Fault::kNoLeaf, "no certificate of the chain is for our key");
}

TEST_CASE("fault 16: a chain out of order is put in order if there is a path") {
  check_accepted(Fault::kOtherOrder);
  check_accepted(Fault::kDuplicates);
  check_accepted(Fault::kRootInChain);
}

TEST_CASE("fault 16: a chain without a path is refused") {
  check_refused(Fault::kNoIntermediate, "unable to get local issuer certificate");
}

TEST_CASE("fault 17: a leaf below an unknown root is refused, whatever roots come with it") {
  check_refused(Fault::kUnknownRoot, "none of which is believed");
  check_refused(Fault::kUnknownIssuer, "no valid path from certificate ");
  check_refused(Fault::kOtherRoots, "none of which is believed");
  check_refused(Fault::kNoRoots, "element 3");
}

TEST_CASE("fault 18: a leaf that could sign is refused") {
  check_refused(Fault::kCaLeaf, "the leaf is a CA certificate");
  check_refused(Fault::kSigningLeaf, "keyCertSign");
}

TEST_CASE("fault 18: a leaf that cannot be used on both sides is refused") {
  check_refused(Fault::kNoServerUse, "extendedKeyUsage lacks serverAuth or clientAuth");
  check_refused(Fault::kNoClientUse, "extendedKeyUsage lacks serverAuth or clientAuth");
}

TEST_CASE("fault 18: a leaf that its CA may not sign is refused") {
  check_refused(Fault::kNameConstraint, "permitted subtree violation");
}

}  // namespace nodepilot
