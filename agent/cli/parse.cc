// The only file that sees CLI11: its headers take long to compile, and its exit codes and messages
// are not ours.
#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdio>
#include <cstdlib>

#include "agent/cli/command_line.h"
#include "agent/cli/commands.h"
#include "agent/config/entry.h"
#include "agent/config/known_selectors.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr const char* kDefaultConfig = "/etc/nodepilot/agent.yaml";
constexpr const char* kDefaultAdminSocket = "/run/nodepilot/admin/admin.sock";
constexpr Duration kMaxWait = std::chrono::minutes(10);

// An option whose text is read by `parse`, an expected<T>.
template <class T, class Parse>
CLI::Option* add_parsed(CLI::App& app, const std::string& names, T& target, Parse parse,
                        const std::string& help) {
  std::string name = names.substr(names.rfind(',') + 1);
  auto set = [name, &target, parse](const std::string& text) {
    auto value = parse(text);
    if (!value) throw CLI::ValidationError(name, value.error().message);
    target = *std::move(value);
  };
  return app.add_option_function<std::string>(names, set, help);
}

template <class T>
void add_choice(CLI::App& app, T& target, const std::vector<std::pair<std::string, T>>& choices) {
  std::string list;
  for (const auto& [name, value] : choices) list += (list.empty() ? "" : "|") + name;
  auto set = [list, choices, &target](const std::string& text) {
    for (const auto& [name, value] : choices) {
      if (name != text) continue;
      target = value;
      return;
    }
    throw CLI::ValidationError("--output", "must be " + list + ", got " + quote(text));
  };
  app.add_option_function<std::string>("-o,--output", set, "how to print (default: the first)")
      ->type_name(list);
}

expected<std::filesystem::path> as_path(const std::string& text) {
  if (text.empty()) return fail(Code::kInvalidArgument, "must not be empty");
  return std::filesystem::path(text);
}

expected<EndpointAddress> as_admin_address(const std::string& text) {
  auto address = TRY(EndpointAddress::parse_uri_or_path(text));
  if (!address.unix_path.empty()) return address;
  return fail(Code::kInvalidArgument, "must be a Unix socket, got " + quote(text));
}

void add_config(CLI::App& app, std::filesystem::path& config) {
  config = kDefaultConfig;
  add_parsed(app, "-c,--config", config, as_path, "configuration file")
      ->type_name("FILE")
      ->default_str(kDefaultConfig);
}

void add_admin_socket(CLI::App& app, EndpointAddress& admin) {
  admin = EndpointAddress::of_path(kDefaultAdminSocket);
  add_parsed(app, "--admin-socket", admin, as_admin_address, "the agent's admin socket")
      ->type_name("PATH")
      ->default_str(kDefaultAdminSocket)
      ->envname("NODEPILOT_ADMIN_SOCKET");
}

CLI::App& add_command(CLI::App& parent, const std::string& name, const std::string& description,
                      const std::string& examples, const std::string& exit_codes) {
  CLI::App* app = parent.add_subcommand(name, description);
  app->footer("Examples:\n" + examples + "\nExit codes: " + exit_codes);
  app->allow_extras();  // to answer them with a suggestion
  return *app;
}

// All that can be given, one command's worth of which will be.
struct Options {
  RunOptions run;
  ValidateOptions validate;
  StatusOptions status;
  HealthOptions health;
  DescribeOptions describe;
  ExplainOptions explain;
  RotateOptions rotate;
  FetchX509Options fetch;
  BundleShowOptions bundle_show;
  BundleDiffOptions bundle_diff;
  RulesTestOptions rules_test;
  RulesImportOptions rules_import;
  EnvoyBootstrapOptions envoy_bootstrap;
  MeshExplainOptions mesh_explain;
  MeshStatusOptions mesh_status;
};

CLI::App& add_run(CLI::App& app, RunOptions& options) {
  CLI::App& run = add_command(
      app, "run", "Serve identities until SIGTERM or SIGINT",
      "  nodepilot run -c /etc/nodepilot/agent.yaml\n"
      "  nodepilot run --dev --ttl 30s\n"
      "  nodepilot run --dev --identity /web=unix:uid:1000 --identity /db=unix:uid:1001",
      "0 stopped by a signal, 1 cannot start, 2 usage, 78 configuration invalid");
  add_config(run, options.config);
  auto* dev =
      run.add_flag("--dev", options.dev, "no configuration: embedded CA, an identity for your uid");
  dev->excludes(run.get_option("--config"));
  add_parsed(run, "--dev-dir", options.dev_dir, as_path, "with --dev: where sockets and state live")
      ->type_name("DIR")
      ->needs(dev);
  add_parsed(run, "--ttl", options.ttl, parse_ttl, "with --dev: life of certificates (1h)")
      ->type_name("DURATION")
      ->needs(dev);
  run.add_option("--identity", options.identities,
                 "with --dev: ID=SELECTOR[,SELECTOR] instead of your uid's; may be repeated")
      ->type_name("RULE")
      ->allow_extra_args(false)
      ->needs(dev);
  run.add_flag("--take-over", options.take_over,
               "follow a live agent on the same sockets: take them over when ready, and have it "
               "serve who is connected until it is stopped");
  add_parsed(run, "--log-level", options.log_level, log::parse_level,
             "debug, info, warn, error or off; overrides the configuration")
      ->type_name("LEVEL");
  add_parsed(run, "--log-format", options.log_format, log::parse_format,
             "logfmt or json; overrides the configuration")
      ->type_name("FORMAT");
  return run;
}

CLI::App& add_validate(CLI::App& app, ValidateOptions& options) {
  CLI::App& validate = add_command(app, "validate", "Check a configuration file",
                                   "  nodepilot validate -c agent.yaml",
                                   "0 valid, 2 usage, 78 invalid; every mistake is on stderr");
  add_config(validate, options.config);
  return validate;
}

CLI::App& add_status(CLI::App& app, StatusOptions& options) {
  CLI::App& status =
      add_command(app, "status", "Show who holds what, until when; the worst first",
                  "  nodepilot status\n  nodepilot status -o json | jq '.identities[].not_after'",
                  "0 ok, 1 failed, 2 usage, 3 agent unreachable, 6 timed out");
  add_admin_socket(status, options.admin);
  add_choice<bool>(status, options.json, {{"table", false}, {"json", true}});
  return status;
}

CLI::App& add_describe(CLI::App& app, DescribeOptions& options) {
  CLI::App& describe = add_command(
      app, "describe", "Show all about one identity: chain, rule, and who subscribes to it",
      "  nodepilot describe spiffe://example.org/web",
      "0 ok, 1 failed or no such identity, 2 usage, 3 agent unreachable, 6 timed out");
  describe.add_option("id", options.id, "a SPIFFE ID")->type_name("ID");
  add_admin_socket(describe, options.admin);
  add_choice<bool>(describe, options.json, {{"text", false}, {"json", true}});
  return describe;
}

expected<int> as_pid(const std::string& text) {
  int pid = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
  if (error == std::errc() && end == text.data() + text.size() && pid > 0) return pid;
  return fail(Code::kInvalidArgument, "must be a pid, got " + quote(text));
}

CLI::App& add_explain(CLI::App& app, ExplainOptions& options) {
  CLI::App& explain = add_command(
      app, "explain", "Tell why a process gets an identity or none",
      "  nodepilot explain --pid 4711\n  nodepilot explain 7f3a91",
      "0 it would get an identity, 1 failed or not known, 2 usage, 3 agent unreachable, "
      "4 it would get none, 6 timed out");
  explain.add_option("ref", options.ref, "the reference in the message that a caller was given")
      ->type_name("REF");
  add_parsed(explain, "--pid", options.pid, as_pid, "a process, attested now")
      ->type_name("PID")
      ->excludes("ref");
  add_admin_socket(explain, options.admin);
  add_choice<bool>(explain, options.json, {{"text", false}, {"json", true}});
  return explain;
}

CLI::App& add_health(CLI::App& app, HealthOptions& options) {
  CLI::App& health =
      add_command(app, "health", "Tell whether new callers are served, for probes",
                  "  nodepilot health || nodepilot status",
                  "0 ready, 1 failed, 2 usage, 3 agent unreachable, 5 alive, but not "
                  "ready, 6 timed out");
  add_admin_socket(health, options.admin);
  return health;
}

CLI::App& add_rotate(CLI::App& app, RotateOptions& options) {
  CLI::App& rotate = add_command(
      app, "rotate", "Issue certificates anew, now",
      "  nodepilot rotate spiffe://example.org/web\n  nodepilot rotate --all --wait 10s",
      "0 ok, 1 an issue failed, 2 usage, 3 agent unreachable, 6 streams have not taken it in time");
  rotate.add_option("id", options.ids, "SPIFFE IDs")->type_name("ID");
  rotate.add_flag("--all", options.all, "every identity that is in use")->excludes("id");
  auto parse_wait = [](const std::string& text) {
    return parse_duration(text, Duration(0), kMaxWait);
  };
  add_parsed(rotate, "--wait", options.wait, parse_wait,
             "how long to wait until every stream took the new certificate (0s)")
      ->type_name("DURATION");
  add_admin_socket(rotate, options.admin);
  add_choice<bool>(rotate, options.json, {{"text", false}, {"json", true}});
  return rotate;
}

CLI::App& add_fetch_x509(CLI::App& fetch, FetchX509Options& options) {
  CLI::App& x509 = add_command(
      fetch, "x509", "Fetch and verify X.509-SVIDs",
      "  nodepilot fetch x509\n"
      "  nodepilot fetch x509 --socket unix:///run/spire/agent.sock --write /tmp/svid",
      "0 ok, 1 failed or not valid, 2 usage, 3 endpoint unreachable, 4 no identity, 6 timed out");
  add_parsed(
      x509, "--socket", options.endpoint, EndpointAddress::parse_uri_or_path,
      "the Workload API: unix:///PATH, tcp://IP:PORT or a path (else SPIFFE_ENDPOINT_SOCKET)")
      ->type_name("ADDR");
  add_parsed(x509, "--write", options.write, as_path,
             "also write svid.N.pem, svid.N.key, bundle.N.pem into this directory, in the place of "
             "those of an earlier fetch")
      ->type_name("DIR");
  auto parse_timeout = [](const std::string& text) {
    return parse_duration(text, Duration(1), std::chrono::hours(1));
  };
  add_parsed(x509, "--timeout", options.timeout, parse_timeout, "how long to wait (5s)")
      ->type_name("DURATION");
  using Format = FetchX509Options::Format;
  add_choice<Format>(x509, options.format,
                     {{"pretty", Format::kPretty}, {"json", Format::kJson}, {"pem", Format::kPem}});
  return x509;
}

CLI::App& add_bundle_show(CLI::App& bundle, BundleShowOptions& options) {
  CLI::App& show =
      add_command(bundle, "show", "Show the trust bundles that the agent holds",
                  "  nodepilot bundle show\n"
                  "  nodepilot bundle show example.org -o json > example.org.json",
                  "0 ok, 1 failed or not held, 2 usage, 3 agent unreachable, 6 timed out");
  show.add_option("trust-domain", options.trust_domain, "only this one")->type_name("NAME");
  add_admin_socket(show, options.admin);
  using Format = BundleShowOptions::Format;
  add_choice<Format>(show, options.format,
                     {{"table", Format::kTable}, {"json", Format::kJson}, {"pem", Format::kPem}});
  return show;
}

CLI::App& add_bundle_diff(CLI::App& bundle, BundleDiffOptions& options) {
  CLI::App& diff =
      add_command(bundle, "diff", "Tell what one trust bundle has and another lacks",
                  "  nodepilot bundle diff example.org /etc/nodepilot/example.org.json\n"
                  "  nodepilot bundle diff old.pem new.pem",
                  "0 equal, 1 different or failed, 2 usage, 3 agent unreachable, 6 timed out");
  const char* what = "a trust domain that is held, or a file (with a /): SPIFFE bundle or PEM";
  diff.add_option("a", options.before, what)->type_name("A");
  diff.add_option("b", options.after, what)->type_name("B");
  add_admin_socket(diff, options.admin);
  return diff;
}

CLI::App& add_rules_test(CLI::App& rules, RulesTestOptions& options) {
  CLI::App& test = add_command(
      rules, "test", "Tell which identities a caller with some selectors would get, and why",
      "  nodepilot rules test agent.yaml --selector k8s:ns:shop --selector k8s:sa:web",
      "0 an identity, 1 failed, 2 usage, 4 none, 78 configuration invalid");
  add_parsed(test, "file", options.config, as_path, "configuration file")->type_name("FILE");
  test.add_option_function<std::vector<std::string>>(
          "--selector",
          [&options](const std::vector<std::string>& texts) {
            for (const std::string& text : texts) {
              auto selector = parse_known_selector(text);
              if (!selector) throw CLI::ValidationError("--selector", selector.error().message);
              options.selectors.insert(*std::move(selector));
            }
          },
          "what the attestors would find; may be repeated")
      ->type_name("TYPE:VALUE")
      ->allow_extra_args(false);
  add_choice<bool>(test, options.json, {{"text", false}, {"json", true}});
  return test;
}

CLI::App& add_rules_import(CLI::App& rules, RulesImportOptions& options) {
  CLI::App& import = add_command(
      rules, "import", "Print the registration entries of a SPIRE server as `identities:`",
      "  spire-server entry show -output json | nodepilot rules import -\n"
      "  nodepilot rules import entries.json >>agent.yaml",
      "0 ok, 1 failed or some entries were left out, 2 usage");
  add_parsed(import, "file", options.file, as_path, "its output in JSON; - is stdin")
      ->type_name("FILE");
  return import;
}

CLI::App& add_envoy_bootstrap(CLI::App& envoy, EnvoyBootstrapOptions& options) {
  CLI::App& bootstrap = add_command(
      envoy, "bootstrap", "Print what to start a workload's Envoy with, policy and all",
      "  nodepilot envoy bootstrap -c agent.yaml --workload web > web.json && envoy -c web.json",
      "0 ok, 1 failed, 2 usage, 78 configuration or policy invalid");
  add_config(bootstrap, options.config);
  bootstrap.add_option("--workload", options.workload, "one of those in the section mesh")
      ->type_name("NAME")
      ->required();
  bootstrap.add_flag("--live", options.live,
                     "listeners and clusters by discovery from the running agent, so that a change "
                     "of policy needs no restart");
  return bootstrap;
}

CLI::App& add_mesh_explain(CLI::App& mesh, MeshExplainOptions& options) {
  CLI::App& explain =
      add_command(mesh, "explain", "Tell which mode holds on which port, and which policy says so",
                  "  nodepilot mesh explain\n  nodepilot mesh explain web 8080 -c agent.yaml",
                  "0 ok, 1 failed, 2 usage, 78 configuration or policy invalid");
  add_config(explain, options.config);
  explain.add_option("workload", options.workload, "only this one")->type_name("NAME");
  explain
      .add_option("port", options.port, "only this port, with all policies that were considered")
      ->type_name("PORT")
      ->check(CLI::Range(1, 65535));
  return explain;
}

CLI::App& add_mesh_status(CLI::App& mesh, MeshStatusOptions& options) {
  CLI::App& status = add_command(
      mesh, "status", "Count who comes by mutual TLS and who in plaintext, and tell what to do",
      "  nodepilot mesh status", "0 ok, 1 failed, 2 usage, 78 configuration or policy invalid");
  add_config(status, options.config);
  return status;
}

// "nodepilot fetch x509"
std::string full_name(const CLI::App& app) {
  if (app.get_parent() == nullptr) return app.get_name();
  return full_name(*app.get_parent()) + " " + app.get_name();
}

ExitCode usage(const CLI::App& app, const std::string& message) {
  report(message, ExitCode::kUsage);
  std::fprintf(stderr, "Run '%s --help' for what it takes.\n", full_name(app).c_str());
  return ExitCode::kUsage;
}

std::string help(const CLI::App& app) {
  return app.help(app.get_parent() == nullptr ? "" : full_name(*app.get_parent()));
}

// The command that was named, however deep.
const CLI::App& innermost(const CLI::App& app) {
  auto commands = app.get_subcommands();
  return commands.empty() ? app : innermost(*commands.front());
}

std::vector<std::string> names_of_commands(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* command : app.get_subcommands([](const CLI::App*) { return true; })) {
    names.push_back(command->get_name());
  }
  return names;
}

std::vector<std::string> names_of_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

// What of the arguments no option took.
std::optional<std::string> misunderstood(const CLI::App& root, const CLI::App& app) {
  auto extras = root.remaining(true);
  if (extras.empty()) return std::nullopt;
  // A word before an option: the option may belong to the command that the word was meant to be.
  auto word = std::find_if(extras.begin(), extras.end(),
                           [](const std::string& extra) { return !extra.starts_with('-'); });
  auto commands = names_of_commands(app);
  if (word != extras.end() && !commands.empty()) {
    return "unknown command " + quote(*word) + suggestion(*word, commands);
  }
  const std::string& first = extras.front();
  if (!first.starts_with('-')) return "does not take " + quote(first);
  std::string name = first.substr(0, first.find('='));
  return "unknown option " + quote(name) + suggestion(name, names_of_options(app));
}

expected<EndpointAddress> endpoint_from_environment() {
  const char* text = ::getenv("SPIFFE_ENDPOINT_SOCKET");
  if (text == nullptr || *text == '\0') {
    return fail(Code::kInvalidArgument,
                "no Workload API is named: give --socket or set SPIFFE_ENDPOINT_SOCKET, such as "
                "unix:///run/nodepilot/public/api.sock");
  }
  auto address = EndpointAddress::parse(text);
  if (!address) return fail_with("SPIFFE_ENDPOINT_SOCKET", address.error());
  return address;
}

expected<void> complete(DescribeOptions& options) {
  if (!options.id.empty()) return {};
  return fail(Code::kInvalidArgument, "name a SPIFFE ID; `nodepilot status` lists them");
}

expected<void> complete(ExplainOptions& options) {
  if (options.pid != 0 || !options.ref.empty()) return {};
  return fail(Code::kInvalidArgument, "give --pid, or the reference in an error message");
}

expected<void> complete(RotateOptions& options) {
  if (options.all || !options.ids.empty()) return {};
  return fail(Code::kInvalidArgument, "name the SPIFFE IDs to rotate, or give --all");
}

expected<void> complete(FetchX509Options& options) {
  if (options.endpoint.unix_path.empty() && options.endpoint.tcp_target.empty()) {
    options.endpoint = TRY(endpoint_from_environment());
  }
  return {};
}

expected<void> complete(BundleDiffOptions& options) {
  if (!options.before.empty() && !options.after.empty()) return {};
  return fail(Code::kInvalidArgument, "name the two bundles to compare");
}

expected<void> complete(RulesTestOptions& options) {
  if (options.config.empty()) return fail(Code::kInvalidArgument, "name the configuration file");
  if (!options.selectors.empty()) return {};
  return fail(Code::kInvalidArgument, "give what the caller has: --selector TYPE:VALUE");
}

expected<void> complete(RulesImportOptions& options) {
  if (!options.file.empty()) return {};
  return fail(Code::kInvalidArgument, "name the file to import, or - for stdin");
}

template <class Specific>
tl::expected<Command, ExitCode> finished(const CLI::App& app, Specific& options) {
  if (auto whole = complete(options); !whole) {
    return tl::unexpected(usage(app, whole.error().message));
  }
  return std::move(options);
}

}  // namespace

tl::expected<Command, ExitCode> parse_command_line(int argc, const char* const* argv) {
  Options options;
  bool version_flag = false;
  CLI::App root("nodepilot, the node-local identity agent", "nodepilot");
  root.get_formatter()->column_width(34);
  root.allow_extras();
  root.require_subcommand(0, 1);
  root.add_flag("--version", version_flag, "print the version");
  root.footer(
      "Exit codes: 0 ok, 1 failed, 2 usage, 3 unreachable, 4 no identity, 5 not ready, 6 timed "
      "out,\n"
      "78 configuration invalid. 'nodepilot COMMAND --help' has examples.");
  CLI::App& run = add_run(root, options.run);
  CLI::App& validate = add_validate(root, options.validate);
  CLI::App& status = add_status(root, options.status);
  CLI::App& health = add_health(root, options.health);
  CLI::App& describe = add_describe(root, options.describe);
  CLI::App& explain = add_explain(root, options.explain);
  CLI::App& rotate = add_rotate(root, options.rotate);
  CLI::App& fetch = add_command(root, "fetch", "Fetch identities from any SPIFFE Workload API",
                                "  nodepilot fetch x509", "those of the command below it");
  fetch.require_subcommand(0, 1);
  CLI::App& x509 = add_fetch_x509(fetch, options.fetch);
  CLI::App& bundle = add_command(root, "bundle", "Look at trust bundles", "  nodepilot bundle show",
                                 "those of the command below it");
  bundle.require_subcommand(0, 1);
  CLI::App& bundle_show = add_bundle_show(bundle, options.bundle_show);
  CLI::App& bundle_diff = add_bundle_diff(bundle, options.bundle_diff);
  CLI::App& rules = add_command(root, "rules", "Try rules, or take those of a SPIRE server",
                                "  nodepilot rules test agent.yaml --selector unix:uid:1000",
                                "those of the command below it");
  rules.require_subcommand(0, 1);
  CLI::App& rules_test = add_rules_test(rules, options.rules_test);
  CLI::App& rules_import = add_rules_import(rules, options.rules_import);
  CLI::App& envoy =
      add_command(root, "envoy", "Configure Envoys", "  nodepilot envoy bootstrap --workload web",
                  "those of the command below it");
  envoy.require_subcommand(0, 1);
  CLI::App& envoy_bootstrap = add_envoy_bootstrap(envoy, options.envoy_bootstrap);
  CLI::App& mesh = add_command(root, "mesh", "Look at the policy of the mesh",
                               "  nodepilot mesh explain", "those of the command below it");
  mesh.require_subcommand(0, 1);
  CLI::App& mesh_explain = add_mesh_explain(mesh, options.mesh_explain);
  CLI::App& mesh_status = add_mesh_status(mesh, options.mesh_status);
  CLI::App& version = add_command(root, "version", "Print the version", "  nodepilot version", "0");

  try {
    root.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return tl::unexpected(print(help(innermost(root))));
  } catch (const CLI::ParseError& error) {
    return tl::unexpected(usage(innermost(root), error.what()));
  }
  const CLI::App& named = innermost(root);
  if (auto message = misunderstood(root, named)) return tl::unexpected(usage(named, *message));
  if (version_flag || version.parsed()) return VersionOptions{};
  if (run.parsed()) return options.run;
  if (validate.parsed()) return options.validate;
  if (status.parsed()) return options.status;
  if (health.parsed()) return options.health;
  if (describe.parsed()) return finished(describe, options.describe);
  if (explain.parsed()) return finished(explain, options.explain);
  if (rotate.parsed()) return finished(rotate, options.rotate);
  if (x509.parsed()) return finished(x509, options.fetch);
  if (bundle_show.parsed()) return options.bundle_show;
  if (bundle_diff.parsed()) return finished(bundle_diff, options.bundle_diff);
  if (rules_test.parsed()) return finished(rules_test, options.rules_test);
  if (rules_import.parsed()) return finished(rules_import, options.rules_import);
  if (envoy_bootstrap.parsed()) return options.envoy_bootstrap;
  if (mesh_explain.parsed()) return options.mesh_explain;
  if (mesh_status.parsed()) return options.mesh_status;
  std::string message = "a command is missing:";
  for (const std::string& name : names_of_commands(named)) message += " " + name;
  return tl::unexpected(usage(named, message));
}

}  // namespace nodepilot
