#include "agent/base/token_bucket.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr TokenBucket::Instant kStart{1h};

int take_all(TokenBucket& bucket, TokenBucket::Instant now) {
  int taken = 0;
  while (taken < 1000 && bucket.take(now)) ++taken;
  return taken;
}

TEST_CASE("a bucket gives its burst at once, then its rate") {
  TokenBucket bucket(10, 30);

  CHECK(take_all(bucket, kStart) == 30);
  CHECK(take_all(bucket, kStart) == 0);
  CHECK(take_all(bucket, kStart + 99ms) == 0);
  CHECK(take_all(bucket, kStart + 100ms) == 1);
  CHECK(take_all(bucket, kStart + 1100ms) == 10);
}

TEST_CASE("an idle bucket fills up to its burst and no further") {
  TokenBucket bucket(10, 30);
  take_all(bucket, kStart);

  CHECK(take_all(bucket, kStart + 10h) == 30);
}

TEST_CASE("a borrowed token is paid back at the rate") {
  TokenBucket bucket(10, 2);
  for (int i = 0; i < 5; ++i) bucket.borrow(kStart);

  CHECK(bucket.paid() == kStart + 300ms);
  CHECK_FALSE(bucket.take(kStart + 300ms));
  CHECK(bucket.take(kStart + 400ms));
}

TEST_CASE("a bucket without debt is paid already") {
  TokenBucket bucket(10, 2);

  bucket.borrow(kStart);
  bucket.borrow(kStart);

  CHECK(bucket.paid() <= kStart);
}

TEST_CASE("a bucket tells when its next token is there") {
  TokenBucket bucket(10, 2);

  CHECK(bucket.next(kStart) == kStart);
  take_all(bucket, kStart);
  CHECK(bucket.next(kStart) == kStart + 100ms);
  CHECK(bucket.next(kStart + 70ms) == kStart + 100ms);
  CHECK(bucket.next(kStart + 1h) == kStart + 1h);
}

TEST_CASE("a clock that is set back costs a bucket no more than its own filling") {
  TokenBucket bucket(10, 2);
  take_all(bucket, kStart);

  CHECK_FALSE(bucket.take(kStart - 30min));
  CHECK(bucket.next(kStart - 30min) == kStart - 30min + 100ms);
  CHECK(bucket.take(kStart - 30min + 100ms));
  CHECK_FALSE(bucket.take(kStart - 30min + 100ms));
}

TEST_CASE("a rate of zero is held for one") {
  TokenBucket bucket(0, 1);

  CHECK(bucket.take(kStart));
  CHECK_FALSE(bucket.take(kStart + 999ms));
  CHECK(bucket.take(kStart + 1s));
}

}  // namespace
}  // namespace nodepilot
