#include "agent/cli_text.h"

#include <doctest/doctest.h>

#include "agent/cli/exit_code.h"

namespace nodepilot {
namespace {

TEST_CASE("control characters of a peer cannot reach the terminal") {
  CHECK(printable("a\x1b[2Jb\r\n\x7f") == "a?[2Jb???");
  CHECK(printable("a\xc2\x9b"
                  "2Jb") == "a?2Jb");
  CHECK(printable("caf\xc3\xa9 \xe2\x82\xac") == "caf\xc3\xa9 \xe2\x82\xac");
}

TEST_CASE("a serial is shortened in its middle") {
  CHECK(short_serial("7c1e0011223390ab") == "7c1e…90ab");
  CHECK(short_serial("123456789") == "123456789");
  CHECK(short_serial("1234567890") == "1234…7890");
  CHECK(short_serial("") == "-");
}

TEST_CASE("columns are as wide as their widest cell, also with characters of several bytes") {
  CHECK(render_table({{"SERIAL", "STATE", "X"}, {"7c1e…90ab", "-", "y"}, {"z"}}) ==
        "SERIAL     STATE  X\n"
        "7c1e…90ab  -      y\n"
        "z\n");
}

TEST_CASE("one is singular") {
  CHECK(counted(1, "root") == "1 root");
  CHECK(counted(0, "root") == "0 roots");
  CHECK(counted(2, "root") == "2 roots");
}

TEST_CASE("a denial, an absence and a timeout have exit codes of their own") {
  CHECK(static_cast<int>(exit_code_of(Code::kOk)) == 0);
  CHECK(static_cast<int>(exit_code_of(Code::kUnavailable)) == 3);
  CHECK(static_cast<int>(exit_code_of(Code::kPermissionDenied)) == 4);
  CHECK(static_cast<int>(exit_code_of(Code::kDeadlineExceeded)) == 6);
  CHECK(static_cast<int>(exit_code_of(Code::kInvalidArgument)) == 1);
  CHECK(static_cast<int>(exit_code_of(Code::kNotFound)) == 1);
}

}  // namespace
}  // namespace nodepilot
