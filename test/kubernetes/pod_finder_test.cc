#include "attest/kubernetes/pod_finder.h"

#include <doctest/doctest.h>

#include "test/kubernetes/fake_kubelet.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using testing::container_id;
using testing::FinderRig;
using testing::pod_json;
using testing::pod_uid;

// Who waits asks again when told to.
bool is_pending(const expected<Selectors>& answer) {
  return !answer && answer.error().retry_after.has_value();
}

std::string pod_of(const expected<Selectors>& answer) {
  REQUIRE_MESSAGE(answer, answer.error().message);
  for (const Selector& one : *answer) {
    if (one.value.starts_with("pod-name:")) return one.value.substr(9);
  }
  return "";
}

// Asks again as often as it is told to; the last answer.
expected<Selectors> wait_for(FinderRig& rig, unsigned pod, char container) {
  auto answer = rig.find(pod, container);
  while (is_pending(answer)) {
    rig.clock.advance(*answer.error().retry_after);
    answer = rig.find(pod, container);
  }
  return answer;
}

TEST_CASE("one list answers for all that are in it, for a while") {
  FinderRig rig({.reuse = 5s});
  rig.kubelet.list({pod_json(1, container_id('a')), pod_json(2, container_id('b'))});

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
  rig.clock.advance(5s);
  CHECK(pod_of(rig.find(2, 'b')) == "web-2");
  CHECK(rig.kubelet.asked == 1);
  rig.clock.advance(1ms);
  CHECK(pod_of(rig.find(2, 'b')) == "web-2");
  CHECK(rig.kubelet.asked == 2);
}

TEST_CASE("without reuse a list still answers whoever had it asked for") {
  FinderRig rig({.reuse = 0s});
  rig.kubelet.list({pod_json(1, container_id('a'))});
  rig.hold();

  REQUIRE(is_pending(rig.find(1, 'a')));
  rig.clock.advance(20ms);
  rig.answer();

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
}

TEST_CASE("however many ask, one request is under way") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a')), pod_json(2, container_id('b'))});
  rig.hold();

  for (int i = 0; i < 100; ++i) {
    CHECK(is_pending(rig.find(1, 'a')));
    CHECK(is_pending(rig.find(2, 'b')));
    rig.clock.advance(10ms);
  }
  CHECK(rig.waiting.size() == 1);
  rig.answer();

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
  CHECK(pod_of(rig.find(2, 'b')) == "web-2");
  CHECK(rig.kubelet.asked == 1);
}

TEST_CASE("who waits for an answer looks less and less often") {
  FinderRig rig;
  rig.hold();

  CHECK(rig.find(1, 'a').error().retry_after == 10ms);
  rig.clock.advance(400ms);
  CHECK(rig.find(1, 'a').error().retry_after == 100ms);
  rig.clock.advance(5s);
  CHECK(rig.find(1, 'a').error().retry_after == 500ms);
}

TEST_CASE("fault 61: a container that is not listed yet is waited for, each time with a new list") {
  FinderRig rig;
  rig.kubelet.list({pod_json(2, container_id('b'))});

  auto answer = rig.find(1, 'a');
  for (int tries = 0; tries < 10; ++tries) {
    REQUIRE(is_pending(answer));
    CHECK(answer.error().retry_after == 500ms);
    rig.clock.advance(500ms);
    answer = rig.find(1, 'a');
  }
  CHECK(rig.kubelet.asked == 11);
  rig.kubelet.list({pod_json(2, container_id('b')), pod_json(1, container_id('a'))});
  rig.clock.advance(500ms);

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
}

TEST_CASE(
    "fault 61: a container that is never listed is given up in the end, which is not remembered") {
  FinderRig rig({.wait = 30s});
  Time start = rig.clock.now();

  auto answer = wait_for(rig, 1, 'a');

  CHECK(rig.clock.now() - start == 30s);
  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kDeadlineExceeded);
  CHECK(answer.error().message == "container " + container_id('a') + " of pod " + pod_uid(1) +
                                      " is not in the kubelet's list after 30s");
  CHECK(is_pending(rig.find(1, 'a')));
  rig.kubelet.list({pod_json(1, container_id('a'))});
  rig.clock.advance(500ms);
  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
}

TEST_CASE("a container that is newer than the list at hand has another one asked for at once") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a'))});
  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
  rig.clock.advance(1s);
  rig.kubelet.list({pod_json(1, container_id('a')), pod_json(2, container_id('b'))});

  CHECK(pod_of(rig.find(2, 'b')) == "web-2");
}

TEST_CASE("the kubelet is not asked more often than ten times a second") {
  FinderRig rig;
  for (int i = 0; i < 1000; ++i) {
    // Each is another container that nobody has looked for yet.
    auto answer = rig.finder.find({pod_uid(1), testing::container_id_of(i)}, {});
    CHECK(is_pending(answer));
    rig.clock.advance(1ms);
  }

  CHECK(rig.kubelet.asked == 10);
}

TEST_CASE("fault 61: a malformed list is asked for anew, and told in the end") {
  FinderRig rig({.wait = 30s});
  rig.kubelet.text = "{\"kind\":";

  CHECK(is_pending(rig.find(1, 'a')));
  rig.kubelet.list({pod_json(1, container_id('a'))});
  rig.clock.advance(500ms);
  CHECK(pod_of(rig.find(1, 'a')) == "web-1");

  rig.kubelet.text = "{\"kind\":";
  rig.clock.advance(6s);
  Time start = rig.clock.now();
  auto answer = wait_for(rig, 1, 'a');
  REQUIRE_FALSE(answer);
  CHECK(rig.clock.now() - start == 30s);
  CHECK(answer.error().code == Code::kUnavailable);
  CHECK(answer.error().message == "ask the kubelet: list of pods: malformed at byte 9");
}

TEST_CASE(
    "fault 57: while the kubelet is down, whoever is known keeps its selectors and nobody else") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a')), pod_json(2, container_id('b'))});
  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  rig.kubelet.failure = Error{Code::kUnavailable, "connect: refused"};
  rig.clock.advance(1h);

  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  for (auto process : {std::optional<std::uint64_t>(78), std::optional<std::uint64_t>()}) {
    auto other = rig.find(1, 'a', process);
    REQUIRE_FALSE(other);
    CHECK(other.error().code == Code::kUnavailable);
    CHECK_FALSE(other.error().retry_after);
    CHECK(other.error().message == "ask the kubelet: connect: refused");
    rig.clock.advance(1s);
  }
  // The same process, but seen in another container.
  CHECK_FALSE(rig.find(2, 'b', 77));
}

TEST_CASE("fault 57: a kubelet that is back is heard") {
  FinderRig rig;
  rig.kubelet.failure = Error{Code::kUnavailable, "connect: refused"};
  CHECK_FALSE(rig.find(1, 'a'));
  rig.kubelet.failure.reset();
  rig.kubelet.list({pod_json(1, container_id('a'))});
  rig.clock.advance(100ms);

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
}

TEST_CASE(
    "fault 57: a kubelet that has just been started and lists nothing yet takes nothing away") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a'))});
  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  rig.kubelet.list({});
  rig.clock.advance(1h);

  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  CHECK(is_pending(rig.find(1, 'a', 78)));
}

TEST_CASE(
    "fault 58: while the kubelet is slow, whoever is known is not held up for more than a second") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a'))});
  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  rig.hold();
  rig.clock.advance(1h);

  CHECK(is_pending(rig.find(1, 'a', 77)));
  rig.clock.advance(1s);

  CHECK(pod_of(rig.find(1, 'a', 77)) == "web-1");
  CHECK(is_pending(rig.find(1, 'a', 78)));
  CHECK(rig.waiting.size() == 1);
}

TEST_CASE("fault 58: a kubelet that does not answer is given up after the wait") {
  FinderRig rig({.wait = 30s});
  rig.hold();

  auto answer = wait_for(rig, 1, 'a');

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kDeadlineExceeded);
  CHECK(answer.error().message.find("the kubelet has not answered for 30s") != std::string::npos);
  CHECK(rig.waiting.size() == 1);
}

TEST_CASE("fault 59: a refusal by the kubelet is told at once, as unavailable") {
  FinderRig rig;
  rig.kubelet.failure = Error{Code::kPermissionDenied, "status 403"};

  auto answer = rig.find(1, 'a');

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kUnavailable);
  CHECK_FALSE(answer.error().retry_after);
}

TEST_CASE("a container listed for another pod is refused, without waiting") {
  FinderRig rig;
  rig.kubelet.list({pod_json(1, container_id('a'))});

  auto answer = rig.find(2, 'a');

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kFailedPrecondition);
  CHECK_FALSE(answer.error().retry_after);
}

TEST_CASE("a list of another node counts for nothing") {
  FinderRig rig;
  auto pod = pod_json(1, container_id('a'));
  pod["spec"]["nodeName"] = "node-2";
  rig.kubelet.list({pod});

  auto answer = wait_for(rig, 1, 'a');

  REQUIRE_FALSE(answer);
  CHECK(answer.error().code == Code::kUnavailable);
  CHECK(answer.error().message.find("is not of this node") != std::string::npos);
}

TEST_CASE("a clock that is set back holds nobody up") {
  FinderRig rig;
  CHECK(is_pending(rig.find(1, 'a')));
  rig.kubelet.list({pod_json(1, container_id('a'))});
  rig.clock.jump(rig.clock.now() - 24h);

  CHECK(pod_of(rig.find(1, 'a')) == "web-1");
}

TEST_CASE("a wait that was abandoned does not count for the next") {
  FinderRig rig({.wait = 30s});
  CHECK(is_pending(rig.find(1, 'a')));
  rig.clock.advance(29s);
  Time start = rig.clock.now();

  auto answer = wait_for(rig, 1, 'a');

  CHECK_FALSE(answer);
  CHECK(rig.clock.now() - start == 30s);
}

}  // namespace
}  // namespace nodepilot
