#include "agent/config/text.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

expected<Duration> duration(std::string_view text) { return parse_duration(text, 0ms, 240h); }

TEST_CASE("a duration is whole numbers with units, largest first") {
  CHECK(duration("1h").value() == 1h);
  CHECK(duration("30s").value() == 30s);
  CHECK(duration("250ms").value() == 250ms);
  CHECK(duration("1h30m").value() == 90min);
  CHECK(duration("2d3h4m5s6ms").value() == 51h + 4min + 5s + 6ms);
  CHECK(duration("0s").value() == 0ms);
}

TEST_CASE("what is not exactly a duration is refused") {
  for (const char* text :
       {"", "1", "h", "1H", "-1s", "+1s", "1.5h", " 1s", "1s ", "1 s", "1s1s", "1s1h", "1ms1s",
        "1us", "0x1s", "1e3s", "99999999999999999999s", "\xff", "1h30"}) {
    CAPTURE(text);
    auto result = duration(text);
    REQUIRE_FALSE(result);
    CHECK(result.error().message.starts_with(
        "must be a duration such as 1h30m, 30s or 250ms, got \""));
  }
}

TEST_CASE("a duration out of range names the range, however large it is") {
  CHECK(parse_duration("1s", 5s, 1min).error().message == "must be between 5s and 1m, got \"1s\"");
  CHECK(duration("9223372036854775807d").error().message ==
        "must be between 0s and 10d, got \"9223372036854775807d\"");
  CHECK_FALSE(duration("106751991167d9223372036854775807h"));
}

TEST_CASE("a count is digits only, within its range") {
  CHECK(parse_count("8", 1, 1000).value() == 8);
  for (const char* text :
       {"", "0", "1001", "-1", "+1", "1.0", "0x8", "1e2", " 8", "8 ", "18446744073709551616"}) {
    CAPTURE(text);
    auto result = parse_count(text, 1, 1000);
    REQUIRE_FALSE(result);
    CHECK(result.error().message ==
          "must be a whole number between 1 and 1000, got \"" + std::string(text) + "\"");
  }
}

TEST_CASE("a size is plain bytes or binary units") {
  CHECK(parse_bytes("4096", 0, 1 << 30).value() == 4096);
  CHECK(parse_bytes("16KiB", 0, 1 << 30).value() == 16384);
  CHECK(parse_bytes("1GiB", 0, 1 << 30).value() == 1 << 30);
  for (const char* text : {"", "16kb", "16KB", "16K", "1.5MiB", "KiB", "-1", "16 KiB"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_bytes(text, 0, 1 << 30));
  }
}

TEST_CASE("a size out of range is not mistaken for a small one that overflowed") {
  CHECK(parse_bytes("18014398509481985KiB", 0, 64 << 20).error().message ==
        "must be between 0 and 64MiB, got \"18014398509481985KiB\"");
  CHECK(parse_bytes("1KiB", 4096, 1 << 20).error().message ==
        "must be between 4KiB and 1MiB, got \"1KiB\"");
}

TEST_CASE("a fraction has digits and one point, nothing else") {
  CHECK(parse_fraction("0.5", 0.1, 0.9).value() == 0.5);
  CHECK(parse_fraction("0", 0, 1).value() == 0);
  for (const char* text :
       {"", ".5", "1.", "nan", "inf", "-0.5", "5e-1", "0x0.8", "0.5 ", "0.95", "0.05", "0,5"}) {
    CAPTURE(text);
    auto result = parse_fraction(text, 0.1, 0.9);
    REQUIRE_FALSE(result);
    CHECK(result.error().message ==
          "must be a number between 0.1 and 0.9, got \"" + std::string(text) + "\"");
  }
}

TEST_CASE("a mode is octal with its zero in front") {
  CHECK(parse_mode("0660").value() == 0660);
  CHECK(parse_mode("0000").value() == 0);
  for (const char* text : {"", "660", "0o660", "0888", "01777", "04755", "-0660", "rw-rw----"}) {
    CAPTURE(text);
    CHECK_FALSE(parse_mode(text));
  }
}

TEST_CASE("a path is absolute and has one spelling") {
  CHECK(parse_path("/run/a.sock").value() == "/run/a.sock");
  for (std::string_view text :
       {std::string_view(""), std::string_view("a"), std::string_view("./a"), std::string_view("/"),
        std::string_view("/a/"), std::string_view("/a//b"), std::string_view("//a"),
        std::string_view("/a/../b"), std::string_view("/a/./b"), std::string_view("/a/."),
        std::string_view("/a\0b", 4)}) {
    CAPTURE(text);
    CHECK_FALSE(parse_path(text));
  }
}

TEST_CASE("durations and sizes are written as they are read") {
  for (const char* text : {"0s", "1d", "1h30m", "2m5s", "250ms"}) {
    CHECK(duration_text(duration(text).value()) == text);
  }
  for (const char* text : {"0", "100", "16KiB", "64MiB", "2GiB"}) {
    CHECK(bytes_text(parse_bytes(text, 0, std::uint64_t{4} << 30).value()) == text);
  }
}

TEST_CASE("the nearest name is suggested, and none that is far") {
  std::vector<std::string> names = {"trust_domain", "listen", "log"};

  CHECK(suggestion("trust_domian", names) == " (did you mean \"trust_domain\"?)");
  CHECK(suggestion("lisen", names) == " (did you mean \"listen\"?)");
  CHECK(suggestion("lgo", names) == " (did you mean \"log\"?)");
  CHECK(suggestion("telemetry", names) == "");
  CHECK(suggestion("", names) == "");
  CHECK(suggestion(std::string(100000, 'l'), names) == "");
}

}  // namespace
}  // namespace nodepilot
