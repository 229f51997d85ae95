// The PKI of the fake istiod: certificates in istiod's shape, and in any that a fault gives them.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "test/pki/test_ca.h"
#include "test/support/fake_istiod/fault.h"

namespace nodepilot::test {

// Thread: one at a time.
class Mint {
 public:
  // `now` tells the time from which leaves count; TLS certificates are good by the real clock.
  explicit Mint(std::function<Time()> now);

  struct Order {
    std::string csr;  // PEM
    std::string id;
    std::chrono::seconds life;
    Misdeed misdeed;
  };
  // What istiod answers: leaf, intermediate, roots; PEM. No answer if there is no sense in the CSR.
  std::optional<std::vector<std::string>> fill(const Order& order);

  // For a TLS server, its key with it.
  struct Identity {
    std::string der;
    PrivateKey key;
  };
  // Below the root, or below a CA that nobody was told of.
  Identity tls_identity(const std::string& dns_name) const { return tls_identity(root_, dns_name); }
  Identity foreign_tls_identity(const std::string& dns_name) const {
    return tls_identity(stranger_, dns_name);
  }
  // For a key of any strength; DER.
  std::string tls_certificate(EVP_PKEY* key, const std::string& dns_name) const;

  // Below it is all that is good.
  std::string root() const { return root_.certificate.pem(); }
  // Of a CA that nobody was told of.
  std::string unknown_root() const { return stranger_.certificate.pem(); }

 private:
  TestCa long_lived_root(const std::string& name) const;
  static Identity tls_identity(const TestCa& ca, const std::string& dns_name);
  Recipe leaf_recipe(const Order& order) const;

  std::function<Time()> now_;
  TestCa root_;
  TestCa middle_;
  TestCa narrow_;  // an intermediate that may not sign for our trust domain
  TestCa stranger_;
};

}  // namespace nodepilot::test
