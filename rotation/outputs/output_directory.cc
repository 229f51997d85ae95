#include "rotation/outputs/output_directory.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstring>
#include <memory>
#include <optional>

#include "agent/base/files.h"
#include "agent/base/log.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr const char* kShown = "..data";
constexpr const char* kNextShown = "..data_tmp";
constexpr mode_t kDirectoryMode = 0755;
constexpr int kAttempts = 10;  // to find a name that is free

// "..2026_11_27_10_15_00.123456"
bool is_set_name(std::string_view name) {
  constexpr std::string_view kPattern = "..dddd_dd_dd_dd_dd_dd.";
  auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (name.size() <= kPattern.size() || name.size() > kPattern.size() + 10) return false;
  for (std::size_t i = 0; i < kPattern.size(); ++i) {
    if (kPattern[i] == 'd' ? !is_digit(name[i]) : name[i] != kPattern[i]) return false;
  }
  return std::all_of(name.begin() + kPattern.size(), name.end(), is_digit);
}

expected<std::string> new_set_name(Time now) {
  std::uint32_t number = 0;
  if (::getrandom(&number, sizeof(number), 0) != sizeof(number)) {
    return fail_errno("getrandom", errno);
  }
  auto seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
  return fmt::format("..{:%Y_%m_%d_%H_%M_%S}.{}", fmt::gmtime(static_cast<std::time_t>(seconds)),
                     number);
}

std::string target_of(const std::string& name) { return std::string(kShown) + "/" + name; }

// Where the link `name` leads; empty if it is none, or not there.
std::optional<std::string> read_link(int directory, const std::string& name) {
  std::array<char, PATH_MAX> target{};
  ssize_t length = ::readlinkat(directory, name.c_str(), target.data(), target.size());
  if (length < 0) return std::nullopt;
  return std::string(target.data(), static_cast<std::size_t>(length));
}

std::vector<std::string> names_in(int directory) {
  std::vector<std::string> names;
  // Opened anew: fdopendir() takes its descriptor over, and a duplicate would share the position.
  int own = ::openat(directory, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  std::unique_ptr<DIR, int (*)(DIR*)> stream(own < 0 ? nullptr : ::fdopendir(own), ::closedir);
  if (!stream) return names;
  while (const dirent* entry = ::readdir(stream.get())) {
    std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

// Only files directly in it: what else stands there is nothing that we made, and stays.
void remove_set(int directory, const std::string& set, const fs::path& path) {
  Fd folder(::openat(directory, set.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!folder || ::fstat(folder.get(), &status) != 0 || status.st_uid != ::geteuid()) return;
  for (const std::string& name : names_in(folder.get())) ::unlinkat(folder.get(), name.c_str(), 0);
  if (::unlinkat(directory, set.c_str(), AT_REMOVEDIR) == 0) return;
  log::warn("old set of files not removed",
            {{"path", (path / set).string()}, {"error", std::strerror(errno)}});
}

void remove_sets_but(int directory, const std::set<std::string>& kept, const fs::path& path) {
  for (const std::string& name : names_in(directory)) {
    if (is_set_name(name) && !kept.contains(name)) remove_set(directory, name, path);
  }
}

tl::unexpected<Error> in_the_way(const fs::path& path) {
  return fail(Code::kFailedPrecondition,
              path.string() +
                  ": is in the way and not ours: move it away, or name a directory "
                  "that is for this output alone");
}

bool exists(int directory, const std::string& name) {
  struct stat status {};
  return ::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0;
}

expected<void> check_names(int directory, const std::vector<std::string>& names,
                           const fs::path& path) {
  if (exists(directory, kShown) && !read_link(directory, kShown)) return in_the_way(path / kShown);
  for (const std::string& name : names) {
    if (exists(directory, name) && read_link(directory, name) != target_of(name)) {
      return in_the_way(path / name);
    }
  }
  return {};
}

// Before the first set is shown these lead nowhere, so that its files appear all at once.
expected<void> link_names(int directory, const std::vector<std::string>& names,
                          const fs::path& path) {
  TRY(check_names(directory, names, path));
  for (const std::string& name : names) {
    if (exists(directory, name)) continue;
    if (::symlinkat(target_of(name).c_str(), directory, name.c_str()) != 0) {
      return fail_errno("link " + (path / name).string(), errno);
    }
  }
  return {};
}

// Those of an earlier profile.
void unlink_other_names(int directory, const std::vector<std::string>& names) {
  for (const std::string& name : names_in(directory)) {
    bool is_ours = read_link(directory, name) == target_of(name);
    if (is_ours && std::count(names.begin(), names.end(), name) == 0) {
      ::unlinkat(directory, name.c_str(), 0);
    }
  }
}

expected<void> swap_to(int directory, const std::string& set, const fs::path& path) {
  ::unlinkat(directory, kNextShown, 0);
  if (::symlinkat(set.c_str(), directory, kNextShown) != 0) {
    return fail_errno("link " + (path / kNextShown).string(), errno);
  }
  if (::renameat(directory, kNextShown, directory, kShown) == 0) return {};
  auto failed = fail_errno("rename to " + (path / kShown).string(), errno);
  ::unlinkat(directory, kNextShown, 0);
  return failed;
}

std::vector<std::string> names_of(const std::vector<OutputFile>& files) {
  std::vector<std::string> names;
  names.reserve(files.size());
  for (const OutputFile& file : files) names.push_back(file.name);
  return names;
}

std::string_view as_text(const SecretBytes& bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

expected<OutputDirectory::Folder> OutputDirectory::open() const {
  const fs::path& path = options_.path;
  bool made = ::mkdir(path.c_str(), kDirectoryMode) == 0;
  if (!made && errno != EEXIST) return fail_errno("create directory " + path.string(), errno);
  Folder folder{Fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)), path};
  if (!folder.fd && (errno == ENOTDIR || errno == ELOOP)) {
    return fail(Code::kFailedPrecondition,
                path.string() + ": is a symbolic link or no directory; name the directory itself");
  }
  if (!folder.fd) return fail_errno("open " + path.string(), errno);
  // mkdir() obeys the umask.
  if (made && ::fchmod(folder.fd.get(), kDirectoryMode) != 0) {
    return fail_errno("chmod " + path.string(), errno);
  }
  struct stat status {};
  if (::fstat(folder.fd.get(), &status) != 0) return fail_errno("stat " + path.string(), errno);
  if (status.st_uid != ::geteuid()) {
    return fail(
        Code::kFailedPrecondition,
        fmt::format("{}: belongs to uid {}, who could exchange what is written: chown {} {}",
                    path.string(), status.st_uid, ::geteuid(), path.string()));
  }
  if ((status.st_mode & 0022) != 0) {
    return fail(Code::kFailedPrecondition,
                fmt::format("{}: mode {:04o} lets others exchange what is written: chmod go-w {}",
                            path.string(), status.st_mode & 07777, path.string()));
  }
  return folder;
}

expected<void> OutputDirectory::prepare(const std::vector<std::string>& names) const {
  auto folder = TRY(open());
  int directory = folder.fd.get();
  TRY(check_names(directory, names, options_.path));
  if (read_link(directory, kNextShown)) ::unlinkat(directory, kNextShown, 0);
  auto shown = read_link(directory, kShown);
  remove_sets_but(directory, shown ? std::set{*shown} : std::set<std::string>(), options_.path);
  return {};
}

expected<void> OutputDirectory::show(const std::vector<OutputFile>& files, Time now) const {
  auto folder = TRY(open());
  int directory = folder.fd.get();
  auto before = read_link(directory, kShown);
  auto set = TRY(make_set(folder, now));
  std::string set_name = set.path.filename().string();

  auto done = fill(set, files);
  if (done) done = link_names(directory, names_of(files), options_.path);
  if (done) done = swap_to(directory, set_name, options_.path);
  if (!done) {
    remove_set(directory, set_name, options_.path);
    return done;
  }
  if (::fsync(directory) != 0) return fail_errno("sync " + options_.path.string(), errno);

  std::set kept{set_name};
  if (before) kept.insert(*before);
  remove_sets_but(directory, kept, options_.path);
  unlink_other_names(directory, names_of(files));
  return {};
}

expected<OutputDirectory::Folder> OutputDirectory::make_set(const Folder& folder, Time now) const {
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    std::string name = TRY(new_set_name(now));
    fs::path path = folder.path / name;
    if (::mkdirat(folder.fd.get(), name.c_str(), 0700) != 0) {
      if (errno == EEXIST) continue;
      return fail_errno("create directory " + path.string(), errno);
    }
    Folder set{Fd(::openat(folder.fd.get(), name.c_str(),
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)),
               path};
    if (set.fd) return set;
    auto failed = fail_errno("open " + path.string(), errno);
    ::unlinkat(folder.fd.get(), name.c_str(), AT_REMOVEDIR);
    return failed;
  }
  return fail(Code::kAlreadyExists,
              "create a directory in " + folder.path.string() + ": no name is free");
}

expected<void> OutputDirectory::fill(const Folder& set,
                                     const std::vector<OutputFile>& files) const {
  for (const OutputFile& file : files) TRY(write(set, file));
  // Not before the files are as they shall be.
  if (::fchmod(set.fd.get(), kDirectoryMode) != 0) {
    return fail_errno("chmod " + set.path.string(), errno);
  }
  if (::fsync(set.fd.get()) != 0) return fail_errno("sync " + set.path.string(), errno);
  return {};
}

expected<void> OutputDirectory::write(const Folder& set, const OutputFile& file) const {
  fs::path path = set.path / file.name;
  Fd fd(::openat(set.fd.get(), file.name.c_str(),
                 O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!fd) return fail_errno("create " + path.string(), errno);
  TRY(write_all(fd.get(), as_text(file.bytes), path));
  TRY(give_file(fd.get(), options_.owner, file.has_key ? options_.key_mode : options_.mode,
                path.string()));
  if (::fsync(fd.get()) != 0) return fail_errno("sync " + path.string(), errno);
  return {};
}

}  // namespace nodepilot
