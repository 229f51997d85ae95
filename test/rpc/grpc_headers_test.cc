#include "sds/rpc/grpc_headers.h"

#include <doctest/doctest.h>

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

TEST_CASE("every unit of grpc-timeout is understood") {
  CHECK(parse_timeout("2H").value() == 2h);
  CHECK(parse_timeout("3M").value() == 3min);
  CHECK(parse_timeout("4S").value() == 4s);
  CHECK(parse_timeout("5m").value() == 5ms);
  CHECK(parse_timeout("6u").value() == 6us);
  CHECK(parse_timeout("7n").value() == 7ns);
  CHECK(parse_timeout("00000000n").value() == 0ns);
  CHECK(parse_timeout("99999999m").value() == 99999999ms);
}

TEST_CASE("a grpc-timeout longer than a year is held for a year, without overflow") {
  CHECK(parse_timeout("99999999H").value() == 24h * 365);
  CHECK(parse_timeout("99999999M").value() == 24h * 365);
}

TEST_CASE("a malformed grpc-timeout is refused, and the error says what is allowed") {
  for (const char* text : {"", "S", "5", "5s", "123456789S", "-1S", "+1S", " 1S", "1 S", "1S ",
                           "1.5S", "0x1S", "1SS", "1S1S"}) {
    CAPTURE(text);
    auto parsed = parse_timeout(text);
    REQUIRE_FALSE(parsed);
    CHECK(parsed.error().code == Code::kInvalidArgument);
  }
  CHECK(parse_timeout("5s").error().message ==
        "grpc-timeout \"5s\" must be 1 to 8 digits and a unit: H, M, S, m, u or n");
}

TEST_CASE("gRPC's content types are told from others") {
  CHECK(is_grpc_content_type("application/grpc"));
  CHECK(is_grpc_content_type("application/grpc+proto"));
  CHECK(is_grpc_content_type("application/grpc;charset=utf-8"));

  CHECK_FALSE(is_grpc_content_type(""));
  CHECK_FALSE(is_grpc_content_type("application/json"));
  CHECK_FALSE(is_grpc_content_type("application/grpc-web"));
  CHECK_FALSE(is_grpc_content_type("Application/grpc"));
}

TEST_CASE("a status message is percent-encoded where it must be") {
  CHECK(encode_status_message("plain ~text!") == "plain ~text!");
  CHECK(encode_status_message("50% of\nit") == "50%25 of%0Ait");
  CHECK(encode_status_message("\xc3\xa9\x7f") == "%C3%A9%7F");
  CHECK(encode_status_message(std::string_view("\0", 1)) == "%00");
}

TEST_CASE("a long status message is cut") {
  CHECK(encode_status_message(std::string(5000, 'x')).size() == 1024);
}

}  // namespace
}  // namespace nodepilot
