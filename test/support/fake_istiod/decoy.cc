#include "test/support/fake_istiod/decoy.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>
#include <system_error>
#include <utility>

namespace nodepilot::test {
namespace {

constexpr int kTickMs = 10;
constexpr std::size_t kMaxHeard = std::size_t{1024} * 1024;

// gRPC insists on "h2".
int choose_h2(SSL*, const unsigned char** chosen, unsigned char* length, const unsigned char*,
              unsigned, void*) {
  static constexpr std::array<unsigned char, 2> kH2 = {'h', '2'};
  *chosen = kH2.data();
  *length = kH2.size();
  return SSL_TLSEXT_ERR_OK;
}

std::shared_ptr<SSL_CTX> make_context(const Decoy::Tls& tls) {
  std::shared_ptr<SSL_CTX> context(SSL_CTX_new(TLS_server_method()), SSL_CTX_free);
  SSL_CTX_set_security_level(context.get(), 0);  // it must be able to offer what is refused
  if (tls.newest != 0) {
    SSL_CTX_set_min_proto_version(context.get(), TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context.get(), tls.newest);
  }
  std::string ciphers = tls.ciphers.empty() ? "ALL:@SECLEVEL=0" : tls.ciphers;
  SSL_CTX_set_cipher_list(context.get(), ciphers.c_str());
  SSL_CTX_set_alpn_select_cb(context.get(), choose_h2, nullptr);
  SSL_CTX_use_certificate_ASN1(context.get(), static_cast<int>(tls.certificate.size()),
                               reinterpret_cast<const unsigned char*>(tls.certificate.data()));
  SSL_CTX_use_PrivateKey(context.get(), tls.key);
  return context;
}

[[noreturn]] void give_up(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

}  // namespace

Fd bind_loopback(std::uint16_t port) {
  Fd socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) give_up("socket");
  int yes = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &yes, sizeof yes);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    give_up("bind");
  }
  return socket;
}

std::uint16_t port_of(const Fd& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length) != 0) {
    give_up("getsockname");
  }
  return ntohs(address.sin_port);
}

struct Decoy::Guest {
  Fd socket;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, SSL_free};
  bool shook_hands = false;
};

Decoy::Decoy(std::uint16_t port, const Tls& tls)
    : listener_(bind_loopback(port)), context_(tls.key != nullptr ? make_context(tls) : nullptr) {
  if (listen(listener_.get(), SOMAXCONN) != 0) give_up("listen");
  thread_ = std::thread([this] { serve(); });
}

Decoy::~Decoy() {
  over_ = true;
  thread_.join();
}

Decoy::Heard Decoy::heard() const {
  std::scoped_lock lock(mutex_);
  return heard_;
}

void Decoy::serve() {
  // A guest who has gone is no reason to end the process that OpenSSL writes from.
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  while (!over_) {
    std::vector<pollfd> waited{{listener_.get(), POLLIN, 0}};
    for (const auto& guest : guests_) waited.push_back({guest->socket.get(), POLLIN, 0});
    if (poll(waited.data(), waited.size(), kTickMs) <= 0) continue;
    std::vector<std::unique_ptr<Guest>> staying;
    for (std::size_t place = 0; place < guests_.size(); ++place) {
      bool stays = waited[place + 1].revents == 0 || listen_to(*guests_[place]);
      if (stays) staying.push_back(std::move(guests_[place]));
    }
    guests_ = std::move(staying);
    if (waited.front().revents != 0) welcome();
  }
  guests_.clear();
}

void Decoy::welcome() {
  auto guest = std::make_unique<Guest>();
  guest->socket = Fd(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!guest->socket) return;
  if (context_) {
    guest->ssl.reset(SSL_new(context_.get()));
    SSL_set_fd(guest->ssl.get(), guest->socket.get());
  }
  guests_.push_back(std::move(guest));
  std::scoped_lock lock(mutex_);
  ++heard_.connections;
}

// False if the guest has gone.
bool Decoy::listen_to(Guest& guest) {
  std::array<char, 16 * 1024> buffer{};
  SSL* ssl = guest.ssl.get();
  ERR_clear_error();
  if (ssl != nullptr && !guest.shook_hands) {
    int done = SSL_accept(ssl);
    if (done != 1) return SSL_get_error(ssl, done) == SSL_ERROR_WANT_READ;
    guest.shook_hands = true;
    std::scoped_lock lock(mutex_);
    ++heard_.handshakes;
    if (SSL_session_reused(ssl) == 1) ++heard_.resumed;
  }
  auto size = static_cast<int>(buffer.size());
  auto got = ssl != nullptr
                 ? SSL_read(ssl, buffer.data(), size)
                 : static_cast<int>(recv(guest.socket.get(), buffer.data(), buffer.size(), 0));
  if (got <= 0) {
    return ssl != nullptr ? SSL_get_error(ssl, got) == SSL_ERROR_WANT_READ
                          : got < 0 && (errno == EAGAIN || errno == EINTR);
  }
  std::scoped_lock lock(mutex_);
  std::string_view news(buffer.data(), static_cast<std::size_t>(got));
  heard_.bytes += news.substr(0, kMaxHeard - std::min(kMaxHeard, heard_.bytes.size()));
  return true;
}

}  // namespace nodepilot::test
