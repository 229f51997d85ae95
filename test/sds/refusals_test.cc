#include "sds/refusals.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <array>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

std::shared_ptr<const Peer> ourselves() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Fd theirs(ends[1]);
  return Peer::of_socket(Fd(ends[0]).get()).value();
}

Denial denial(const std::string& cause) {
  return {.method = "FetchX509SVID", .code = Code::kPermissionDenied, .cause = cause};
}

struct Rig {
  explicit Rig(Refusals::Bounds bounds = {})
      : refusals(
            clock, [this] { return random.empty() ? next++ : take(); }, bounds) {}

  std::uint32_t take() {
    std::uint32_t value = random.back();
    random.pop_back();
    return value;
  }
  std::string note(const std::string& cause) { return refusals.note(*peer, denial(cause)); }

  FakeClock clock;
  std::uint32_t next = 1;
  std::vector<std::uint32_t> random;  // taken from the end
  std::shared_ptr<const Peer> peer = ourselves();
  Refusals refusals;
};

TEST_CASE("a refusal is found by its reference") {
  Rig rig;
  Denial what = denial("no rule matches");
  what.selectors = {{"unix", "uid:7"}};
  what.findings = {{.attestor = "unix", .took = 80us, .selectors = 1}};

  std::string ref = rig.refusals.note(*rig.peer, what);

  const Refusal* kept = rig.refusals.find(ref);
  REQUIRE(kept != nullptr);
  CHECK(kept->ref == "000001");
  CHECK(kept->pid == ::getpid());
  CHECK(kept->process.uid == ::geteuid());
  CHECK(kept->selectors == what.selectors);
  CHECK(kept->findings.at(0).took == 80us);
  CHECK(kept->first == rig.clock.now());
  CHECK(rig.refusals.find("000002") == nullptr);
}

TEST_CASE("a client that tries again keeps its record and its reference") {
  Rig rig;
  std::string first = rig.note("no rule matches");
  rig.clock.advance(3s);

  std::string again = rig.note("no rule matches");

  CHECK(again == first);
  CHECK(rig.refusals.size() == 1);
  const Refusal* kept = rig.refusals.find(first);
  CHECK(kept->count == 2);
  CHECK(kept->last - kept->first == 3s);
}

TEST_CASE("another reason is another refusal") {
  Rig rig;

  CHECK(rig.note("no rule matches") != rig.note("no rule that matches gives x"));
  CHECK(rig.refusals.size() == 2);
}

TEST_CASE("a reference that is taken is not given again") {
  Rig rig;
  rig.random = {5, 9, 9};

  CHECK(rig.note("a") == "000009");
  CHECK(rig.note("b") == "000005");
}

TEST_CASE("a uid pushes out its own oldest refusals only") {
  Rig rig({.records = 100, .records_per_uid = 2});
  std::string oldest = rig.note("a");
  std::string older = rig.note("b");
  rig.note("a");  // seen again, so b is the oldest now

  rig.note("c");

  CHECK(rig.refusals.size() == 2);
  CHECK(rig.refusals.find(older) == nullptr);
  CHECK(rig.refusals.find(oldest) != nullptr);
}

TEST_CASE("no more are kept than there are places") {
  Rig rig({.records = 3, .records_per_uid = 100});

  std::string first = rig.note("0");
  for (int i = 1; i <= 10; ++i) rig.note(std::to_string(i));

  CHECK(rig.refusals.size() == 3);
  CHECK(rig.refusals.find(first) == nullptr);
}

TEST_CASE("a process with thousands of selectors takes no more room than others may") {
  Rig rig({.bytes_per_record = 1000});
  Denial what = denial(std::string(5000, 'x'));
  for (int i = 0; i < 1000; ++i) {
    what.selectors.insert({"unix", "supplementary_gid:" + std::to_string(i)});
  }

  std::string ref = rig.refusals.note(*rig.peer, what);

  const Refusal* kept = rig.refusals.find(ref);
  CHECK(kept->cause.size() <= 500);
  CHECK(kept->selectors.size() < 20);
  CHECK(kept->selectors.size() + kept->selectors_left_out == 1000);
  CHECK(rig.refusals.note(*rig.peer, what) == ref);
}

}  // namespace
}  // namespace nodepilot
