#include "attest/systemd/systemd_attestor.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstring>
#include <memory>
#include <thread>

#include "test/support/temporary_directory.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

constexpr const char* kUnitPath = "/org/freedesktop/systemd1/unit/web_2eservice";

// A system bus with systemd's manager on it, as far as the attestor needs them. One client.
class FakeSystemd {
 public:
  enum class Manner {
    kKnows,
    kKnowsNone,
    kRootSlice,
    kNoFile,
    kRefuses,
    kSilent,
    kNoGreeting,
    kOtherPids
  };

  explicit FakeSystemd(Manner manner) : manner_(manner) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::string path = (home_ / "bus").string();
    REQUIRE(path.size() < sizeof(address.sun_path));
    std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    REQUIRE(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0);
    REQUIRE(::listen(listener_.get(), 1) == 0);
    REQUIRE(::setenv("DBUS_SYSTEM_BUS_ADDRESS", ("unix:path=" + path).c_str(), 1) == 0);
    if (manner_ != Manner::kNoGreeting) thread_ = std::thread([this] { serve(); });
  }
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;
  ~FakeSystemd() {
    ends_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    if (thread_.joinable()) thread_.join();
  }

  std::uint32_t asked_pid() const { return asked_pid_; }

 private:
  void serve() {
    int fd = ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) return;
    sd_bus* bus = nullptr;
    sd_id128_t id{};
    if (::sd_bus_new(&bus) < 0 || ::sd_id128_randomize(&id) < 0) return;
    std::unique_ptr<sd_bus, decltype(&::sd_bus_flush_close_unref)> owned(
        bus, ::sd_bus_flush_close_unref);
    if (::sd_bus_set_fd(bus, fd, fd) < 0 || ::sd_bus_set_server(bus, 1, id) < 0 ||
        ::sd_bus_start(bus) < 0) {
      return;
    }
    while (!ends_) {
      sd_bus_message* message = nullptr;
      int done = ::sd_bus_process(bus, &message);
      if (message != nullptr) answer(message);
      ::sd_bus_message_unref(message);
      if (done < 0 || (done == 0 && ::sd_bus_wait(bus, 20'000) < 0)) return;
    }
  }

  void answer(sd_bus_message* call) {
    if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "Hello") > 0) {
      ::sd_bus_reply_method_return(call, "s", ":1.7");
    } else if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus",
                                               "GetConnectionUnixProcessID") > 0) {
      auto pid = static_cast<std::uint32_t>(::getpid());
      ::sd_bus_reply_method_return(call, "u", manner_ == Manner::kOtherPids ? pid + 1 : pid);
    } else if (::sd_bus_message_is_method_call(call, "org.freedesktop.systemd1.Manager",
                                               "GetUnitByPID") > 0) {
      answer_unit(call);
    } else if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus.Properties", "Get") >
               0) {
      answer_property(call);
    }
  }

  void answer_unit(sd_bus_message* call) {
    std::uint32_t pid = 0;
    ::sd_bus_message_read(call, "u", &pid);
    asked_pid_ = pid;
    if (manner_ == Manner::kSilent) return;
    if (manner_ == Manner::kKnowsNone) {
      ::sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoUnitForPID",
                                   "PID %u does not belong to any loaded unit.", pid);
    } else if (manner_ == Manner::kRefuses) {
      ::sd_bus_reply_method_errorf(call, SD_BUS_ERROR_ACCESS_DENIED, "Not today.");
    } else {
      ::sd_bus_reply_method_return(call, "o", kUnitPath);
    }
  }

  void answer_property(sd_bus_message* call) {
    const char* interface = nullptr;
    const char* name = nullptr;
    ::sd_bus_message_read(call, "ss", &interface, &name);
    bool right = std::string(interface) == "org.freedesktop.systemd1.Unit" &&
                 std::string(::sd_bus_message_get_path(call)) == kUnitPath;
    if (right && std::string(name) == "Id") {
      const char* id = manner_ == Manner::kRootSlice ? "-.slice" : "web.service";
      ::sd_bus_reply_method_return(call, "v", "s", id);
    } else if (right && std::string(name) == "FragmentPath") {
      const char* file = manner_ == Manner::kNoFile ? "" : "/etc/systemd/system/web.service";
      ::sd_bus_reply_method_return(call, "v", "s", file);
    }
  }

  const Manner manner_;
  TemporaryDirectory home_;
  Fd listener_;
  std::atomic<bool> ends_ = false;
  std::atomic<std::uint32_t> asked_pid_ = 0;
  std::thread thread_;
};

// This process as a caller.
std::shared_ptr<const Peer> ourselves() {
  std::array<int, 2> ends{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) == 0);
  Fd here(ends[0]);
  Fd there(ends[1]);
  return Peer::of_socket(here.get()).value();
}

expected<Selectors> attest(Duration timeout = 30s) {
  return SystemdAttestor(timeout).attest(*ourselves());
}

TEST_CASE("a process has the id and the file of its unit") {
  FakeSystemd systemd(FakeSystemd::Manner::kKnows);

  auto found = attest();

  REQUIRE_MESSAGE(found, (found ? "" : found.error().message));
  CHECK(*found == Selectors{{"systemd", "id:web.service"},
                            {"systemd", "fragment_path:/etc/systemd/system/web.service"}});
  CHECK(systemd.asked_pid() == static_cast<std::uint32_t>(::getpid()));
}

TEST_CASE("a unit that was made without a file has no fragment path") {
  FakeSystemd systemd(FakeSystemd::Manner::kNoFile);

  auto found = attest();

  REQUIRE(found);
  CHECK(*found == Selectors{{"systemd", "id:web.service"}});
}

TEST_CASE("a process of no unit has no selectors, which is no failure") {
  FakeSystemd systemd(FakeSystemd::Manner::kKnowsNone);

  auto found = attest();

  REQUIRE(found);
  CHECK(found->empty());
}

TEST_CASE("the root slice, where systemd counts who is in no unit, is no selector") {
  FakeSystemd systemd(FakeSystemd::Manner::kRootSlice);

  auto found = attest();

  REQUIRE(found);
  CHECK(found->empty());
}

TEST_CASE("a systemd to which our pids are other processes is not asked about them") {
  FakeSystemd systemd(FakeSystemd::Manner::kOtherPids);

  auto failed = attest();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kUnavailable);
  CHECK(failed.error().message.ends_with("it must run in systemd's pid namespace"));
  CHECK(systemd.asked_pid() == 0);
}

TEST_CASE("a refusal of systemd's is a failure and tells the reason") {
  FakeSystemd systemd(FakeSystemd::Manner::kRefuses);

  auto failed = attest();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "ask systemd for the unit: Not today.");
}

TEST_CASE("a systemd that does not answer is given up at the timeout") {
  FakeSystemd systemd(FakeSystemd::Manner::kSilent);

  auto failed = attest(300ms);

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kDeadlineExceeded);
  CHECK(systemd.asked_pid() != 0);
}

TEST_CASE("a bus that accepts and says nothing is given up at the timeout") {
  FakeSystemd systemd(FakeSystemd::Manner::kNoGreeting);

  auto failed = attest(300ms);

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kDeadlineExceeded);
}

TEST_CASE("without a system bus the attestor is unavailable and says so") {
  REQUIRE(::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1) == 0);

  auto failed = attest();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kUnavailable);
  CHECK(failed.error().message.starts_with("connect to the system bus (is systemd running?): "));
}

}  // namespace
}  // namespace nodepilot
