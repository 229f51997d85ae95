#include "agent/config/docker.h"

#include <fmt/format.h>

#include <filesystem>

#include "agent/base/log.h"
#include "agent/config/text.h"

namespace nodepilot {
namespace {

constexpr std::string_view kUid = "{uid}";
constexpr std::size_t kMaxUidDigits = 10;
constexpr std::size_t kMaxSocketPathBytes = 107;  // sun_path holds 108 with its NUL
constexpr std::size_t kMaxUsers = 1000;
// (uid_t)-1 means "no user" to the kernel.
constexpr std::uint64_t kMaxUid = 0xFFFFFFFE;

tl::unexpected<Error> refuse(std::string why) {
  return fail(Code::kInvalidArgument, std::move(why));
}

expected<std::filesystem::path> parse_socket(std::string_view text) {
  auto path = TRY(parse_path(text));
  if (text.size() <= kMaxSocketPathBytes) return path;
  return refuse(fmt::format("must be at most {} bytes, got {}", kMaxSocketPathBytes, text.size()));
}

// Each user's path must be another, and fit.
expected<std::string> parse_template(std::string_view text) {
  auto path = TRY(parse_path(text));
  std::size_t at = text.find(kUid);
  bool once = at != std::string_view::npos && text.find(kUid, at + 1) == std::string_view::npos;
  if (!once) {
    return refuse("must hold {uid} once, as in /run/user/{uid}/podman/podman.sock, got " +
                  quote(text.substr(0, 200)));
  }
  std::size_t longest = text.size() - kUid.size() + kMaxUidDigits;
  if (longest <= kMaxSocketPathBytes) return path.string();
  return refuse(fmt::format("must be at most {} bytes with a uid of {} digits, which makes it {}",
                            kMaxSocketPathBytes, kMaxUidDigits, longest));
}

std::set<uid_t> decode_users(const YamlValue& value) {
  auto parse_uid = [](std::string_view text) { return parse_count(text, 0, kMaxUid); };
  std::set<uid_t> users;
  auto items = value.items();
  if (items.empty()) value.refuse("must be a list of one uid at least, as in [1000]");
  if (items.size() > kMaxUsers) {
    value.refuse(fmt::format("must list at most {} uids, got {}", kMaxUsers, items.size()));
    return users;
  }
  for (const YamlValue& item : items) {
    std::uint64_t uid = kMaxUid + 1;
    item.read(uid, parse_uid, Quotes::kNever);
    if (uid <= kMaxUid) users.insert(static_cast<uid_t>(uid));
  }
  return users;
}

}  // namespace

DockerAttestor::Options decode_docker(const YamlValue& value) {
  using namespace std::chrono_literals;
  auto parse_timeout = [](std::string_view text) { return parse_duration(text, 100ms, 30s); };
  YamlMapping section(value);
  DockerAttestor::Options options;
  section.read("socket", options.socket, parse_socket);
  section.read("podman_socket", options.podman_socket, parse_socket);
  section.read("timeout", options.timeout, parse_timeout);
  auto socket_template = section.find("podman_socket_template");
  auto users = section.find("podman_users");
  if (socket_template) socket_template->read(options.podman_socket_template, parse_template);
  if (users) options.podman_users = decode_users(*users);
  if (socket_template && !users) {
    section.refuse("podman_socket_template",
                   "needs podman_users, the uids whose containers' labels are believed");
  }
  if (users && !socket_template) users->refuse("needs podman_socket_template beside it");
  return options;
}

}  // namespace nodepilot
