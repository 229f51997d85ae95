#include "agent/base/result.h"

#include <doctest/doctest.h>

#include <cerrno>

using namespace nodepilot;

namespace {

expected<int> half(int n) {
  if (n % 2 != 0) return fail(Code::kInvalidArgument, "half of an odd number");
  return n / 2;
}

expected<int> quarter(int n) { return half(TRY(half(n))); }

expected<void> check_even(int n) {
  TRY(half(n));
  return {};
}

// Counts how far it gets.
expected<std::string> after_check(int n, int& steps) {
  ++steps;
  TRY(check_even(n));
  ++steps;
  return std::string("even");
}

struct MoveOnly {
  explicit MoveOnly(int n) : value(n) {}
  MoveOnly(MoveOnly&&) = default;
  MoveOnly& operator=(MoveOnly&&) = default;
  int value;
};

expected<MoveOnly> boxed(int n) { return MoveOnly(TRY(half(n))); }

expected<int> unboxed(int n) {
  MoveOnly box = TRY(boxed(n));
  return box.value;
}

}  // namespace

TEST_CASE("TRY gives the value of what worked") { CHECK(quarter(12) == 3); }

TEST_CASE("TRY returns the error of what failed, unchanged") {
  auto result = quarter(6);

  REQUIRE_FALSE(result);
  CHECK(result.error().code == Code::kInvalidArgument);
  CHECK(result.error().message == "half of an odd number");
}

TEST_CASE("TRY passes on errors from and to results without a value") {
  int steps = 0;

  CHECK(after_check(4, steps) == "even");
  CHECK(steps == 2);
  CHECK(after_check(3, steps).error().code == Code::kInvalidArgument);
  CHECK(steps == 3);
}

TEST_CASE("TRY moves values that cannot be copied") {
  CHECK(unboxed(8) == 4);
  CHECK(unboxed(7).error().code == Code::kInvalidArgument);
}

TEST_CASE("a system error says what was tried and why it failed") {
  auto error = fail_errno("open /a", ENOENT).value();

  CHECK(error.message == "open /a: No such file or directory");
  CHECK(error.code == Code::kNotFound);
  CHECK(fail_errno("x", ESRCH).value().code == Code::kNotFound);
  CHECK(fail_errno("x", EACCES).value().code == Code::kPermissionDenied);
  CHECK(fail_errno("x", EPERM).value().code == Code::kPermissionDenied);
  CHECK(fail_errno("x", EEXIST).value().code == Code::kAlreadyExists);
  CHECK(fail_errno("x", EIO).value().code == Code::kInternal);
}

TEST_CASE("context is put before an error and keeps its code") {
  auto error = fail_with("load entries", Error{Code::kDataLoss, "cut off"}).value();

  CHECK(error.code == Code::kDataLoss);
  CHECK(error.message == "load entries: cut off");
}

TEST_CASE("codes have gRPC's numbers and names") {
  CHECK(static_cast<int>(Code::kUnauthenticated) == 16);
  CHECK(std::string(to_string(Code::kOk)) == "OK");
  CHECK(std::string(to_string(Code::kPermissionDenied)) == "PERMISSION_DENIED");
  CHECK(std::string(to_string(Code::kUnavailable)) == "UNAVAILABLE");
  CHECK(std::string(to_string(Code::kUnauthenticated)) == "UNAUTHENTICATED");
}
