// Structured log lines on stderr: an event and key/value fields, as logfmt or JSON.
// Values are escaped, so no caller can forge a line or a field; never pass a key, token or PEM.
// Thread: any.
#pragma once

#include <concepts>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/result.h"

namespace nodepilot {

// `text` in double quotes, JSON-escaped: control characters and bytes that are not UTF-8 can
// neither end the line nor the value.
std::string quote(std::string_view text);

namespace log {

enum class Level { kDebug, kInfo, kWarn, kError, kOff };
enum class Format { kLogfmt, kJson };

expected<Level> parse_level(std::string_view text);
expected<Format> parse_format(std::string_view text);

// Called once at start, before other threads; until then lines of level info go out as logfmt.
// With `journal`, each line starts with the <N> priority that journald understands.
void configure(Level level, Format format, bool journal);

struct Field {
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const std::string& v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, bool v) : key(k), value(v ? "true" : "false"), bare(true) {}
  Field(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)), bare(true) {}

  std::string_view key;
  std::string value;
  bool bare = false;  // a number or boolean: not quoted in JSON
};
using Fields = std::initializer_list<Field>;

void debug(std::string_view event, Fields fields = {});
void info(std::string_view event, Fields fields = {});
void warn(std::string_view event, Fields fields = {});
void error(std::string_view event, Fields fields = {});

// One line without its time; in JSON the opening brace comes with the time. Exposed for tests.
std::string render(Format format, Level level, std::string_view event,
                   const std::vector<Field>& fields);

}  // namespace log
}  // namespace nodepilot
