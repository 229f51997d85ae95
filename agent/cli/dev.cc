#include "agent/cli/dev.h"

#include <unistd.h>

#include <cstdlib>

#include "agent/base/files.h"
#include "agent/config/entry.h"
#include "agent/config/known_selectors.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

bool is_root() { return ::geteuid() == 0; }

// The runtime directory of a login is closed to others, so root, who may serve them, uses /tmp.
fs::path dev_directory(const RunOptions& options) {
  std::error_code error;
  if (options.dev_dir) return fs::absolute(*options.dev_dir, error).lexically_normal();
  const char* runtime = ::getenv("XDG_RUNTIME_DIR");
  if (!is_root() && runtime != nullptr && *runtime == '/' && fs::is_directory(runtime, error)) {
    return fs::path(runtime) / "nodepilot-dev";
  }
  return "/tmp/nodepilot-dev-" + std::to_string(::geteuid());
}

// "/web=unix:uid:1000,unix:path:/usr/bin/envoy"
expected<Entry> parse_rule(const std::string& rule, const Config& config) {
  std::size_t equals = rule.find('=');
  if (equals == std::string::npos) {
    return fail(Code::kInvalidArgument,
                "must be ID=SELECTOR[,SELECTOR], such as /web=unix:uid:1000");
  }
  auto id = TRY(parse_identity_id(std::string_view(rule).substr(0, equals), config.trust_domain));
  Entry entry{.id = "", .spiffe_id = std::move(id), .match = {}, .dns_names = {}, .hint = ""};
  std::string_view rest = std::string_view(rule).substr(equals + 1);
  while (true) {
    std::string_view selector = rest.substr(0, rest.find(','));
    entry.match.insert(TRY(parse_known_selector(selector)));
    if (selector.size() == rest.size()) break;
    rest.remove_prefix(selector.size() + 1);
  }
  if (auto why = contradiction(entry.match)) return fail(Code::kInvalidArgument, *why);
  return entry;
}

}  // namespace

expected<Config> dev_config_of(const RunOptions& options) {
  Config config = dev_config(dev_directory(options), ::geteuid());
  if (!options.identities.empty()) config.entries.clear();
  for (const std::string& rule : options.identities) {
    auto entry = parse_rule(rule, config);
    if (!entry) return fail_with("--identity " + quote(rule), entry.error());
    config.entries.push_back(*std::move(entry));
  }
  number_entries(config.entries);
  for (Entry& entry : config.entries) entry.ttl = options.ttl.value_or(entry.ttl);
  return config;
}

expected<void> make_dev_directories(const Config& config, const RunOptions& options) {
  bool for_others = is_root() || options.dev_dir;
  TRY(ensure_directory(config.state_dir.parent_path(), for_others ? 0755 : 0700));
  TRY(ensure_directory(config.listen.path.parent_path(), 0755));
  TRY(ensure_directory(config.admin.path.parent_path(), 0750));
  TRY(ensure_directory(config.state_dir, 0700));
  return {};
}

}  // namespace nodepilot
