#include "test/bench/crowd.h"

#include <sys/epoll.h>

#include <array>
#include <thread>

namespace nodepilot {

Crowd::Crowd(std::chrono::microseconds pause)
    : pause_(pause), poll_(::epoll_create1(EPOLL_CLOEXEC)) {}

LoadClient& Crowd::add(std::unique_ptr<LoadClient> client) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = client.get();
  ::epoll_ctl(poll_.get(), EPOLL_CTL_ADD, client->fd(), &event);
  clients_.push_back(std::move(client));
  return *clients_.back();
}

void Crowd::clear() { clients_.clear(); }

bool Crowd::run(Clock::time_point deadline, const std::function<bool()>& done,
                const std::function<void(LoadClient&, bool)>& pumped) {
  std::array<epoll_event, 256> ready{};
  while (!done()) {
    if (Clock::now() > deadline) return false;
    int n = ::epoll_wait(poll_.get(), ready.data(), static_cast<int>(ready.size()),
                         pause_.count() > 0 ? 0 : 100);
    if (n == 0 && pause_.count() > 0) std::this_thread::sleep_for(pause_);
    for (int i = 0; i < n; ++i) {
      auto& client = *static_cast<LoadClient*>(ready[static_cast<std::size_t>(i)].data.ptr);
      bool connected = client.pump();
      if (!connected) ::epoll_ctl(poll_.get(), EPOLL_CTL_DEL, client.fd(), nullptr);
      pumped(client, connected);
    }
  }
  return true;
}

}  // namespace nodepilot
