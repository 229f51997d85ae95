#include "agent/passed_sockets.h"

#include <fmt/format.h>
#include <systemd/sd-daemon.h>

#include <array>
#include <cstdlib>
#include <string_view>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

constexpr std::array<std::string_view, 4> kNames{"public", "admin", "stored-public",
                                                 "stored-admin"};

bool is_known(std::string_view name) {
  return std::find(kNames.begin(), kNames.end(), name) != kNames.end();
}

struct FreeNames {
  void operator()(char** names) const {
    for (char** name = names; name != nullptr && *name != nullptr; ++name) std::free(*name);
    std::free(names);  // NOLINT: sd-daemon allocates so
  }
};

}  // namespace

expected<PassedSockets> PassedSockets::take() {
  char** list = nullptr;
  int count = ::sd_listen_fds_with_names(1, &list);
  std::unique_ptr<char*, FreeNames> names(list);
  if (count < 0) return fail_errno("take the sockets that are passed (LISTEN_FDS)", -count);
  std::map<std::string, Fd> sockets;
  for (int i = 0; i < count; ++i) {
    Fd fd(SD_LISTEN_FDS_START + i);
    std::string name = list != nullptr ? list[i] : "";
    if (!is_known(name)) {
      return fail(Code::kInvalidArgument,
                  "a socket named " + quote(name.substr(0, 100)) +
                      " was passed; they must be named public and admin: set "
                      "FileDescriptorName= in the socket unit (LISTEN_FDNAMES)");
    }
    if (!sockets.emplace(name, std::move(fd)).second) {
      return fail(Code::kInvalidArgument,
                  "two sockets named " + name + " were passed; one ListenStream= is enough");
    }
  }
  PassedSockets passed;
  passed.sockets_ = std::move(sockets);
  return passed;
}

Fd PassedSockets::extract(const std::string& name) {
  auto node = sockets_.extract(name);
  return node ? std::move(node.mapped()) : Fd();
}

expected<SocketPath> PassedSockets::path_for(const std::string& name, const Config::Socket& socket,
                                             bool may_follow) {
  Fd stored = extract("stored-" + name);
  if (Fd passed = extract(name)) return SocketPath::adopt(socket.path, std::move(passed));
  auto path = TRY(SocketPath::claim(socket.path, socket.mode, may_follow));
  if (stored && !path.resume(std::move(stored))) {
    log::info("the stored socket is not the one at the path; made a new one",
              {{"path", socket.path.string()}});
  }
  return path;
}

}  // namespace nodepilot
