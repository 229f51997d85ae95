#include "agent/base/log.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

using namespace nodepilot;
using log::Format;
using log::Level;

namespace {

std::string logfmt(const std::string& event, const std::vector<log::Field>& fields = {}) {
  return log::render(Format::kLogfmt, Level::kInfo, event, fields);
}

nlohmann::json json(const std::string& event, const std::vector<log::Field>& fields = {}) {
  return nlohmann::json::parse("{" + log::render(Format::kJson, Level::kInfo, event, fields));
}

bool is_printable_ascii(const std::string& line) {
  return std::all_of(line.begin(), line.end(),
                     [](unsigned char c) { return c >= ' ' && c < 0x7f; });
}

// What a caller might put into a value to forge a field, a line, or a terminal's screen.
const std::vector<std::string> kHostile = {
    "x level=error",
    "x\nlevel=error msg=\"all is lost\"",
    "x\r\n",
    "x\" admin=\"true",
    "x\",\"admin\":\"true",
    "x\\",
    "x\\\" admin=true",
    "=",
    "a=b",
    "",
    " ",
    std::string("x\0y", 3),
    "x\x1b[2J",
    "x\x7f",
    "x\u0085y",
    "x\u009b2J",
    "x\u2028y",
};

}  // namespace

TEST_CASE("a logfmt line has the level, the event and the fields in order") {
  CHECK(logfmt("renewed", {{"id", "spiffe://td/web"}, {"serial", 7}, {"ok", true}}) ==
        "level=info msg=renewed id=spiffe://td/web serial=7 ok=true");
  CHECK(logfmt("the clock was set") == "level=info msg=\"the clock was set\"");
}

TEST_CASE("a JSON line has the level, the event and typed fields") {
  auto line = json("renewed", {{"id", "spiffe://td/web"}, {"serial", -7}, {"ok", false}});

  CHECK(line["level"] == "info");
  CHECK(line["msg"] == "renewed");
  CHECK(line["id"] == "spiffe://td/web");
  CHECK(line["serial"] == -7);
  CHECK(line["ok"] == false);
  CHECK(line.size() == 5);
}

TEST_CASE("no value can forge a field or a line in logfmt") {
  for (const std::string& value : kHostile) {
    CAPTURE(value);

    std::string line = logfmt("event", {{"value", value}, {"last", "1"}});

    CHECK(is_printable_ascii(line));
    // Quoted as JSON is, so the text between reads back as exactly the value.
    std::string head = "level=info msg=event value=";
    std::string tail = " last=1";
    REQUIRE(line.starts_with(head));
    REQUIRE(line.ends_with(tail));
    std::string quoted = line.substr(head.size(), line.size() - head.size() - tail.size());
    CHECK(nlohmann::json::parse(quoted) == value);
  }
}

TEST_CASE("no value can forge a field or a line in JSON") {
  for (const std::string& value : kHostile) {
    CAPTURE(value);

    std::string line = log::render(Format::kJson, Level::kInfo, "event", {{"value", value}});
    auto parsed = nlohmann::json::parse("{" + line);

    CHECK(is_printable_ascii(line));
    CHECK(parsed["value"] == value);
    CHECK(parsed.size() == 3);
  }
}

TEST_CASE("an event cannot forge a field or a line either") {
  for (const std::string& event : kHostile) {
    CAPTURE(event);
    CHECK(is_printable_ascii(logfmt(event)));
    CHECK(nlohmann::json::parse(logfmt(event).substr(std::string("level=info msg=").size())) ==
          event);
    CHECK(json(event)["msg"] == event);
    CHECK(json(event).size() == 2);
  }
}

TEST_CASE("bytes that are not UTF-8 are replaced, and the line can still be read") {
  for (const char* value : {"x\xff", "\xc3", "\xed\xa0\x80", "a\xc0\xaf/", "\x80\n"}) {
    CAPTURE(value);
    CHECK(is_printable_ascii(logfmt("event", {{"value", value}})));
    auto line = json("event", {{"value", value}});
    CHECK(line.size() == 3);
    CHECK(line["value"].get<std::string>().find("\ufffd") != std::string::npos);
  }
}

TEST_CASE("a number is bare, a text that looks like one is not") {
  CHECK(json("e", {{"n", 5}})["n"].is_number());
  CHECK(json("e", {{"n", "5"}})["n"].is_string());
  CHECK(json("e", {{"n", UINT64_MAX}})["n"] == UINT64_MAX);
  CHECK(json("e", {{"n", "true"}})["n"].is_string());
}

TEST_CASE("quote makes one JSON string of any text") {
  CHECK(quote("plain") == "\"plain\"");
  CHECK(quote("a\"b\\c\n") == "\"a\\\"b\\\\c\\n\"");
  CHECK(quote("b\u00fccher") == "\"b\\u00fccher\"");
}

TEST_CASE("levels and formats are parsed by name, and an error lists the choices") {
  CHECK(log::parse_level("debug") == Level::kDebug);
  CHECK(log::parse_level("off") == Level::kOff);
  CHECK(log::parse_format("json") == Format::kJson);
  CHECK(log::parse_format("logfmt") == Format::kLogfmt);

  CHECK(log::parse_level("INFO").error().message ==
        "log level \"INFO\": must be debug, info, warn, error or off");
  CHECK(log::parse_format("xml").error().message == "log format \"xml\": must be logfmt or json");
}
