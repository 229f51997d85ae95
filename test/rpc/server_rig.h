// A listener in a directory of its own with methods for tests, and the clients that talk to it:
// all on one thread, driven by until().
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sds/rpc/listener.h"
#include "test/rpc/h2_client.h"
#include "test/rpc/unix_client.h"
#include "test/support/temporary_directory.h"

namespace nodepilot {

// A message as the server sends it.
Frame make_reply(std::string_view message, bool secret = false);

class ServerRig {
 public:
  // The methods it serves:
  //   /test.T/Echo   one message; replies "echo:" and it, then OK
  //   /test.T/Watch  one message; stays open for push()
  //   /test.T/Chat   many; echoes each, ends with the half-close
  //   /test.T/Mute   many; never answers
  //   and what add() added.
  explicit ServerRig(Limits limits = Limits());
  ServerRig(const ServerRig&) = delete;
  ServerRig& operator=(const ServerRig&) = delete;
  ~ServerRig();

  // Before start() only.
  void add(Method method) { methods_.push_back(std::move(method)); }
  // Done by connect() and raw() if need be.
  void start();

  H2Client& connect(H2Client::Options options = H2Client::Options());
  UnixClient& raw();

  // Drives server and clients until `done`, for two seconds at most.
  bool until(const std::function<bool()>& done);
  // Drives both until neither has anything to do.
  void settle();

  // Sends to every call of Watch.
  void push(std::string_view message, bool secret = false);
  std::size_t watchers() const { return watching_.size(); }

  Loop& loop() { return loop_; }
  Listener& listener() { return *listener_; }
  void close_listener() { listener_.reset(); }
  std::filesystem::path path() const { return directory_ / "s"; }

  int handlers = 0;                // alive
  int sent = 0;                    // on_sent() calls of Watch
  std::vector<std::string> heard;  // messages, by Mute and Watch

 private:
  class Handler;
  void add_standard();
  void pump();

  Loop loop_;
  TemporaryDirectory directory_;
  Limits limits_;
  Methods methods_;
  std::vector<Handler*> watching_;
  std::unique_ptr<Listener> listener_;
  std::vector<std::unique_ptr<H2Client>> clients_;
  std::vector<std::unique_ptr<UnixClient>> raw_clients_;
};

// A handler made of functions.
struct FunctionHandler : CallHandler {
  std::function<void(std::string_view)> message = [](std::string_view) {};
  std::function<void()> sent = [] {};
  std::function<void()> destroyed = [] {};

  ~FunctionHandler() override { destroyed(); }
  void on_message(std::string_view bytes) override { message(bytes); }
  void on_sent() override { sent(); }
};

}  // namespace nodepilot
