#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-id128.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>

#include "rotation/outputs/hooks.h"
#include "test/outputs/kit.h"

namespace nodepilot {
namespace {

using namespace std::chrono_literals;

// A system bus with systemd's manager on it, as far as a reload needs them. One client at a time.
class FakeSystemd {
 public:
  enum class Manner { kDone, kFailed, kRefused, kOtherJobsOnly, kSilent };

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
    thread_ = std::thread([this] { serve(); });
  }
  FakeSystemd(const FakeSystemd&) = delete;
  FakeSystemd& operator=(const FakeSystemd&) = delete;
  ~FakeSystemd() {
    ends_ = true;
    ::shutdown(listener_.get(), SHUT_RDWR);
    thread_.join();
  }

  bool was_asked() const { return asked_; }

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
      if (message != nullptr) answer(bus, message);
      ::sd_bus_message_unref(message);
      if (done < 0 || (done == 0 && ::sd_bus_wait(bus, 20'000) < 0)) return;
    }
  }

  void answer(sd_bus* bus, sd_bus_message* call) {
    if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "Hello") > 0) {
      ::sd_bus_reply_method_return(call, "s", ":1.7");
    } else if (::sd_bus_message_is_method_call(call, "org.freedesktop.DBus", "AddMatch") > 0) {
      ::sd_bus_reply_method_return(call, "");
    } else if (::sd_bus_message_is_method_call(call, "org.freedesktop.systemd1.Manager",
                                               "ReloadUnit") > 0) {
      answer_reload(bus, call);
    }
  }

  void answer_reload(sd_bus* bus, sd_bus_message* call) {
    const char* unit = nullptr;
    const char* mode = nullptr;
    ::sd_bus_message_read(call, "ss", &unit, &mode);
    asked_ = std::string(unit) == "web.service" && std::string(mode) == "replace";
    if (manner_ == Manner::kSilent) return;
    if (manner_ == Manner::kRefused) {
      ::sd_bus_reply_method_errorf(call, "org.freedesktop.systemd1.NoSuchUnit",
                                   "Unit %s not found.", unit);
      return;
    }
    // Before the answer, even: systemd may be as quick.
    if (manner_ == Manner::kDone) tell_end(bus, "/org/freedesktop/systemd1/job/7", "done");
    ::sd_bus_reply_method_return(call, "o", "/org/freedesktop/systemd1/job/7");
    tell_end(bus, "/org/freedesktop/systemd1/job/8", "done");
    if (manner_ == Manner::kFailed) tell_end(bus, "/org/freedesktop/systemd1/job/7", "failed");
  }

  static void tell_end(sd_bus* bus, const char* job, const char* result) {
    sd_bus_message* signal = nullptr;
    ::sd_bus_message_new_signal(bus, &signal, "/org/freedesktop/systemd1",
                                "org.freedesktop.systemd1.Manager", "JobRemoved");
    ::sd_bus_message_append(signal, "uoss", 7U, job, "web.service", result);
    ::sd_bus_message_set_sender(signal, ":1.1");
    ::sd_bus_send(bus, signal, nullptr);
    ::sd_bus_message_unref(signal);
  }

  const Manner manner_;
  TemporaryDirectory home_;
  Fd listener_;
  std::atomic<bool> ends_ = false;
  std::atomic<bool> asked_ = false;
  std::thread thread_;
};

expected<void> reload(Duration timeout = 30s) {
  return reload_unit({"web.service"}, timeout, StopFlag());
}

TEST_CASE("systemd is asked to reload the unit, and its job waited for") {
  FakeSystemd systemd(FakeSystemd::Manner::kDone);

  auto done = reload();

  CHECK_MESSAGE(done, (done ? "" : done.error().message));
  CHECK(systemd.was_asked());
}

TEST_CASE("a job that fails is a failure") {
  FakeSystemd systemd(FakeSystemd::Manner::kFailed);

  auto failed = reload();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "systemd says: failed");
}

TEST_CASE("a refusal tells systemd's reason") {
  FakeSystemd systemd(FakeSystemd::Manner::kRefused);

  auto failed = reload();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().message == "systemd refuses: Unit web.service not found.");
}

TEST_CASE("a job that does not end is given up at the timeout") {
  FakeSystemd systemd(FakeSystemd::Manner::kOtherJobsOnly);

  auto failed = reload(300ms);

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kDeadlineExceeded);
}

TEST_CASE("a manager that does not answer is given up at the timeout") {
  FakeSystemd systemd(FakeSystemd::Manner::kSilent);

  auto failed = reload(300ms);

  REQUIRE_FALSE(failed);
  CHECK(systemd.was_asked());
}

TEST_CASE("a stop ends the wait for a job") {
  FakeSystemd systemd(FakeSystemd::Manner::kOtherJobsOnly);
  StopFlag stop;
  stop.raise();

  auto stopped = reload_unit({"web.service"}, 30s, stop);

  REQUIRE_FALSE(stopped);
  CHECK(stopped.error().code == Code::kCancelled);
}

TEST_CASE("without a system bus a reload is unavailable") {
  REQUIRE(::setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", 1) == 0);

  auto failed = reload();

  REQUIRE_FALSE(failed);
  CHECK(failed.error().code == Code::kUnavailable);
  CHECK(failed.error().message.starts_with("connect to the system bus: "));
}

}  // namespace
}  // namespace nodepilot
