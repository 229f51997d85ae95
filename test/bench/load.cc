#include "test/bench/load.h"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace nodepilot {
namespace {

using Clock = Crowd::Clock;

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "load_bench: %s\n", why.c_str());
  std::exit(1);
}

template <class Unit>
double in(std::chrono::nanoseconds time) {
  return std::chrono::duration<double, typename Unit::period>(time).count();
}
constexpr auto kMicroseconds = in<std::chrono::microseconds>;
constexpr auto kMilliseconds = in<std::chrono::milliseconds>;

double each(double all, std::size_t n) {
  return all / static_cast<double>(std::max<std::size_t>(n, 1));
}

pid_t listener_of(const std::string& socket) {
  auto client = LoadClient::connect(socket);
  if (!client) stop("connect to " + socket + ": " + std::strerror(errno));
  ucred peer{};
  socklen_t size = sizeof peer;
  ::getsockopt(client->fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return peer.pid;
}

nlohmann::json percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {{"n", values.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}};
}

nlohmann::json by_status(const Crowd& crowd) {
  nlohmann::json all = nlohmann::json::object();
  for (const auto& client : crowd.clients()) {
    for (const auto& [status, n] : client->statuses()) {
      std::string key = status < 0 ? "reset" : std::to_string(status);
      all[key] = all.value(key, std::size_t{0}) + n;
    }
  }
  return all;
}

}  // namespace

Load::Load(LoadOptions options)
    : options_(std::move(options)),
      server_(options_.server != 0 ? options_.server : listener_of(options_.socket)),
      crowd_(options_.pause) {}

std::unique_ptr<LoadClient> Load::connect() const {
  auto client = LoadClient::connect(options_.socket);
  if (!client) stop("connect to " + options_.socket + ": " + std::strerror(errno));
  return client;
}

void Load::await(Crowd& crowd, const std::function<bool()>& done,
                 const std::function<void(LoadClient&)>& pumped) const {
  bool in_time =
      crowd.run(Clock::now() + options_.patience, done, [&](LoadClient& client, bool connected) {
        if (!connected) stop("the server closed a connection");
        pumped(client);
      });
  if (!in_time) stop("no answer in time");
}

nlohmann::json Load::connects(std::size_t n) {
  std::vector<double> times;
  auto cpu = server_.cpu();
  for (std::size_t i = 0; i < n; ++i) {
    Crowd one;
    auto begun = Clock::now();
    LoadClient& client = one.add(connect());
    client.call(options_.stream);
    client.flush();
    await(
        one, [&] { return client.messages() > 0; }, [](LoadClient&) {});
    times.push_back(kMicroseconds(Clock::now() - begun));
  }
  auto out = percentiles(std::move(times));
  out["server_cpu_us"] = each(kMicroseconds(server_.cpu() - cpu), n);
  return out;
}

nlohmann::json Load::calls(std::size_t n) {
  Crowd crowd;
  std::size_t begun = 0;
  std::size_t ended = 0;
  auto next = [&](LoadClient& client) {
    client.mark = client.messages();
    if (begun < n) client.call(options_.call);
    ++begun;
    client.flush();
  };
  auto start = Clock::now();
  auto cpu = server_.cpu();
  while (crowd.size() < std::min(n, options_.call_connections)) next(crowd.add(connect()));
  await(
      crowd, [&] { return ended >= n; },
      [&](LoadClient& client) {
        // A stream has served its purpose with its first message.
        if (client.open_calls() > 0 && client.messages() > client.mark) {
          client.cancel();
          client.flush();
        }
        if (client.open_calls() > 0 || ended >= n) return;
        ++ended;
        next(client);
      });
  std::chrono::duration<double> seconds = Clock::now() - start;
  return {{"n", n},
          {"per_second", static_cast<double>(n) / seconds.count()},
          {"server_cpu_us", each(kMicroseconds(server_.cpu() - cpu), n)},
          {"ended_with_status", by_status(crowd)}};
}

nlohmann::json Load::streams(std::size_t n) {
  std::size_t before = server_.rss_kib();
  for (std::size_t i = 0; i < n; ++i) {
    LoadClient& client = crowd_.add(connect());
    client.call(options_.stream);
    client.flush();
    await(
        crowd_, [&] { return client.messages() > 0; }, [](LoadClient&) {});
  }
  std::size_t after = server_.rss_kib();
  return {{"n", n},
          {"rss_before_kib", before},
          {"rss_after_kib", after},
          {"kib_per_stream", each(static_cast<double>(after) - static_cast<double>(before), n)}};
}

nlohmann::json Load::pushes(std::size_t n) {
  auto out = nlohmann::json::array();
  for (std::size_t i = 0; i < n; ++i) out.push_back(push());
  return out;
}

nlohmann::json Load::push() {
  std::size_t behind = crowd_.size();
  for (const auto& client : crowd_.clients()) client->mark = client->messages();
  auto cpu = server_.cpu();
  auto own_cpu = own_.cpu();
  auto begun = Clock::now();
  cause_event();
  Clock::time_point first{};
  await(
      crowd_, [&] { return behind == 0; },
      [&](LoadClient& client) {
        if (client.messages() == client.mark) return;
        if (first == Clock::time_point()) first = Clock::now();
        client.mark = std::numeric_limits<std::size_t>::max();
        --behind;
      });
  auto last = Clock::now();
  return {{"to_first_ms", kMilliseconds(first - begun)},
          {"to_last_ms", kMilliseconds(last - begun)},
          {"server_cpu_us_per_stream", each(kMicroseconds(server_.cpu() - cpu), crowd_.size())},
          {"client_cpu_us_per_stream", each(kMicroseconds(own_.cpu() - own_cpu), crowd_.size())}};
}

void Load::cause_event() {
  if (!options_.admin.empty()) {
    admin_ = LoadClient::connect(options_.admin);
    if (!admin_) stop("connect to " + options_.admin + ": " + std::strerror(errno));
    admin_->call(rotate_);
    admin_->flush();
    return;
  }
  ::signal(SIGCHLD, SIG_IGN);  // nobody waits for it
  if (::fork() != 0) return;
  ::execl("/bin/sh", "sh", "-c", options_.event.c_str(), nullptr);
  ::_exit(127);
}

nlohmann::json Load::storm() {
  std::size_t n = crowd_.size();
  std::size_t served = 0;
  std::size_t refused = 0;
  crowd_.clear();
  auto cpu = server_.cpu();
  auto begun = Clock::now();
  auto deadline = begun + options_.patience;
  std::size_t missing = n;
  while (served < n) {
    for (; missing > 0; --missing) {
      auto client = LoadClient::connect(options_.socket);
      if (!client && errno != EAGAIN)
        stop("connect to " + options_.socket + ": " + std::strerror(errno));
      if (!client) break;  // the backlog is full
      client->call(options_.stream);
      client->flush();
      crowd_.add(std::move(client));
    }
    std::size_t progress = served + refused;
    bool in_time = crowd_.run(
        deadline, [&] { return served + refused > progress; },
        [&](LoadClient& client, bool connected) {
          if (!connected) {
            ++refused;
            ++missing;
          } else if (client.mark == 0 && client.messages() > 0) {
            client.mark = 1;
            ++served;
          }
        });
    if (!in_time) stop("not all were served again in time");
  }
  auto time = Clock::now() - begun;
  return {{"n", n},
          {"to_last_ms", kMilliseconds(time)},
          {"closed_by_server", refused},
          {"server_cpu_us_per_stream", each(kMicroseconds(server_.cpu() - cpu), n)}};
}

}  // namespace nodepilot
