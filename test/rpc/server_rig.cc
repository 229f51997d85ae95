#include "test/rpc/server_rig.h"

#include <algorithm>
#include <stdexcept>

#include "agent/base/log.h"

namespace nodepilot {

Frame make_reply(std::string_view message, bool secret) {
  return {std::make_shared<const std::string>(framed(message)), secret};
}

class ServerRig::Handler : public CallHandler {
 public:
  enum class Kind { kEcho, kWatch, kChat, kMute };

  Handler(ServerRig& rig, Call& call, Kind kind) : rig_(rig), call_(call), kind_(kind) {
    ++rig_.handlers;
  }
  ~Handler() override {
    --rig_.handlers;
    std::erase(rig_.watching_, this);
  }

  void on_message(std::string_view message) override {
    if (kind_ == Kind::kEcho || kind_ == Kind::kChat) {
      call_.send(make_reply("echo:" + std::string(message)));
    } else {
      rig_.heard.emplace_back(message);
    }
    if (kind_ == Kind::kEcho) call_.finish(Status());
    if (kind_ == Kind::kWatch) rig_.watching_.push_back(this);
  }
  void on_sent() override { rig_.sent += kind_ == Kind::kWatch ? 1 : 0; }

  Call& call() { return call_; }

 private:
  ServerRig& rig_;
  Call& call_;
  const Kind kind_;
};

ServerRig::ServerRig(Limits limits) : limits_(limits) {
  log::configure(log::Level::kOff, log::Format::kLogfmt, false);
  add_standard();
}

ServerRig::~ServerRig() {
  listener_.reset();
  loop_.io().poll();
}

void ServerRig::add_standard() {
  using Requests = Method::Requests;
  auto open = [this](Handler::Kind kind) {
    return [this, kind](Call& call) { return std::make_unique<Handler>(*this, call, kind); };
  };
  add({"/test.T/Echo", Requests::kOne, 16384, open(Handler::Kind::kEcho)});
  add({"/test.T/Watch", Requests::kOne, 16384, open(Handler::Kind::kWatch)});
  add({"/test.T/Chat", Requests::kMany, 16384, open(Handler::Kind::kChat)});
  add({"/test.T/Mute", Requests::kMany, 16384, open(Handler::Kind::kMute)});
}

void ServerRig::start() {
  if (listener_) return;
  Listener::Options options;
  options.path = path();
  options.mode = 0600;
  options.limits = limits_;
  options.name = "test";
  options.path_check = std::chrono::milliseconds(20);
  auto opened = Listener::open(loop_, options, methods_);
  if (!opened) throw std::runtime_error(opened.error().message);
  listener_ = std::move(*opened);
}

H2Client& ServerRig::connect(H2Client::Options options) {
  start();
  return *clients_.emplace_back(std::make_unique<H2Client>(path(), options));
}

UnixClient& ServerRig::raw() {
  start();
  return *raw_clients_.emplace_back(std::make_unique<UnixClient>(path()));
}

void ServerRig::pump() {
  for (auto& client : clients_) client->pump();
  for (auto& client : raw_clients_) client->pump();
}

bool ServerRig::until(const std::function<bool()>& done) {
  auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(2);
  while (!done()) {
    if (std::chrono::steady_clock::now() > give_up) return false;
    pump();
    if (loop_.io().stopped()) loop_.io().restart();
    if (loop_.io().poll() == 0) loop_.io().run_one_for(std::chrono::milliseconds(1));
  }
  return true;
}

void ServerRig::settle() {
  for (int quiet = 0; quiet < 3;) {
    pump();
    if (loop_.io().stopped()) loop_.io().restart();
    quiet = loop_.io().poll() == 0 ? quiet + 1 : 0;
  }
}

void ServerRig::push(std::string_view message, bool secret) {
  Frame reply = make_reply(message, secret);
  for (Handler* handler : watching_) handler->call().send(reply);
}

}  // namespace nodepilot
