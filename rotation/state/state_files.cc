#include "rotation/state/state_files.h"

#include <fcntl.h>
#include <sys/file.h>

#include <algorithm>
#include <cerrno>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "agent/base/sha256.h"
#include "rotation/state/stored_svid.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::string_view kSuffix = ".svid";
constexpr std::string_view kSetAside = ".bad";
constexpr std::string_view kTemporary = ".tmp";
constexpr std::size_t kHashBytes = 64;

bool consists_of(std::string_view text, std::string_view characters) {
  return !text.empty() && text.find_first_not_of(characters) == std::string_view::npos;
}

bool is_ours(std::string_view name) {
  if (name == kBundleFile) return true;
  return name.size() == kHashBytes + kSuffix.size() && name.ends_with(kSuffix) &&
         consists_of(name.substr(0, kHashBytes), "0123456789abcdef");
}

bool is_set_aside(std::string_view name) {
  return name.ends_with(kSetAside) && is_ours(name.substr(0, name.size() - kSetAside.size()));
}

// ".NAME.PID.tmp", as write_file_atomic() has them.
bool is_temporary(std::string_view name) {
  if (!name.starts_with('.') || !name.ends_with(kTemporary)) return false;
  name.remove_prefix(1);
  name.remove_suffix(kTemporary.size());
  std::size_t dot = name.rfind('.');
  return dot != std::string_view::npos && is_ours(name.substr(0, dot)) &&
         consists_of(name.substr(dot + 1), "0123456789");
}

template <class Chosen>
expected<std::set<std::string>> names_in(const fs::path& directory, Chosen chosen) {
  std::set<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    std::string name = it->path().filename().string();
    if (chosen(name)) names.insert(std::move(name));
  }
  if (error) return fail_errno("list " + directory.string(), error.value());
  return names;
}

}  // namespace

std::string svid_file(const std::string& entry_id) {
  return sha256_hex(entry_id) + std::string(kSuffix);
}

bool is_svid_file(std::string_view name) { return name.ends_with(kSuffix); }

expected<std::unique_ptr<StateDirectory>> StateDirectory::open(fs::path directory,
                                                               bool may_follow) {
  std::unique_ptr<StateDirectory> files(new StateDirectory(std::move(directory)));
  auto claimed = files->claim();
  if (claimed) {
    files->remove_temporaries();
  } else if (may_follow && claimed.error().code == Code::kUnavailable) {
    log::info("another agent keeps its state; reading it",
              {{"directory", files->path("").string()}});
  } else if (claimed.error().code == Code::kFailedPrecondition ||
             claimed.error().code == Code::kUnavailable) {
    return tl::unexpected(claimed.error());
  } else {
    log::warn("sealed state cannot be written", {{"error", claimed.error().message}});
  }
  return files;
}

expected<void> StateDirectory::claim() {
  if (lock_) return {};
  TRY(ensure_directory(directory_, 0700));
  Fd fd(::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd) return fail_errno("open " + directory_.string(), errno);
  if (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return fail_errno("lock " + directory_.string(), errno);
    return fail(Code::kUnavailable, directory_.string() +
                                        ": another agent keeps its state there; stop that one, or "
                                        "give this one a state_dir of its own");
  }
  lock_ = std::move(fd);
  return {};
}

void StateDirectory::remove_temporaries() {
  auto names = names_in(directory_, is_temporary);
  if (!names) return;
  for (const std::string& name : *names) {
    std::error_code error;
    if (fs::remove(path(name), error)) {
      log::info("unfinished file deleted", {{"file", path(name).string()}});
    }
  }
}

expected<std::set<std::string>> StateDirectory::list() {
  auto names = names_in(
      directory_, [](const std::string& name) { return is_ours(name) || is_set_aside(name); });
  if (!names && names.error().code == Code::kNotFound) return std::set<std::string>();
  return names;
}

expected<SecretBytes> StateDirectory::read(const std::string& name) {
  return read_private_file(path(name), kMaxStoredBytes);
}

expected<void> StateDirectory::write(const std::string& name, std::string_view bytes) {
  TRY(claim());
  return write_file_atomic(path(name), bytes, 0600);
}

expected<void> StateDirectory::remove(const std::string& name) {
  TRY(claim());
  std::error_code error;
  fs::remove(path(name), error);
  if (error) return fail_errno("remove " + path(name).string(), error.value());
  return {};
}

expected<void> StateDirectory::set_aside(const std::string& name) {
  TRY(claim());
  std::error_code error;
  fs::rename(path(name), path(name + std::string(kSetAside)), error);
  if (error) return fail_errno("rename " + path(name).string(), error.value());
  return {};
}

}  // namespace nodepilot
