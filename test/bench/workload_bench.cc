// Drives a SPIFFE Workload API socket, this agent's or another's, and prints what it measured as
// JSON:
//   workload_bench SOCKET [--connects N] [--streams N] [--admin ADMIN_SOCKET]
// connects: connect + first SVID, one after the other. streams: N connections with an open stream
// each, and what they cost the server. With --admin a rotation is forced, and the time until the
// last stream has the new SVID is measured. One thread, bounded, loopback only.
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "test/rpc/h2_client.h"

namespace {

using namespace nodepilot;
using Clock = std::chrono::steady_clock;

constexpr const char* kFetch = "/SpiffeWorkloadAPI/FetchX509SVID";
constexpr const char* kRotate = "/nodepilot.admin.v1.Admin/Rotate";
constexpr std::string_view kRotateAll("\x10\x01", 2);  // RotateRequest{all: true}
constexpr auto kPatience = std::chrono::seconds(60);

struct Options {
  std::string socket;
  std::string admin;
  std::size_t connects = 2000;
  std::size_t streams = 5000;
};

[[noreturn]] void stop(const std::string& why) {
  std::fprintf(stderr, "workload_bench: %s\n", why.c_str());
  std::exit(1);
}

// An open FetchX509SVID.
struct Stream {
  explicit Stream(const std::string& socket)
      : client(socket), call(client.call(kFetch, "", {{"workload.spiffe.io", "true"}})) {}

  std::size_t messages() { return client[call].messages.size(); }

  H2Client client;
  std::int32_t call;
};

// Pumps `clients` as their sockets become ready, until `done`.
template <class Done>
void pump_until(const std::vector<H2Client*>& clients, Done done) {
  std::vector<pollfd> ready;
  for (H2Client* client : clients) ready.push_back({client->socket().fd(), POLLIN, 0});
  auto deadline = Clock::now() + kPatience;
  for (H2Client* client : clients) client->pump();
  while (!done()) {
    if (Clock::now() > deadline) stop("no answer in time");
    if (::poll(ready.data(), ready.size(), 1000) < 0) stop("poll failed");
    for (std::size_t i = 0; i < ready.size(); ++i) {
      if (ready[i].revents == 0) continue;
      clients[i]->pump();
      if (clients[i]->closed()) stop("the server closed a connection");
    }
  }
}

double microseconds(Clock::duration time) {
  return std::chrono::duration<double, std::micro>(time).count();
}

nlohmann::json percentiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  auto at = [&](double share) {
    return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1))];
  };
  return {{"n", values.size()}, {"p50_us", at(0.5)}, {"p99_us", at(0.99)}};
}

nlohmann::json measure_connects(const Options& options) {
  std::vector<double> times;
  for (std::size_t i = 0; i < options.connects; ++i) {
    auto begun = Clock::now();
    Stream stream(options.socket);
    pump_until({&stream.client}, [&] { return stream.messages() > 0; });
    times.push_back(microseconds(Clock::now() - begun));
  }
  return percentiles(std::move(times));
}

pid_t server_of(H2Client& client) {
  ucred peer{};
  socklen_t size = sizeof peer;
  ::getsockopt(client.socket().fd(), SOL_SOCKET, SO_PEERCRED, &peer, &size);
  return peer.pid;
}

// A line such as "VmRSS:  5300 kB" of a process's status.
std::size_t status_kib(pid_t pid, const std::string& key) {
  std::ifstream status("/proc/" + std::to_string(pid) + "/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":"))
      return std::strtoul(line.c_str() + key.size() + 1, nullptr, 10);
  }
  return 0;
}

double rotate_and_wait(const Options& options, std::vector<std::unique_ptr<Stream>>& streams,
                       const std::vector<H2Client*>& clients) {
  std::size_t before = streams.front()->messages();
  std::size_t behind = streams.size();
  auto caught_up = [&] {
    while (behind > 0 && streams[behind - 1]->messages() > before) --behind;
    return behind == 0;
  };
  H2Client admin(options.admin);
  auto begun = Clock::now();
  admin.call(kRotate, kRotateAll);
  admin.pump();
  pump_until(clients, caught_up);
  return microseconds(Clock::now() - begun) / 1000;
}

nlohmann::json measure_streams(const Options& options) {
  Stream probe(options.socket);
  pump_until({&probe.client}, [&] { return probe.messages() > 0; });
  pid_t server = server_of(probe.client);
  std::size_t rss_before = status_kib(server, "VmRSS");

  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<H2Client*> clients;
  for (std::size_t i = 0; i < options.streams; ++i) {
    streams.push_back(std::make_unique<Stream>(options.socket));
    Stream& stream = *streams.back();
    pump_until({&stream.client}, [&] { return stream.messages() > 0; });
    clients.push_back(&stream.client);
  }
  std::size_t rss_after = status_kib(server, "VmRSS");
  nlohmann::json out = {{"n", streams.size()},
                        {"rss_before_kib", rss_before},
                        {"rss_after_kib", rss_after},
                        {"kib_per_stream", static_cast<double>(rss_after - rss_before) /
                                               static_cast<double>(streams.size())}};
  if (options.admin.empty()) return out;
  for (int i = 0; i < 5; ++i) {
    out["rotation_to_last_stream_ms"].push_back(rotate_and_wait(options, streams, clients));
  }
  out["rss_after_rotations_kib"] = status_kib(server, "VmRSS");
  return out;
}

Options parse(int argc, char** argv) {
  Options options;
  std::vector<std::string> words(argv + 1, argv + argc);
  if (words.empty())
    stop("usage: workload_bench SOCKET [--connects N] [--streams N] [--admin SOCKET]");
  options.socket = words[0];
  for (std::size_t i = 1; i + 1 < words.size(); i += 2) {
    if (words[i] == "--connects")
      options.connects = std::strtoul(words[i + 1].c_str(), nullptr, 10);
    if (words[i] == "--streams") options.streams = std::strtoul(words[i + 1].c_str(), nullptr, 10);
    if (words[i] == "--admin") options.admin = words[i + 1];
  }
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  Options options = parse(argc, argv);
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  nlohmann::json out;
  if (options.connects > 0) out["connect_and_first_svid"] = measure_connects(options);
  if (options.streams > 0) out["streams"] = measure_streams(options);
  std::puts(out.dump(2).c_str());
}
