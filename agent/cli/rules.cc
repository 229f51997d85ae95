#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>

#include "agent/base/files.h"
#include "agent/cli/commands.h"
#include "agent/cli/config_errors.h"
#include "agent/config/spire_entries.h"
#include "agent/rules_text.h"

namespace nodepilot {
namespace {

expected<std::string> read_stdin(std::size_t max_bytes) {
  std::string text;
  std::array<char, 64 * 1024> part{};
  while (std::size_t n = std::fread(part.data(), 1, part.size(), stdin)) {
    text.append(part.data(), n);
    if (text.size() > max_bytes) {
      return fail(Code::kResourceExhausted,
                  "more than " + std::to_string(max_bytes) + " bytes on stdin");
    }
  }
  if (std::ferror(stdin) != 0) return fail_errno("read stdin", errno);
  return text;
}

expected<ImportedEntries> import_from(const std::filesystem::path& file) {
  bool is_stdin = file == "-";
  auto text = is_stdin ? read_stdin(kMaxSpireEntriesBytes) : read_file(file, kMaxSpireEntriesBytes);
  if (!text) return tl::unexpected(text.error());
  auto imported = import_spire_entries(*text);
  if (!imported) return fail_with(is_stdin ? "stdin" : file.string(), imported.error());
  return imported;
}

}  // namespace

ExitCode execute(const RulesTestOptions& options) {
  auto config = load_config(options.config);
  if (!config) return report(config.error());
  auto verdicts = EntrySet(config->entries).explain(options.selectors);
  bool is_granted = std::any_of(verdicts.begin(), verdicts.end(),
                                [](const RuleVerdict& verdict) { return verdict.granted; });
  return print(options.json ? verdicts_json(verdicts) : verdicts_text(verdicts),
               is_granted ? ExitCode::kOk : ExitCode::kDenied);
}

ExitCode execute(const RulesImportOptions& options) {
  auto imported = import_from(options.file);
  if (!imported) return report(imported.error().message, ExitCode::kFailed);
  for (const std::string& remark : imported->remarks) report("note: " + remark, ExitCode::kOk);
  for (const std::string& why : imported->left_out) report("left out: " + why, ExitCode::kOk);
  return print(identities_yaml(imported->entries),
               imported->left_out.empty() ? ExitCode::kOk : ExitCode::kFailed);
}

}  // namespace nodepilot
