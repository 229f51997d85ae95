#include <doctest/doctest.h>

#include "agent/base/clock.h"
#include "rotation/ca/istiod/authentication_race.h"
#include "rotation/ca/istiod/file_token.h"
#include "test/ca/istiod_kit.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;
using test::entry_of;
using test::id_of;
using test::secret;

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

struct Rig {
  Rig() { write("first"); }

  void write(const std::string& text) const { directory.write("token", text); }
  std::string token() {
    auto read = tokens.token(entry);
    return read ? test::text_of(*read) : "refused: " + read.error().message;
  }

  TemporaryDirectory directory;
  FakeClock clock;
  Entry entry = entry_of("/ns/a/sa/b");
  FileToken tokens{directory / "token", [this] { return clock.now(); }};
};

TEST_CASE("a token is read anew each time, without the white space around it") {
  Rig rig;
  CHECK(rig.token() == "first");

  rig.write(" \t\r\nab.c-d_e~f+g/h=\n\n");

  CHECK(rig.token() == "ab.c-d_e~f+g/h=");
}

TEST_CASE("a token that is swapped in by its directory's link is used by the next call") {
  Rig rig;
  rig.directory.write("..1/istio-token", "one");
  rig.directory.write("..2/istio-token", "two");
  std::filesystem::create_symlink("..1", rig.directory / "..data");
  std::filesystem::create_symlink("..data/istio-token", rig.directory / "istio-token");
  FileToken tokens(rig.directory / "istio-token", [&] { return rig.clock.now(); });
  CHECK(tokens.token(rig.entry).value() == secret("one"));

  std::filesystem::create_symlink("..2", rig.directory / "..new");
  std::filesystem::rename(rig.directory / "..new", rig.directory / "..data");
  std::filesystem::remove_all(rig.directory / "..1");

  CHECK(tokens.token(rig.entry).value() == secret("two"));
}

TEST_CASE("a missing, empty or unfit file leaves the last token in use") {
  Rig rig;
  CHECK(rig.token() == "first");

  for (const char* text : {"", " \n", "two words", "line\r\nbreak", "caf\xc3\xa9", "nul"}) {
    rig.write(text == std::string("nul") ? std::string("a\0b", 3) : text);
    CHECK(rig.token() == "first");
  }
  rig.write(std::string(17 * 1024, 'x'));
  CHECK(rig.token() == "first");
  std::filesystem::remove(rig.directory / "token");
  CHECK(rig.token() == "first");

  rig.write("second");
  CHECK(rig.token() == "second");
}

TEST_CASE("a last token that the CA refuses is used no more") {
  Rig rig;
  CHECK(rig.token() == "first");
  std::filesystem::remove(rig.directory / "token");

  rig.tokens.refused(rig.entry, secret("another"));
  CHECK(rig.token() == "first");
  rig.tokens.refused(rig.entry, secret("first"));

  CHECK(has(rig.token(), "refused: token for the CA: "));
  CHECK(has(rig.token(), "token: No such file or directory"));
}

TEST_CASE("a refused token that still stands in the file is tried again") {
  Rig rig;
  CHECK(rig.token() == "first");

  rig.tokens.refused(rig.entry, secret("first"));

  CHECK(rig.token() == "first");
}

TEST_CASE("what is wrong with a first token is told, but nothing of it") {
  Rig rig;
  rig.write("not one");
  CHECK(has(rig.token(), "refused: "));
  CHECK(has(rig.token(), "holds no token"));
  CHECK_FALSE(has(rig.token(), "not one"));
  rig.write("\n");
  CHECK(has(rig.token(), "is empty"));
}

TEST_CASE("refusals may pass for half a minute after the first, each identity by itself") {
  AuthenticationRace race;
  FakeClock clock;
  SpiffeId a = id_of("/ns/a/sa/a");
  SpiffeId b = id_of("/ns/a/sa/b");

  CHECK(race.may_pass(a, clock.now()));
  clock.advance(29s);
  CHECK(race.may_pass(a, clock.now()));
  CHECK(race.may_pass(b, clock.now()));
  clock.advance(1s);
  CHECK_FALSE(race.may_pass(a, clock.now()));
  CHECK(race.may_pass(b, clock.now()));
}

TEST_CASE("success begins a new window") {
  AuthenticationRace race;
  FakeClock clock;
  SpiffeId id = id_of("/ns/a/sa/a");
  race.may_pass(id, clock.now());
  clock.advance(31s);
  REQUIRE_FALSE(race.may_pass(id, clock.now()));

  race.passed(id);

  CHECK(race.may_pass(id, clock.now()));
}

TEST_CASE("refusals of long ago are forgotten, those of a retry with backoff are not") {
  AuthenticationRace race;
  FakeClock clock;
  SpiffeId id = id_of("/ns/a/sa/a");
  race.may_pass(id, clock.now());
  for (int i = 0; i < 5; ++i) {
    clock.advance(150s);
    CHECK_FALSE(race.may_pass(id, clock.now()));
  }

  clock.advance(AuthenticationRace::kForget + 1s);

  CHECK(race.may_pass(id, clock.now()));
}

TEST_CASE("a clock that is set back far begins a new window") {
  AuthenticationRace race;
  FakeClock clock;
  SpiffeId id = id_of("/ns/a/sa/a");
  race.may_pass(id, clock.now());

  CHECK(race.may_pass(id, clock.now() - 1h));
  CHECK_FALSE(race.may_pass(id, clock.now() - 1h + 30s));
}

}  // namespace
}  // namespace nodepilot
