#include "sds/rpc/listener.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "agent/base/log.h"
#include "sds/rpc/connection.h"
#include "sds/rpc/server_context.h"
#include "sds/rpc/socket_path.h"

namespace nodepilot {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;

constexpr std::chrono::milliseconds kBackOff{20};
constexpr int kAcceptsPerTurn = 8;  // those that are served already get their turn, too
constexpr Duration kImpatience = std::chrono::milliseconds(100);  // while waiting for a path

Fd spare_descriptor() { return Fd(::open("/dev/null", O_RDONLY | O_CLOEXEC)); }

bool out_of_descriptors(int error) { return error == EMFILE || error == ENFILE; }

ucred credentials(int socket) {
  ucred found{0, static_cast<uid_t>(-1), static_cast<gid_t>(-1)};
  socklen_t size = sizeof found;
  ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &found, &size);
  return found;
}

class SocketListener final : public Listener {
 public:
  SocketListener(Loop& loop, Options& options, Methods methods, SocketPath path)
      : context_(std::make_shared<ServerContext>(loop, options.name, options.limits,
                                                 std::move(methods))),
        procfs_(options.procfs),
        path_check_every_(options.path_check),
        on_standing_(std::move(options.on_standing)),
        path_(std::move(path)),
        socket_(loop.io()),
        back_off_(loop.io()),
        path_check_(loop.io()),
        grace_(loop.io()) {
    context_->on_closed = [this](Connection& connection) {
      connections_.erase(&connection);
      if (connections_.empty()) drained();
    };
  }

  ~SocketListener() override {
    context_->on_closed = nullptr;
    for (const auto& [key, connection] : connections_) connection->close();
  }

  expected<void> start() {
    if (path_.holder() != SocketPath::Holder::kAnother) {
      TRY(listen());
      standing_ = Standing::kServing;
    }
    watch_path();
    return {};
  }

  Standing standing() const override { return standing_; }
  void take_over() override {
    may_take_over_ = true;
    if (standing_ == Standing::kWaiting && !draining_) mend_path();
  }

  void drain(Duration grace, std::function<void()> done) override;
  std::size_t connections() const override { return connections_.size(); }
  const Incidents& incidents() const override { return context_->incidents.counts(); }
  int socket() override { return socket_.is_open() ? socket_.native_handle() : -1; }
  bool is_adopted() const override { return path_.is_adopted(); }
  void keep_path() override { path_.keep(); }

 private:
  // A handler for Asio that is void once it was cancelled or this is gone: a timer that has fired
  // already cannot be cancelled.
  template <class Step>
  auto later(Step step) {
    return [this, alive = std::weak_ptr(alive_), step](const boost::system::error_code& error) {
      if (error != asio::error::operation_aborted && !alive.expired()) step();
    };
  }

  expected<void> listen();
  void wait();
  void accept_some();
  bool accept_one();
  void serve(Fd socket);
  expected<void> try_serve(Fd socket, uid_t uid);
  void shed_one();
  void accept_waiting();
  void watch_path();
  void mend_path();
  void look_at_other();
  using Tell = decltype(log::warn);
  void serve_path(Tell* tell, const char* what);
  void stand(Standing standing);
  void drained();

  // Constant after construction.
  const std::shared_ptr<ServerContext> context_;
  const Procfs procfs_;
  const Duration path_check_every_;
  const std::function<void()> on_standing_;

  // Loop only.
  SocketPath path_;
  Standing standing_ = Standing::kWaiting;
  bool may_take_over_ = false;
  stream_descriptor socket_;
  bool waiting_ = false;           // for the socket to have a connection
  Fd spare_ = spare_descriptor();  // given up for a moment to accept, and close, one too many
  asio::steady_timer back_off_;
  asio::steady_timer path_check_;
  asio::steady_timer grace_;
  std::unordered_map<Connection*, std::shared_ptr<Connection>> connections_;
  bool draining_ = false;
  std::function<void()> done_;  // set until it is drained
  const std::shared_ptr<int> alive_ = std::make_shared<int>();
};

expected<void> SocketListener::listen() {
  Fd fresh = TRY(path_.listen());
  accept_waiting();
  boost::system::error_code error;
  socket_.close(error);
  socket_.assign(fresh.get(), error);
  if (error) return fail(Code::kResourceExhausted, "watch the socket: " + error.message());
  fresh.release();
  waiting_ = false;
  wait();
  return {};
}

void SocketListener::wait() {
  if (std::exchange(waiting_, true)) return;
  socket_.async_wait(stream_descriptor::wait_read, later([this] { accept_some(); }));
}

void SocketListener::accept_some() {
  waiting_ = false;
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    if (accept_one()) continue;
    int error = errno;
    if (error == EAGAIN) break;
    if (error == ECONNABORTED || error == EINTR) continue;
    if (out_of_descriptors(error)) shed_one();
    // No descriptors or no memory. Whatever it is: it may pass, and the loop must not spin on it.
    back_off_.expires_after(kBackOff);
    back_off_.async_wait(later([this] { wait(); }));
    return;
  }
  wait();
}

bool SocketListener::accept_one() {
  Fd accepted(::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
  if (!accepted) return false;
  serve(std::move(accepted));
  return true;
}

void SocketListener::shed_one() {
  spare_.reset();
  Fd shed(::accept4(socket_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC));
  if (shed) {
    ucred who = credentials(shed.get());
    context_->incidents.write("connection refused", who.pid, who.uid, "out of file descriptors",
                              std::chrono::steady_clock::now());
  }
  shed.reset();
  spare_ = spare_descriptor();
}

void SocketListener::serve(Fd socket) {
  ucred who = credentials(socket.get());
  auto served = try_serve(std::move(socket), who.uid);
  if (served) return;
  context_->incidents.write("connection refused", who.pid, who.uid, served.error().message,
                            std::chrono::steady_clock::now());
}

expected<void> SocketListener::try_serve(Fd socket, uid_t uid) {
  auto ticket = TRY(context_->admission.admit(uid));
  auto peer = TRY(Peer::of_socket(socket.get(), procfs_));
  auto connection = std::make_shared<Connection>(context_, std::move(peer), std::move(ticket));
  connections_.emplace(connection.get(), connection);
  auto started = connection->start(std::move(socket));
  if (!started) connection->close();
  return started;
}

// Who has connected to a socket that is about to be closed waits in its queue. It is no longer at
// the path, so that there is an end to them.
void SocketListener::accept_waiting() {
  if (!socket_.is_open()) return;
  for (int i = 0; i < SOMAXCONN && accept_one(); ++i) continue;
}

void SocketListener::watch_path() {
  path_check_.expires_after(standing_ == Standing::kWaiting
                                ? std::min(path_check_every_, kImpatience)
                                : path_check_every_);
  path_check_.async_wait(later([this] {
    mend_path();
    watch_path();
  }));
}

void SocketListener::mend_path() {
  switch (path_.holder()) {
    case SocketPath::Holder::kUs:
      return stand(Standing::kServing);
    case SocketPath::Holder::kUsLost:
      return serve_path(log::warn, "the socket was removed or replaced; put it back");
    case SocketPath::Holder::kAnother:
      return look_at_other();
  }
}

void SocketListener::look_at_other() {
  if (path_.inherit()) return serve_path(log::warn, "the other agent has ended; its path is ours");
  if (standing_ == Standing::kServing) {
    log::info("another agent took the path over; serving who is connected",
              {{"path", path_.path().native()}, {"connections", connections_.size()}});
    return stand(Standing::kFollowed);
  }
  if (standing_ == Standing::kWaiting && may_take_over_) {
    serve_path(log::info, "took the path over from another agent");
  }
}

void SocketListener::serve_path(Tell* tell, const char* what) {
  auto done = listen();
  tell(what, {{"path", path_.path().native()},
              {"outcome", done ? "done" : done.error().message.c_str()}});
  if (done) stand(Standing::kServing);
}

void SocketListener::stand(Standing standing) {
  if (std::exchange(standing_, standing) != standing) on_standing_();
}

void SocketListener::drain(Duration grace, std::function<void()> done) {
  draining_ = true;
  done_ = std::move(done);
  if (path_.holder() == SocketPath::Holder::kAnother) accept_waiting();
  boost::system::error_code ignored;
  socket_.close(ignored);
  back_off_.cancel();
  path_check_.cancel();
  grace_.expires_after(grace);
  grace_.async_wait(later([this] { drained(); }));
  auto open = connections_;  // a connection may close, and leave the map, while it is told
  for (const auto& [key, connection] : open) connection->drain();
  if (connections_.empty()) drained();
}

void SocketListener::drained() {
  if (!done_) return;
  grace_.cancel();
  context_->loop.post(std::exchange(done_, nullptr));
}

}  // namespace

expected<std::unique_ptr<Listener>> Listener::open(Loop& loop, Options options, Methods methods) {
  auto path = TRY(SocketPath::claim(options.path, options.mode, options.may_follow));
  return open(loop, std::move(options), std::move(methods), std::move(path));
}

expected<std::unique_ptr<Listener>> Listener::open(Loop& loop, Options options, Methods methods,
                                                   SocketPath path) {
  auto listener =
      std::make_unique<SocketListener>(loop, options, std::move(methods), std::move(path));
  TRY(listener->start());
  return listener;
}

}  // namespace nodepilot
