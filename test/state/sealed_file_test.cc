#include "rotation/state/sealed_file.h"

#include <doctest/doctest.h>

#include "agent/base/sha256.h"
#include "test/state/rig.h"

namespace nodepilot {
namespace {

const SecretBytes kContent{'t', 'e', 'x', 't'};
constexpr std::size_t kVersionAt = 8;

// With the checksum that belongs to it.
std::string with_sum(std::string bytes) {
  bytes.resize(bytes.size() - 64);
  return bytes + sha256_hex(bytes);
}

TEST_CASE("a file opens under its key and its name") {
  std::string bytes = seal_file(state_key(), "a", kContent).value();

  CHECK(bytes.starts_with("NPSEALED\x01"));
  CHECK(open_file(state_key(), "a", bytes).value() == kContent);
}

TEST_CASE("a file cannot stand in for another") {
  std::string bytes = seal_file(state_key(), "a", kContent).value();

  CHECK(open_file(state_key(), "b", bytes).error().code == Code::kDataLoss);
}

TEST_CASE("whatever bit is flipped and wherever it is cut, it is damage, not a wrong key") {
  std::string bytes = seal_file(state_key(), "a", kContent).value();

  for (std::size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string changed = bytes;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << (bit % 8)));
    CHECK(open_file(state_key(), "a", changed).error().code == Code::kDataLoss);
  }
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    CHECK(open_file(state_key(), "a", bytes.substr(0, length)).error().code == Code::kDataLoss);
  }
}

TEST_CASE("a whole file of another key says so") {
  std::string bytes = seal_file(state_key(1), "a", kContent).value();

  CHECK(open_file(state_key(2), "a", bytes).error().code == Code::kUnauthenticated);
}

TEST_CASE("a whole file of another version says so") {
  std::string bytes = seal_file(state_key(), "a", kContent).value();
  bytes[kVersionAt] = 2;

  auto opened = open_file(state_key(), "a", with_sum(bytes));

  CHECK(opened.error().code == Code::kUnimplemented);
  CHECK(opened.error().message == "is of version 2, and this agent knows version 1");
}

TEST_CASE("who can mend the checksum still cannot change the content") {
  std::string bytes = seal_file(state_key(), "a", kContent).value();
  bytes[bytes.size() - 64 - 20] ^= 1;

  CHECK(open_file(state_key(), "a", with_sum(bytes)).error().code == Code::kDataLoss);
}

}  // namespace
}  // namespace nodepilot
