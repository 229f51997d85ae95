// A listener on the loopback that only pretends: it takes connections, may do a TLS handshake, and
// says nothing more. What it hears is kept, so that a test can tell what was given away.
#pragma once

#include <openssl/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "agent/base/fd.h"

namespace nodepilot::test {

// A bound TCP socket of the loopback that others of this process may listen beside.
Fd bind_loopback(std::uint16_t port);
std::uint16_t port_of(const Fd& socket);

// Thread: any, but for construction and destruction.
class Decoy {
 public:
  struct Tls {
    std::string certificate;  // DER
    EVP_PKEY* key = nullptr;  // null: no TLS
    int newest = 0;           // the last TLS version that it speaks; 0: all
    std::string ciphers{};    // of OpenSSL's list format; empty: the usual ones
  };
  struct Heard {
    std::size_t connections = 0;
    std::size_t handshakes = 0;  // completed
    std::size_t resumed = 0;     // of those, the ones that went on with an earlier session
    std::string bytes{};         // without those of the handshakes
  };

  Decoy(std::uint16_t port, const Tls& tls);
  Decoy(const Decoy&) = delete;
  Decoy& operator=(const Decoy&) = delete;
  ~Decoy();

  Heard heard() const;

 private:
  struct Guest;

  void serve();
  void welcome();
  bool listen_to(Guest& guest);

  Fd listener_;
  std::shared_ptr<SSL_CTX> context_;  // null without TLS
  std::atomic<bool> over_ = false;
  mutable std::mutex mutex_;
  Heard heard_;
  std::vector<std::unique_ptr<Guest>> guests_;  // of the thread alone
  std::thread thread_;
};

}  // namespace nodepilot::test
