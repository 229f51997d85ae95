// The command line, read into one struct for each command. Thread: any.
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <tl/expected.hpp>
#include <variant>
#include <vector>

#include "agent/base/log.h"
#include "agent/base/selector.h"
#include "agent/base/time.h"
#include "agent/cli/exit_code.h"
#include "agent/endpoint_address.h"

namespace nodepilot {

struct RunOptions {
  std::filesystem::path config;
  bool take_over = false;
  bool dev = false;
  // Only with dev:
  std::optional<std::filesystem::path> dev_dir;
  std::optional<std::chrono::seconds> ttl;
  std::vector<std::string> identities;  // ID=SELECTOR[,SELECTOR...]

  std::optional<log::Level> log_level;
  std::optional<log::Format> log_format;
};

struct ValidateOptions {
  std::filesystem::path config;
};

struct StatusOptions {
  EndpointAddress admin;
  bool json = false;
};

struct DescribeOptions {
  EndpointAddress admin;
  bool json = false;
  std::string id;
};

// A process or a reference, one of the two.
struct ExplainOptions {
  EndpointAddress admin;
  bool json = false;
  int pid = 0;
  std::string ref;
};

struct HealthOptions {
  EndpointAddress admin;
};

struct RotateOptions {
  EndpointAddress admin;
  bool json = false;
  std::vector<std::string> ids;
  bool all = false;
  Duration wait{0};
};

struct FetchX509Options {
  enum class Format { kPretty, kJson, kPem };

  EndpointAddress endpoint;
  std::optional<std::filesystem::path> write;
  Duration timeout = std::chrono::seconds(5);
  Format format = Format::kPretty;
};

struct BundleShowOptions {
  enum class Format { kTable, kJson, kPem };

  EndpointAddress admin;
  std::string trust_domain;  // empty: all that are held
  Format format = Format::kTable;
};

// Either side is a trust domain whose bundle is held, or a file: a SPIFFE bundle or PEM.
struct BundleDiffOptions {
  EndpointAddress admin;
  std::string before;
  std::string after;
};

struct RulesTestOptions {
  std::filesystem::path config;
  Selectors selectors;
  bool json = false;
};

struct RulesImportOptions {
  std::filesystem::path file;  // "-": what comes on stdin
};

struct EnvoyBootstrapOptions {
  std::filesystem::path config;
  std::string workload;
  bool live = false;  // listeners and clusters come from the agent
};

struct MeshExplainOptions {
  std::filesystem::path config;
  std::string workload;               // empty: all of them
  std::optional<std::uint16_t> port;  // of the workload: how it came to its mode
};

struct MeshStatusOptions {
  std::filesystem::path config;
};

struct VersionOptions {};

using Command =
    std::variant<RunOptions, ValidateOptions, StatusOptions, HealthOptions, DescribeOptions,
                 ExplainOptions, RotateOptions, FetchX509Options, BundleShowOptions,
                 BundleDiffOptions, RulesTestOptions, RulesImportOptions, EnvoyBootstrapOptions,
                 MeshExplainOptions, MeshStatusOptions, VersionOptions>;

// If there is nothing to execute (help was asked for, wrong usage) what is to be said has been
// printed, and the code is what to end with.
tl::expected<Command, ExitCode> parse_command_line(int argc, const char* const* argv);

}  // namespace nodepilot
