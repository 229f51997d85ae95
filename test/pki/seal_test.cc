#include "rotation/pki/seal.h"

#include <doctest/doctest.h>

#include <set>

namespace nodepilot {
namespace {

SecretBytes bytes_of(std::string_view text) { return {text.begin(), text.end()}; }

SecretBytes secret(char fill = 'k') { return SecretBytes(32, static_cast<std::uint8_t>(fill)); }

SealingKey make_key(char fill = 'k', std::string_view purpose = "test") {
  return SealingKey::derive(secret(fill), purpose).value();
}

TEST_CASE("what was sealed opens as it was") {
  SealingKey key = make_key();

  for (std::size_t length : {0U, 1U, 15U, 16U, 17U, 100'000U}) {
    SecretBytes plaintext(length, 7);
    auto sealed = key.seal(plaintext, "context");
    REQUIRE(sealed);
    CHECK(sealed->size() == 12 + length + 16);
    CHECK(key.open(*sealed, "context").value() == plaintext);
  }
}

TEST_CASE("the same text never looks the same twice") {
  SealingKey key = make_key();
  std::set<std::string> seen;

  for (int i = 0; i < 1000; ++i) seen.insert(key.seal(bytes_of("text"), "").value());

  CHECK(seen.size() == 1000);
}

TEST_CASE("what was sealed does not hold its text") {
  std::string sealed = make_key().seal(bytes_of("a secret that is long enough"), "").value();

  CHECK(sealed.find("secret") == std::string::npos);
}

TEST_CASE("no bit can be changed and no byte be missing") {
  SealingKey key = make_key();
  std::string sealed = key.seal(bytes_of("some text"), "context").value();

  for (std::size_t bit = 0; bit < sealed.size() * 8; ++bit) {
    std::string changed = sealed;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    CHECK(key.open(changed, "context").error().code == Code::kDataLoss);
  }
  for (std::size_t length = 0; length < sealed.size(); ++length) {
    CHECK(key.open(sealed.substr(0, length), "context").error().code == Code::kDataLoss);
  }
  CHECK(key.open(sealed + "x", "context").error().code == Code::kDataLoss);
}

TEST_CASE("it opens for its own context only") {
  SealingKey key = make_key();
  std::string sealed = key.seal(bytes_of("text"), "a").value();

  CHECK(key.open(sealed, "b").error().code == Code::kDataLoss);
  CHECK(key.open(sealed, "").error().code == Code::kDataLoss);
}

TEST_CASE("it opens under its own key only, which is one of secret and purpose") {
  std::string sealed = make_key().seal(bytes_of("text"), "").value();

  CHECK(make_key().open(sealed, ""));
  CHECK_FALSE(make_key('x').open(sealed, ""));
  CHECK_FALSE(make_key('k', "other").open(sealed, ""));
  CHECK(make_key().id() == make_key().id());
  CHECK(make_key().id() != make_key('x').id());
  CHECK(make_key().id() != make_key('k', "other").id());
  CHECK(make_key().id().size() == 16);
}

TEST_CASE("every byte of a longer secret counts") {
  SecretBytes longer(100, 'k');
  SecretBytes other = longer;
  other.back() = 'x';

  CHECK(SealingKey::derive(longer, "")->id() != SealingKey::derive(other, "")->id());
}

TEST_CASE("a short secret is refused with what is needed") {
  auto key = SealingKey::derive(SecretBytes(31, 1), "test");

  REQUIRE_FALSE(key);
  CHECK(key.error().message == "holds 31 bytes; a sealing key needs at least 32 random bytes");
}

}  // namespace
}  // namespace nodepilot
