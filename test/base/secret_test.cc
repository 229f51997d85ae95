#include "agent/base/secret.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>

using namespace nodepilot;

namespace {

struct Letter {
  char value;
};

// Memory that can be looked at after it was given back.
std::array<Letter, 1000> memory;
std::size_t used = 0;

}  // namespace

// What WipingAllocator<Letter> gets its memory from.
template <>
struct std::allocator<Letter> {
  using value_type = Letter;
  Letter* allocate(std::size_t n) {
    Letter* start = &memory.at(used);
    used += n;
    return start;
  }
  void deallocate(Letter*, std::size_t) {}
};

namespace {

using SecretLetters = std::vector<Letter, WipingAllocator<Letter>>;

long letters_in_memory() {
  return std::count_if(memory.begin(), memory.end(), [](Letter l) { return l.value == 'k'; });
}

}  // namespace

TEST_CASE("a secret is wiped when its memory is given back") {
  used = 0;
  {
    SecretLetters secret(10, Letter{'k'});
    CHECK(letters_in_memory() == 10);
  }
  CHECK(letters_in_memory() == 0);
}

TEST_CASE("a secret that outgrows its memory leaves nothing behind") {
  used = 0;
  SecretLetters secret(10, Letter{'k'});

  secret.resize(20, Letter{'k'});
  CHECK(letters_in_memory() == 20);
  secret.reserve(100);
  CHECK(letters_in_memory() == 20);
  SecretLetters moved = std::move(secret);
  CHECK(letters_in_memory() == 20);
  moved = SecretLetters();
  CHECK(letters_in_memory() == 0);
}
