#include "agent/base/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

namespace nodepilot {

std::string quote(std::string_view text) {
  // In ASCII, because Unicode has line ends and terminal controls of its own (U+0085, U+009B).
  // `replace`: bytes that are no UTF-8 become U+FFFD instead of an exception.
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

namespace log {
namespace {

struct State {
  Format format = Format::kLogfmt;
  bool journal = false;
  std::shared_ptr<spdlog::logger> logger = spdlog::stderr_logger_mt("nodepilot");
};

// syslog's numbers, which journald reads from <N> at the start of a line.
constexpr std::array kPriorities = {"<7>", "<6>", "<4>", "<3>", ""};

// The one process-wide object: a log line must be possible from anywhere. Constant after
// configure().
State& state() {
  static State instance = [] {
    State fresh;
    fresh.logger->set_pattern("%v");
    return fresh;
  }();
  return instance;
}

constexpr std::array kLevelNames = {"debug", "info", "warn", "error", "off"};
constexpr std::array kLevels = {spdlog::level::debug, spdlog::level::info, spdlog::level::warn,
                                spdlog::level::err, spdlog::level::off};

bool is_plain(std::string_view value) {
  auto plain = [](unsigned char c) {
    return std::isalnum(c) != 0 ||
           std::string_view("._-/:@+,").find(static_cast<char>(c)) != std::string_view::npos;
  };
  return !value.empty() && std::all_of(value.begin(), value.end(), plain);
}

void write(Level level, std::string_view event, Fields fields) {
  auto index = static_cast<std::size_t>(level);
  if (!state().logger->should_log(kLevels.at(index))) return;
  std::string line = render(state().format, level, event, fields);
  if (state().journal) {
    line = kPriorities.at(index) + std::string(state().format == Format::kJson ? "{" : "") + line;
  }
  state().logger->log(kLevels.at(index), "{}", line);
}

}  // namespace

expected<Level> parse_level(std::string_view text) {
  for (std::size_t i = 0; i < kLevelNames.size(); ++i) {
    if (text == kLevelNames.at(i)) return static_cast<Level>(i);
  }
  return fail(Code::kInvalidArgument,
              "log level " + quote(text) + ": must be debug, info, warn, error or off");
}

expected<Format> parse_format(std::string_view text) {
  if (text == "logfmt") return Format::kLogfmt;
  if (text == "json") return Format::kJson;
  return fail(Code::kInvalidArgument, "log format " + quote(text) + ": must be logfmt or json");
}

void configure(Level level, Format format, bool journal) {
  state().format = format;
  state().journal = journal;
  state().logger->set_level(kLevels.at(static_cast<std::size_t>(level)));
  // journald stamps the time itself.
  if (journal) {
    state().logger->set_pattern("%v");
  } else if (format == Format::kLogfmt) {
    state().logger->set_pattern("time=%Y-%m-%dT%H:%M:%S.%eZ %v", spdlog::pattern_time_type::utc);
  } else {
    state().logger->set_pattern("{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%v",
                                spdlog::pattern_time_type::utc);
  }
}

std::string render(Format format, Level level, std::string_view event,
                   const std::vector<Field>& fields) {
  const char* level_name = kLevelNames.at(static_cast<std::size_t>(level));
  std::string line;
  if (format == Format::kJson) {
    line = "\"level\":" + quote(level_name) + ",\"msg\":" + quote(event);
    for (const Field& f : fields) {
      line += "," + quote(f.key) + ":" + (f.bare ? f.value : quote(f.value));
    }
    return line + "}";
  }
  line = "level=" + std::string(level_name) +
         " msg=" + (is_plain(event) ? std::string(event) : quote(event));
  for (const Field& f : fields) {
    line += " " + std::string(f.key) + "=" + (is_plain(f.value) ? f.value : quote(f.value));
  }
  return line;
}

void debug(std::string_view event, Fields fields) { write(Level::kDebug, event, fields); }
void info(std::string_view event, Fields fields) { write(Level::kInfo, event, fields); }
void warn(std::string_view event, Fields fields) { write(Level::kWarn, event, fields); }
void error(std::string_view event, Fields fields) { write(Level::kError, event, fields); }

}  // namespace log
}  // namespace nodepilot
