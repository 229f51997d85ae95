// Loads the Unix socket of an agent, this one or another, and prints what it measured as JSON. One
// thread; bounded by its options.
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <cstdio>

#include "test/bench/load.h"

int main(int argc, char** argv) {
  using namespace nodepilot;
  LoadOptions options;
  std::string api = "workload";
  std::string call = "x509";
  std::size_t connects = 2000;
  std::size_t calls = 0;
  std::size_t streams = 5000;
  std::size_t pushes = 5;
  std::size_t pause = 0;
  bool storm = false;

  CLI::App app("Measures an agent that serves the SPIFFE Workload API or SDS on a Unix socket.");
  app.add_option("socket", options.socket, "its path")->required();
  app.add_option("--api", api, "what the streams are of")
      ->check(CLI::IsMember({"workload", "sds"}))
      ->capture_default_str();
  auto count = [&](const char* name, std::size_t& value, const char* help) {
    return app.add_option(name, value, help)->capture_default_str()->check(CLI::Range(0, 1000000));
  };
  count("--connects", connects, "connect, open a stream, get its first SVID: one after the other");
  count("--calls", calls, "calls of --call in a closed loop");
  app.add_option("--call", call, "x509 (first message, then cancelled), jwt or validate")
      ->check(CLI::IsMember({"x509", "jwt", "validate"}))
      ->capture_default_str();
  count("--call-connections", options.call_connections, "connections of that loop");
  count("--streams", streams, "connections with an open stream each");
  auto* event = app.add_option("--event", options.event,
                               "shell command that makes the agent send news to every stream");
  app.add_option("--admin", options.admin,
                 "the same by a nodepilot's admin socket: no command has to start first")
      ->excludes(event);
  count("--events", pushes, "how often");
  count(
      "--pause", pause,
      "microseconds between two looks at the streams' sockets; 0: as soon as one has something, so "
      "that the agent's CPU includes waking this program for each message");
  app.add_flag("--storm", storm, "at the end, all streams go away and come back at once");
  app.add_option("--server", options.server, "pid to measure; by default who made the socket");
  CLI11_PARSE(app, argc, argv);

  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  files.rlim_cur = files.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &files);

  options.pause = std::chrono::microseconds(pause);
  options.stream = *svid_stream(api);
  options.call = *single_call(call);
  bool has_event = !options.event.empty() || !options.admin.empty();
  Load load(std::move(options));
  nlohmann::json out;
  if (connects > 0) out["connect_and_first_svid"] = load.connects(connects);
  if (calls > 0) out["calls"] = load.calls(calls);
  if (streams > 0) out["streams"] = load.streams(streams);
  if (streams > 0 && has_event) out["pushes"] = load.pushes(pushes);
  if (streams > 0 && storm) out["storm"] = load.storm();
  std::puts(out.dump(2).c_str());
}
