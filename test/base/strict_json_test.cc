#include "agent/base/strict_json.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace nodepilot {
namespace {

using Json = nlohmann::json;

expected<Json> parse(std::string_view text) {
  return parse_strict_json(text, {.max_bytes = 100000, .max_depth = 4});
}

std::string why(std::string_view text) {
  auto json = parse(text);
  if (json) return "accepted";
  CHECK(json.error().code == Code::kInvalidArgument);
  return json.error().message;
}

}  // namespace

TEST_CASE("every kind of value is read") {
  auto json = parse(R"( {"a": [1, -2, 1.5, true, null, "x", {}], "b": {"c": []}} )");

  REQUIRE(json.has_value());
  CHECK(*json == Json{{"a", {1, -2, 1.5, true, nullptr, "x", Json::object()}},
                      {"b", {{"c", Json::array()}}}});
  CHECK(parse("7").value() == Json(7));
  CHECK(parse("\"\\u00e9\"").value() == Json("\u00e9"));
}

TEST_CASE("integers of 64 bits are exact, and larger ones are no integers") {
  CHECK(parse("9007199254740993").value().get<std::uint64_t>() == 9007199254740993U);
  CHECK(parse("9223372036854775807").value().get<std::int64_t>() == INT64_MAX);
  CHECK(parse("18446744073709551615").value().get<std::uint64_t>() == UINT64_MAX);
  CHECK(parse("-9223372036854775808").value().get<std::int64_t>() == INT64_MIN);
  CHECK(parse("18446744073709551616").value().is_number_float());
}

TEST_CASE("a member given twice is refused, at any depth") {
  CHECK(why(R"({"a":1,"b":2,"a":1})") == "JSON: member \"a\" is given twice");
  CHECK(why(R"([{"x":{"a":1,"\u0061":2}}])") == "JSON: member \"a\" is given twice");
  CHECK(why(R"([{"a":1},{"a":1}])") == "accepted");
}

TEST_CASE("of a long name given twice only the head is quoted") {
  std::string name(1000, 'n');

  CHECK(why("{\"" + name + "\":1,\"" + name + "\":2}") ==
        "JSON: member \"" + std::string(80, 'n') + "\" is given twice");
}

TEST_CASE("depth is bounded, and refused before it costs anything") {
  CHECK(why("[[[[]]]]") == "accepted");
  CHECK(why("[[[[[]]]]]") == "JSON: nested deeper than 4 levels");
  CHECK(why(R"({"a":{"a":{"a":{"a":{}}}}})") == "JSON: nested deeper than 4 levels");
  CHECK(why(std::string(10000, '[') + std::string(10000, ']')) ==
        "JSON: nested deeper than 4 levels");
  CHECK(why("[[],[[]],[[[]]]]") == "accepted");
}

TEST_CASE("nothing may follow the value") {
  CHECK(why("{} ") == "accepted");
  for (const char* text : {"{}x", "{}{}", "1 2", "[],"}) {
    CAPTURE(text);
    CHECK(why(text).starts_with("JSON: malformed at byte"));
  }
  CHECK(why(std::string_view("{}\0{}", 5)) == "JSON: malformed at byte 3");
  CHECK(why(std::string_view("{}\0", 3)) == "JSON: malformed at byte 3");
}

TEST_CASE("what is not JSON is refused") {
  for (const char* text :
       {"", " ", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "{a:1}", "'a'", "NaN", "Infinity", "01",
        "1e999", "tru", "// c\n1", "/* c */ 1", "\"a\nb\"", "\"\\x\"", "\"\\ud800\""}) {
    CAPTURE(text);
    CHECK(why(text).starts_with("JSON: malformed at byte"));
  }
}

TEST_CASE("strings are UTF-8") {
  for (const char* text :
       {"\"\xff\"", "\"\xc3\"", "\"\xc0\xaf\"", "\"\xed\xa0\x80\"", "{\"\xf5\x80\x80\x80\":1}"}) {
    CHECK(why(text).starts_with("JSON: malformed at byte"));
  }
}

TEST_CASE("the text is bounded") {
  auto json = parse_strict_json("[1,2]", {.max_bytes = 4, .max_depth = 1});

  REQUIRE_FALSE(json.has_value());
  CHECK(json.error().message == "JSON: 5 bytes, at most 4 are allowed");
  CHECK(parse_strict_json("[1,2]", {.max_bytes = 5, .max_depth = 1}).has_value());
}

TEST_CASE("an error quotes no value") {
  CHECK(why(R"({"a":"s3cr3t" x})").find("s3cr3t") == std::string::npos);
  CHECK(why(R"({"a":"s3cr3t)").find("s3cr3t") == std::string::npos);
}

}  // namespace nodepilot
