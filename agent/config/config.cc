#include "agent/config/config.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/files.h"
#include "agent/config/attestors.h"
#include "agent/config/entry.h"
#include "agent/config/federation.h"
#include "agent/config/limits.h"
#include "agent/config/mesh.h"
#include "agent/config/outputs.h"
#include "agent/config/sds.h"
#include "agent/config/text.h"
#include "agent/config/yaml_decoder.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

// sun_path holds 108 bytes with its NUL; the listener binds PATH.new and renames it.
constexpr std::size_t kMaxSocketPathBytes = 103;
// An SVID that is renewed later than this may end before a slow CA has answered.
constexpr double kLatestRotation = 0.95;
// An upstream CA serves many nodes; this is a thousand identities of one in twenty seconds.
constexpr std::size_t kRemoteRate = 50;
constexpr Duration kNow{0};
constexpr Duration kLongestGrace = std::chrono::hours(24);
constexpr Duration kMinLife = std::chrono::seconds(1);
constexpr Duration kMaxLife = std::chrono::hours(24) * 365;

tl::unexpected<Error> refuse(const std::string& why) { return fail(Code::kInvalidArgument, why); }

expected<fs::path> parse_socket_path(std::string_view text) {
  auto path = TRY(parse_path(text));
  if (text.size() <= kMaxSocketPathBytes) return path;
  return refuse(fmt::format("must be at most {} bytes, got {}", kMaxSocketPathBytes, text.size()));
}

expected<mode_t> parse_admin_mode(std::string_view text) {
  auto mode = TRY(parse_mode(text));
  if ((mode & 0007) == 0) return mode;
  return refuse("must end in 0: others may not use the admin socket, got " + quote(text));
}

template <class Parse>
void decode_socket(YamlMapping& section, Config::Socket& socket, Parse parse_its_mode) {
  section.read("path", socket.path, parse_socket_path);
  section.read("mode", socket.mode, parse_its_mode, Quotes::kAlways);
}

void decode_life(YamlMapping& section, LifeLimits& life) {
  auto parse_life = [](std::string_view text) { return parse_duration(text, kMinLife, kMaxLife); };
  section.read("shortest_life", life.shortest, parse_life);
  section.read("longest_life", life.longest, parse_life);
  if (life.shortest < life.longest) return;
  section.refuse("longest_life", fmt::format("{} must be longer than shortest_life, {}",
                                             to_text(life.longest), to_text(life.shortest)));
}

void decode_rotation(YamlMapping section, Rotator::Options& rotation) {
  decode_life(section, rotation.life);
  auto parse_at = [](std::string_view text) { return parse_fraction(text, 0.1, 0.9); };
  auto parse_jitter = [](std::string_view text) { return parse_fraction(text, 0, 0.5); };
  auto parse_in_flight = [](std::string_view text) { return parse_count(text, 1, 1000); };
  auto parse_rate = [](std::string_view text) { return parse_count(text, 1, 10'000); };
  auto parse_grace = [](std::string_view text) {
    return parse_duration(text, kNow, kLongestGrace);
  };
  RotationPolicy& policy = rotation.policy;
  section.read("at", policy.at, parse_at, Quotes::kNever);
  section.read("max_in_flight", rotation.max_in_flight, parse_in_flight, Quotes::kNever);
  section.read("max_rate", rotation.max_rate, parse_rate, Quotes::kNever);
  section.read("grace", rotation.grace, parse_grace);
  section.read("jitter", policy.jitter, parse_jitter, Quotes::kNever);
  double latest = policy.at * (1 + policy.jitter);
  if (latest <= kLatestRotation) return;
  section.refuse("jitter", fmt::format("with at {} it may be as late as {:.2f} of the life before "
                                       "renewal; at * (1 + jitter) must be at most {}",
                                       policy.at, latest, kLatestRotation));
}

void decode_log(YamlMapping section, Config& config) {
  section.read("level", config.log_level, log::parse_level);
  section.read("format", config.log_format, log::parse_format);
}

bool is_within(const fs::path& path, const fs::path& directory) {
  auto [end, rest] = std::mismatch(directory.begin(), directory.end(), path.begin(), path.end());
  return end == directory.end();
}

// Whoever may enter the public directory must not find the admin socket or the CA's key there;
// it is also what gets mounted into containers.
expected<void> check_apart(const fs::path& path, const Config& config) {
  fs::path shared = config.listen.path.parent_path();
  if (!is_within(path, shared)) return {};
  return refuse(fmt::format("{} must not lie in {}, the directory of the public socket",
                            path.string(), shared.string()));
}

template <class Profile>
const Profile* publication_as(const Config& config) {
  return config.publication ? std::get_if<Profile>(&config.publication->profile) : nullptr;
}

// Whoever gets hold of a copy of the state must not have its key, too.
bool keeps_key_beside_state(const Config& config) {
  return config.state && config.state->key_file &&
         is_within(*config.state->key_file, config.state_dir);
}

// The key of ours that lies within reach of a grant of `directory`; null if there is none.
const char* key_within(const fs::path& directory, const Config& config) {
  for (const OwnFile& file : own_files(config.ca)) {
    if (is_within(file.path, directory)) return file.key;
  }
  if (config.state && config.state->key_file && is_within(*config.state->key_file, directory)) {
    return "state.sealed.key_file";
  }
  const auto* files = publication_as<CertificateFiles>(config);
  if (files && is_within(files->key_file, directory)) return "bundle_endpoint.key_file";
  for (const Output& output : config.outputs) {
    if (overlap(output.directory, directory)) return "the directory of an output";
  }
  bool meets_state =
      is_within(config.state_dir, directory) || is_within(directory, config.state_dir);
  return meets_state ? "state_dir" : nullptr;
}

// No grant of files may reach our own keys.
expected<void> check_grants(const Config& config) {
  for (const Entry& entry : config.entries) {
    for (const fs::path& granted : entry.files) {
      if (const char* key = key_within(granted, config)) {
        return refuse(
            fmt::format("files of {} must not reach {}: {}", entry.id, key, granted.string()));
      }
    }
  }
  return {};
}

// Who reads one identity's files must not thereby come near another's, or near our own.
expected<void> check_output(const fs::path& path, const Config& config) {
  for (const fs::path& ours :
       {config.state_dir, config.listen.path.parent_path(), config.admin.path.parent_path()}) {
    if (overlap(path, ours)) {
      return refuse(fmt::format("{} must not meet {}, a directory of the agent's own",
                                path.string(), ours.string()));
    }
  }
  return {};
}

Config decode(const YamlValue& root) {
  YamlMapping top(root);
  std::optional<TrustDomain> trust_domain;
  if (auto name = top.require("trust_domain")) name->read(trust_domain, TrustDomain::parse);
  Config config{.trust_domain = trust_domain.value_or(*TrustDomain::parse("unknown"))};
  YamlMapping listen = top.mapping("listen");
  decode_socket(listen, config.listen, parse_mode);
  YamlMapping admin = top.mapping("admin");
  decode_socket(admin, config.admin, parse_admin_mode);
  top.read("state_dir", config.state_dir, parse_path);
  if (auto apart = check_apart(config.admin.path, config); !apart) {
    admin.refuse("path", apart.error().message);
  }
  if (auto apart = check_apart(config.state_dir, config); !apart) {
    top.refuse("state_dir", apart.error().message);
  }
  if (auto value = top.find("state")) {
    decode_state(*value, config.state);
    if (keeps_key_beside_state(config)) value->refuse("key_file must not lie in state_dir");
  }
  auto default_ttl = decode_ca(top.mapping("ca"), config.ca);
  config.attestors = decode_attestors(top.mapping("attestors"));
  if (auto list = top.find("federation")) {
    config.federations = decode_federations(*list, trust_domain);
  }
  if (auto section = top.find("bundle_endpoint")) {
    config.publication = decode_bundle_endpoint(*section, trust_domain);
  }
  if (auto section = top.find("telemetry")) config.telemetry = decode_telemetry(*section);
  if (auto list = top.require("identities")) {
    std::vector<TrustDomain> federated;
    for (const Federation& federation : config.federations) {
      federated.push_back(federation.trust_domain);
    }
    config.entries = decode_entries(*list, trust_domain, federated, default_ttl);
    if (const auto* id = publication_as<SpiffeId>(config)) {
      config.entries.push_back(endpoint_entry(*id, default_ttl));
    }
    number_entries(config.entries);
    if (auto outputs = top.find("outputs")) {
      config.outputs = decode_outputs(*outputs, config.entries, [&](const fs::path& path) {
        return check_output(path, config);
      });
    }
    if (auto section = top.find("mesh")) {
      config.mesh = decode_mesh(*section, config.trust_domain, config.entries);
    }
    if (auto apart = check_grants(config); !apart) list->refuse(apart.error().message);
    for (const std::string& why : objections(config.ca, config.entries)) list->refuse(why);
    for (const std::string& why : unattested(config.entries, config.attestors)) list->refuse(why);
  }
  if (!std::holds_alternative<LocalCaConfig>(config.ca)) config.rotation.max_rate = kRemoteRate;
  decode_rotation(top.mapping("rotation"), config.rotation);
  decode_sds(top.mapping("sds"), config.sds);
  decode_limits(top.mapping("limits"), config.limits);
  decode_log(top.mapping("log"), config);
  return config;
}

tl::unexpected<ConfigErrors> unreadable(const fs::path& file, std::string why) {
  return tl::unexpected(ConfigErrors{{.file = file.string(), .message = std::move(why)}});
}

}  // namespace

tl::expected<Config, ConfigErrors> parse_config(std::string_view yaml, const std::string& file) {
  Mistakes mistakes;
  if (auto tree = parse_yaml(yaml, mistakes)) {
    Config config = decode(YamlValue(*tree, "", mistakes));
    if (mistakes.empty()) return config;
  }
  return tl::unexpected(to_errors(std::move(mistakes), file));
}

tl::expected<Config, ConfigErrors> load_config(const fs::path& file) {
  // Resolved first: a Kubernetes ConfigMap shows its files as symbolic links.
  std::error_code error;
  fs::path real = fs::canonical(file, error);
  if (error) return unreadable(file, error.message());
  auto text = read_file(real, kMaxYamlBytes);
  if (!text) return unreadable(file, text.error().message);
  return parse_config(*text, file.string());
}

Config dev_config(const fs::path& dir, uid_t uid) {
  Config config{.trust_domain = *TrustDomain::parse("dev.local")};
  config.listen.path = dir / "public/api.sock";
  config.admin.path = dir / "admin/admin.sock";
  config.state_dir = dir / "state";
  std::string number = std::to_string(uid);
  config.entries.push_back(
      Entry{.id = "",
            .spiffe_id = *SpiffeId::make(config.trust_domain, "/uid/" + number),
            .match = {Selector{"unix", "uid:" + number}},
            .ttl = std::chrono::hours(1),
            .dns_names = {},
            .hint = ""});
  number_entries(config.entries);
  return config;
}

}  // namespace nodepilot
