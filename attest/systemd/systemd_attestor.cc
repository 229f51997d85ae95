#include "attest/systemd/systemd_attestor.h"

#include <fmt/format.h>
#include <systemd/sd-bus.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <optional>
#include <string>

#include "agent/base/log.h"

namespace nodepilot {
namespace {

using SteadyClock = std::chrono::steady_clock;

constexpr const char* kBus = "org.freedesktop.DBus";
constexpr const char* kBusPath = "/org/freedesktop/DBus";
constexpr const char* kManager = "org.freedesktop.systemd1";
constexpr const char* kManagerPath = "/org/freedesktop/systemd1";
constexpr const char* kManagerInterface = "org.freedesktop.systemd1.Manager";
constexpr const char* kUnitInterface = "org.freedesktop.systemd1.Unit";
// Of whoever is in no unit systemd says that he is in this one.
constexpr const char* kRootSlice = "-.slice";
constexpr const char* kNoUnit = "org.freedesktop.systemd1.NoUnitForPID";
constexpr std::size_t kMaxReasonBytes = 512;
constexpr std::size_t kMaxValueBytes = 4096;

struct CloseBus {
  void operator()(sd_bus* bus) const { ::sd_bus_close_unref(bus); }
};
struct FreeMessage {
  void operator()(sd_bus_message* message) const { ::sd_bus_message_unref(message); }
};
struct FreeText {
  void operator()(char* text) const { std::free(text); }
};

struct BusError {
  BusError() = default;
  BusError(const BusError&) = delete;
  BusError& operator=(const BusError&) = delete;
  ~BusError() { ::sd_bus_error_free(&error); }

  sd_bus_error error = SD_BUS_ERROR_NULL;
};

// One conversation with systemd, all of it under one deadline.
class Systemd {
 public:
  static expected<Systemd> connect(Duration timeout) {
    sd_bus* opened = nullptr;
    if (int error = ::sd_bus_open_system(&opened); error < 0) {
      auto failed = fail_errno("connect to the system bus (is systemd running?)", -error);
      failed.value().code = Code::kUnavailable;
      return failed;
    }
    Systemd systemd(opened, timeout);
    TRY(systemd.wait_until_ready());
    return systemd;
  }

  // kUnavailable if a pid of ours would be another process to systemd.
  expected<void> check_same_pids() {
    const char* name = nullptr;
    if (int got = ::sd_bus_get_unique_name(bus_.get(), &name); got < 0) {
      return fail_errno("get our name on the system bus", -got);
    }
    TRY(set_timeout());
    BusError error;
    sd_bus_message* raw = nullptr;
    int called = ::sd_bus_call_method(bus_.get(), kBus, kBusPath, kBus,
                                      "GetConnectionUnixProcessID", &error.error, &raw, "s", name);
    std::unique_ptr<sd_bus_message, FreeMessage> answer(raw);
    if (called < 0) return refused("the system bus", "our pid", error, -called);
    std::uint32_t pid = 0;
    if (int read = ::sd_bus_message_read(raw, "u", &pid); read < 0) {
      return fail_errno("read the system bus's answer", -read);
    }
    if (pid == static_cast<std::uint32_t>(::getpid())) return {};
    return fail(Code::kUnavailable,
                fmt::format("the system bus knows this agent as pid {}, not {}: it must run in "
                            "systemd's pid namespace",
                            pid, ::getpid()));
  }

  // The bus's path of the unit that `pid` is in; empty if it is in none.
  expected<std::optional<std::string>> unit_of(pid_t pid) {
    TRY(set_timeout());
    BusError error;
    sd_bus_message* raw = nullptr;
    int called =
        ::sd_bus_call_method(bus_.get(), kManager, kManagerPath, kManagerInterface, "GetUnitByPID",
                             &error.error, &raw, "u", static_cast<std::uint32_t>(pid));
    std::unique_ptr<sd_bus_message, FreeMessage> answer(raw);
    if (called < 0) {
      if (::sd_bus_error_has_name(&error.error, kNoUnit) > 0) return std::nullopt;
      return refused("systemd", "the unit", error, -called);
    }
    const char* path = nullptr;
    if (int read = ::sd_bus_message_read(raw, "o", &path); read < 0) {
      return fail_errno("read systemd's answer", -read);
    }
    return path;
  }

  expected<std::string> property(const std::string& unit, const char* name) {
    TRY(set_timeout());
    BusError error;
    char* raw = nullptr;
    int called = ::sd_bus_get_property_string(bus_.get(), kManager, unit.c_str(), kUnitInterface,
                                              name, &error.error, &raw);
    std::unique_ptr<char, FreeText> text(raw);
    if (called < 0) return refused("systemd", fmt::format("the {}", name), error, -called);
    return std::string(text.get());
  }

 private:
  Systemd(sd_bus* bus, Duration timeout)
      : bus_(bus), timeout_(timeout), deadline_(SteadyClock::now() + timeout) {}

  tl::unexpected<Error> too_late() const {
    return fail(Code::kDeadlineExceeded,
                fmt::format("systemd did not answer within {}", to_text(timeout_)));
  }

  expected<std::uint64_t> microseconds_left() const {
    auto left = std::chrono::ceil<std::chrono::microseconds>(deadline_ - SteadyClock::now());
    if (left.count() <= 0) return too_late();
    return static_cast<std::uint64_t>(left.count());
  }

  // A call on a bus that is not ready would wait for it by a limit of the library's, of minutes.
  expected<void> wait_until_ready() {
    while (::sd_bus_is_ready(bus_.get()) == 0) {
      auto left = TRY(microseconds_left());
      int done = ::sd_bus_process(bus_.get(), nullptr);
      if (done == 0) done = ::sd_bus_wait(bus_.get(), left);
      if (done < 0 && done != -EINTR) {
        auto failed = fail_errno("greet the system bus", -done);
        failed.value().code = Code::kUnavailable;
        return failed;
      }
    }
    return {};
  }

  expected<void> set_timeout() {
    ::sd_bus_set_method_call_timeout(bus_.get(), TRY(microseconds_left()));
    return {};
  }

  tl::unexpected<Error> refused(const char* whom, const std::string& what, const BusError& error,
                                int errnum) const {
    if (errnum == ETIMEDOUT) return too_late();
    auto asked = fmt::format("ask {} for {}", whom, what);
    if (error.error.message == nullptr) return fail_errno(asked, errnum);
    auto reason = std::string(error.error.message).substr(0, kMaxReasonBytes);
    return fail(Code::kInternal, fmt::format("{}: {}", asked, reason));
  }

  std::unique_ptr<sd_bus, CloseBus> bus_;
  Duration timeout_;
  SteadyClock::time_point deadline_;
};

// Through the parser that rules go through, so that nothing unprintable becomes a selector.
expected<void> add(Selectors& found, const char* kind, const std::string& value) {
  if (value.empty()) return {};
  if (value.size() > kMaxValueBytes) {
    return fail(Code::kInternal,
                fmt::format("systemd's {} is longer than {} bytes", kind, kMaxValueBytes));
  }
  found.insert(TRY(Selector::parse(fmt::format("systemd:{}:{}", kind, value))));
  return {};
}

}  // namespace

expected<Selectors> SystemdAttestor::attest(const Peer& peer) const {
  auto systemd = TRY(Systemd::connect(timeout_));
  TRY(systemd.check_same_pids());
  auto unit = TRY(systemd.unit_of(peer.pid()));
  Selectors found;
  if (!unit) return found;
  auto id = TRY(systemd.property(*unit, "Id"));
  if (id == kRootSlice) return found;
  TRY(add(found, "id", id));
  auto file = TRY(systemd.property(*unit, "FragmentPath"));
  TRY(add(found, "fragment_path", file));
  return found;
}

}  // namespace nodepilot
