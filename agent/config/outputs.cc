#include "agent/config/outputs.h"

#include <algorithm>
#include <array>
#include <csignal>
#include <optional>

#include "agent/base/log.h"
#include "agent/config/publication.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::size_t kMaxOutputs = 100;
constexpr std::size_t kMaxHooks = 16;
constexpr std::size_t kMaxArguments = 64;
constexpr std::size_t kMaxArgumentBytes = 4096;
constexpr std::size_t kMaxNameBytes = 255;
constexpr Duration kLongestTimeout = std::chrono::minutes(10);
constexpr std::uint64_t kMaxTries = 20;
constexpr Duration kLongestDelay = std::chrono::minutes(1);
constexpr std::array kSignals = {SIGHUP, SIGUSR1, SIGUSR2};

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

std::string shown(std::string_view text) { return quote(text.substr(0, 200)); }

bool is_one_of(std::string_view characters, std::string_view text) {
  auto fits = [&](unsigned char c) {
    return std::isalnum(c) != 0 || characters.find(static_cast<char>(c)) != std::string_view::npos;
  };
  return std::all_of(text.begin(), text.end(), fits);
}

expected<OutputProfile> parse_profile(std::string_view text) {
  if (text == "pem") return OutputProfile::kPem;
  if (text == "tls") return OutputProfile::kTls;
  if (text == "bundle") return OutputProfile::kBundle;
  return refuse("must be pem, tls or bundle, got " + shown(text));
}

// No bit beyond those of `most`; the owner at least reads.
expected<mode_t> parse_file_mode(std::string_view text, mode_t most, const char* why) {
  auto mode = TRY(parse_mode(text));
  if ((mode & ~most) == 0 && (mode & 0400) != 0) return mode;
  return refuse(std::string(why) + ", got " + shown(text));
}

expected<mode_t> parse_key_mode(std::string_view text) {
  return parse_file_mode(text, 0640, "must be 0640 or less: a key is for its owner and one group");
}

expected<mode_t> parse_certificate_mode(std::string_view text) {
  return parse_file_mode(text, 0644, "must be 0644 or less: nobody but the agent writes");
}

// A name or a number of the user database.
expected<std::string> parse_account(std::string_view text) {
  // (uid_t)-1 means "no user" to the kernel.
  constexpr std::uint64_t kMaxId = 0xfffffffe;
  bool is_number = !text.empty() && std::all_of(text.begin(), text.end(),
                                                [](char c) { return c >= '0' && c <= '9'; });
  if (is_number) TRY(parse_count(text, 0, kMaxId));
  bool is_name = is_one_of("._-$", text) && !text.starts_with('-');
  if (!text.empty() && text.size() <= kMaxNameBytes && is_name) return std::string(text);
  return refuse("must be a name or a number, got " + shown(text));
}

expected<int> parse_signal(std::string_view text) {
  for (int signal : kSignals) {
    if (text == signal_name(signal)) return signal;
  }
  return refuse("must be SIGHUP, SIGUSR1 or SIGUSR2, got " + shown(text));
}

expected<std::string> parse_unit(std::string_view text) {
  auto dot = text.rfind('.');
  bool is_unit = dot != std::string_view::npos && dot > 0 && text.substr(dot) == ".service";
  if (is_unit && text.size() <= kMaxNameBytes && is_one_of("@:_.\\-", text)) {
    return std::string(text);
  }
  return refuse("must be a unit such as nginx.service, got " + shown(text));
}

expected<std::string> parse_argument(std::string_view text) {
  if (text.find('\0') != std::string_view::npos) return refuse("must not hold a NUL");
  if (text.size() <= kMaxArgumentBytes) return std::string(text);
  return refuse("must be at most " + std::to_string(kMaxArgumentBytes) + " bytes, got " +
                std::to_string(text.size()));
}

SignalHook decode_signal(const YamlValue& value) {
  YamlMapping section(value);
  SignalHook hook;
  if (auto name = section.require("name")) name->read(hook.signal, parse_signal);
  if (auto file = section.require("pid_file")) file->read(hook.pid_file, parse_path);
  section.read("executable", hook.executable, parse_path);
  return hook;
}

ReloadHook decode_reload(const YamlValue& value) {
  ReloadHook hook;
  value.read(hook.unit, parse_unit);
  return hook;
}

ExecHook decode_exec(const YamlValue& list) {
  ExecHook hook;
  for (const YamlValue& item : list.items()) {
    std::string& argument = hook.argv.emplace_back();
    item.read(argument, parse_argument);
    std::filesystem::path program;
    if (hook.argv.size() == 1) item.read(program, parse_path);
  }
  bool is_list = list.node().kind == YamlNode::Kind::kList;
  if (is_list && hook.argv.empty()) list.refuse("must name a program");
  if (hook.argv.size() > kMaxArguments) {
    list.refuse("must hold at most " + std::to_string(kMaxArguments) + " words, got " +
                std::to_string(hook.argv.size()));
  }
  return hook;
}

Hook decode_hook(const YamlValue& value) {
  YamlMapping section(value);
  Hook hook;
  int given = 0;
  auto decode_as = [&](const char* kind, auto decode) {
    auto action = section.find(kind);
    if (!action) return;
    ++given;
    hook.action = decode(*action);
  };
  decode_as("signal", decode_signal);
  decode_as("systemd_reload", decode_reload);
  decode_as("exec", decode_exec);
  if (given != 1) {
    value.refuse("must have one of signal, systemd_reload and exec, got " + std::to_string(given));
  }
  auto parse_timeout = [](std::string_view text) {
    return parse_duration(text, std::chrono::milliseconds(100), kLongestTimeout);
  };
  auto parse_tries = [](std::string_view text) { return parse_count(text, 1, kMaxTries); };
  auto parse_delay = [](std::string_view text) {
    return parse_duration(text, std::chrono::milliseconds(100), kLongestDelay);
  };
  section.read("timeout", hook.timeout, parse_timeout);
  YamlMapping retry = section.mapping("retry");
  std::uint64_t tries = static_cast<std::uint64_t>(hook.tries);
  retry.read("tries", tries, parse_tries, Quotes::kNever);
  hook.tries = static_cast<int>(tries);
  retry.read("delay", hook.delay, parse_delay);
  return hook;
}

std::vector<Hook> decode_hooks(const YamlValue& list) {
  std::vector<Hook> hooks;
  for (const YamlValue& item : list.items()) hooks.push_back(decode_hook(item));
  if (hooks.size() > kMaxHooks) {
    list.refuse("must hold at most " + std::to_string(kMaxHooks) + " hooks, got " +
                std::to_string(hooks.size()));
  }
  return hooks;
}

// By its path, its ID or its entry's id ("...#2"); the bundle endpoint's own is not for files.
expected<const Entry*> find_entry(std::string_view text, const std::vector<Entry>& entries) {
  for (const Entry& entry : entries) {
    bool is_named = text == entry.id || (text.starts_with('/') && text == entry.spiffe_id.path());
    if (is_named && !entry.id_template && entry.match != endpoint_selectors()) return &entry;
  }
  return refuse("must be one of identities with a fixed id, by its path or ID, got " + shown(text));
}

std::optional<Output> decode_output(const YamlValue& value, const std::vector<Entry>& entries,
                                    const CheckDirectory& check) {
  YamlMapping section(value);
  Output output;
  const Entry* entry = nullptr;
  if (auto identity = section.require("identity")) {
    identity->read(entry, [&](std::string_view text) { return find_entry(text, entries); });
  }
  if (auto directory = section.require("directory")) {
    directory->read(output.directory,
                    [&](std::string_view text) -> expected<std::filesystem::path> {
                      auto path = TRY(parse_path(text));
                      TRY(check(path));
                      return path;
                    });
  }
  if (auto profile = section.require("profile")) profile->read(output.profile, parse_profile);
  section.read("owner", output.owner.user, parse_account);
  section.read("group", output.owner.group, parse_account);
  section.read("key_mode", output.key_mode, parse_key_mode, Quotes::kAlways);
  section.read("mode", output.mode, parse_certificate_mode, Quotes::kAlways);
  section.read("federated", output.federated, parse_switch, Quotes::kNever);
  if (auto list = section.find("hooks")) output.hooks = decode_hooks(*list);
  if (entry == nullptr || output.directory.empty()) return std::nullopt;
  if (output.federated && entry->federates_with.empty()) {
    section.refuse("federated", entry->id + " federates with no trust domain (federates_with)");
  }
  output.entry_id = entry->id;
  return output;
}

}  // namespace

std::vector<Output> decode_outputs(const YamlValue& list, const std::vector<Entry>& entries,
                                   const CheckDirectory& check) {
  std::vector<Output> outputs;
  CheckDirectory check_apart = [&](const std::filesystem::path& path) -> expected<void> {
    for (const Output& other : outputs) {
      if (overlap(path, other.directory)) {
        return refuse("must be for this output alone, but " + other.directory.string() +
                      " is another's");
      }
    }
    return check(path);
  };
  for (const YamlValue& item : list.items()) {
    auto output = decode_output(item, entries, check_apart);
    if (output) outputs.push_back(*std::move(output));
  }
  if (outputs.size() > kMaxOutputs) {
    list.refuse("must hold at most " + std::to_string(kMaxOutputs) + " outputs, got " +
                std::to_string(outputs.size()));
  }
  return outputs;
}

bool overlap(const std::filesystem::path& a, const std::filesystem::path& b) {
  auto [rest_of_a, rest_of_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return rest_of_a == a.end() || rest_of_b == b.end();
}

}  // namespace nodepilot
