#include "attest/attest.h"

#include <doctest/doctest.h>

#include <functional>
#include <future>
#include <thread>

#include "test/attest/client_process.h"

using namespace nodepilot;
using namespace std::chrono_literals;

namespace {

// Answers what it was given.
class FakeAttestor : public Attestor {
 public:
  explicit FakeAttestor(std::function<expected<Selectors>()> answer) : answer_(std::move(answer)) {}
  explicit FakeAttestor(const Selectors& found) : answer_([found] { return found; }) {}
  FakeAttestor(std::function<expected<Selectors>()> answer, bool is_quick)
      : answer_(std::move(answer)), is_quick_(is_quick) {}

  const char* name() const override { return "fake"; }
  bool is_quick() const override { return is_quick_; }
  expected<Selectors> attest(const Peer&) const override { return answer_(); }

 private:
  std::function<expected<Selectors>()> answer_;
  bool is_quick_ = false;
};

expected<Selectors> broken() { return fail(Code::kDeadlineExceeded, "kubelet: no answer"); }

struct Rig {
  ClientProcess client;
  std::shared_ptr<const Peer> peer = Peer::of_socket(client.socket()).value();
};

const Selector kUid{"unix", "uid:1000"};
const Selector kPod{"k8s", "ns:shop"};

}  // namespace

TEST_CASE("what all attestors found is merged") {
  Rig rig;
  FakeAttestor one({kUid});
  FakeAttestor two({kUid, kPod});

  auto found = attest(*rig.peer, {&one, &two});

  CHECK(found.selectors == Selectors{kUid, kPod});
  CHECK(found.complete());
}

TEST_CASE("one failing attestor leaves out its selectors only") {
  Rig rig;
  FakeAttestor bad(broken);
  FakeAttestor good({kUid});

  for (const Attestors& order : {Attestors{&bad, &good}, Attestors{&good, &bad}}) {
    auto found = attest(*rig.peer, order);
    CHECK(found.selectors == Selectors{kUid});
    CHECK_FALSE(found.complete());
  }
}

TEST_CASE("an attestor that finds nothing has not failed") {
  Rig rig;
  FakeAttestor bad(broken);
  FakeAttestor empty{Selectors()};

  auto found = attest(*rig.peer, {&bad, &empty}).selectors;

  CHECK(found == Selectors());
}

TEST_CASE("when every attestor fails nobody is known, and the error says why") {
  Rig rig;
  FakeAttestor bad(broken);

  auto found = attest(*rig.peer, {&bad, &bad}).selectors;

  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kUnavailable);
  CHECK(found.error().message.find("fake: kubelet: no answer") != std::string::npos);
}

TEST_CASE("without attestors nobody is known") {
  Rig rig;

  CHECK(attest(*rig.peer, {}).selectors.error().code == Code::kUnavailable);
}

TEST_CASE("a peer that exits while it is looked at gets no selectors") {
  Rig rig;
  FakeAttestor slow([&]() -> expected<Selectors> {
    rig.client.exit();
    return Selectors{kUid};
  });

  auto found = attest(*rig.peer, {&slow}).selectors;

  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kUnavailable);
}

TEST_CASE("a peer that runs another program while it is looked at gets no selectors") {
  Rig rig;
  FakeAttestor slow([&]() -> expected<Selectors> {
    rig.client.exec("/bin/cat");
    return Selectors{kUid};
  });

  auto found = attest(*rig.peer, {&slow}).selectors;

  REQUIRE_FALSE(found);
  CHECK(found.error().code == Code::kUnavailable);
}

TEST_CASE("attestors do not wait for one another") {
  Rig rig;
  std::promise<void> second_ran;
  FakeAttestor first([&]() -> expected<Selectors> {
    // One after the other would never get here; the bound keeps the failing test from hanging.
    if (second_ran.get_future().wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      return fail(Code::kDeadlineExceeded, "the second has not run");
    }
    return Selectors{kUid};
  });
  FakeAttestor second([&]() -> expected<Selectors> {
    second_ran.set_value();
    return Selectors{kPod};
  });

  CHECK(attest(*rig.peer, {&first, &second}).selectors == Selectors{kUid, kPod});
}

TEST_CASE("quick attestors are asked by the calling thread, whatever stands before them") {
  Rig rig;
  FakeAttestor slow({kPod});
  std::thread::id asked_by;
  auto answer = [&]() -> expected<Selectors> {
    asked_by = std::this_thread::get_id();
    return Selectors{kUid};
  };
  FakeAttestor quick(answer, /*is_quick=*/true);

  CHECK(attest(*rig.peer, {&slow, &quick}).selectors == Selectors{kUid, kPod});

  CHECK(asked_by == std::this_thread::get_id());
}

TEST_CASE("while one does not know yet, the caller is told when to ask again") {
  Rig rig;
  auto soon = [](std::chrono::milliseconds pause) {
    return [pause]() -> expected<Selectors> {
      return tl::unexpected<Error>({Code::kUnavailable, "not yet", pause});
    };
  };
  FakeAttestor good({kUid});
  FakeAttestor bad(broken);
  FakeAttestor later(soon(500ms));
  FakeAttestor sooner(soon(10ms));

  for (const Attestors& order :
       {Attestors{&good, &later, &sooner}, Attestors{&sooner, &bad, &later}}) {
    auto found = attest(*rig.peer, order).selectors;
    REQUIRE_FALSE(found);
    CHECK(found.error().retry_after == 10ms);
  }
}

TEST_CASE("slow attestors are left alone while a quick one does not know yet") {
  Rig rig;
  bool was_asked = false;
  FakeAttestor slow([&]() -> expected<Selectors> {
    was_asked = true;
    return Selectors{kUid};
  });
  auto not_yet = []() -> expected<Selectors> {
    return tl::unexpected<Error>({Code::kUnavailable, "not yet", 10ms});
  };
  FakeAttestor quick(not_yet, /*is_quick=*/true);

  CHECK(attest(*rig.peer, {&slow, &quick}).selectors.error().retry_after == 10ms);

  CHECK_FALSE(was_asked);
}

TEST_CASE("a peer that is gone is not told to ask again") {
  Rig rig;
  FakeAttestor waiting([&]() -> expected<Selectors> {
    rig.client.exit();
    return tl::unexpected<Error>({Code::kUnavailable, "not yet", 10ms});
  });

  auto found = attest(*rig.peer, {&waiting}).selectors;

  REQUIRE_FALSE(found);
  CHECK_FALSE(found.error().retry_after);
}

TEST_CASE("one attestor that may wait makes all of them slow") {
  FakeAttestor quick([] { return Selectors(); }, /*is_quick=*/true);
  FakeAttestor slow{Selectors()};

  CHECK(all_quick({&quick, &quick}));
  CHECK_FALSE(all_quick({&quick, &slow}));
}

TEST_CASE("what each attestor did is told, failures too") {
  Rig rig;
  FakeAttestor bad(broken);
  FakeAttestor good({kUid, kPod});

  auto attestation = attest(*rig.peer, {&bad, &good});

  REQUIRE(attestation.findings.size() == 2);
  CHECK(attestation.findings[0].attestor == "fake");
  REQUIRE(attestation.findings[0].failure);
  CHECK(attestation.findings[0].failure->message == "kubelet: no answer");
  CHECK_FALSE(attestation.findings[1].failure);
  CHECK(attestation.findings[1].selectors == 2);
  CHECK(attestation.selectors == Selectors{kUid, kPod});
}
