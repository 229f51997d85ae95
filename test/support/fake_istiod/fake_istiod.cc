#include "test/support/fake_istiod/fake_istiod.h"

#include <grpcpp/grpcpp.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>

#include <stdexcept>
#include <utility>

namespace nodepilot::test {
namespace {

void add(Decoy::Heard& sum, const Decoy::Heard& more) {
  sum.connections += more.connections;
  sum.handshakes += more.handshakes;
  sum.resumed += more.resumed;
  sum.bytes += more.bytes;
}

}  // namespace

FakeIstiod::FakeIstiod(std::function<Time()> now)
    : reservation_(bind_loopback(0)),
      port_(port_of(reservation_)),
      mint_(std::move(now)),
      service_(mint_, "Kubernetes") {
  serve();
}

FakeIstiod::~FakeIstiod() { stop(); }

void FakeIstiod::set(Fault fault, std::chrono::milliseconds time, const std::string& only_for) {
  service_.set({fault, time}, only_for);
  if (fault == fault_) return;
  bool is_cut = is_of_transport(fault_) || is_of_transport(fault);
  fault_ = fault;
  if (!is_cut) return;
  stop();
  if (!is_of_transport(fault)) {
    serve();
  } else if (fault != Fault::kDown) {
    decoy_ = decoy_for(fault);
  }
}

Decoy::Heard FakeIstiod::heard() const {
  Decoy::Heard sum = heard_;
  if (decoy_) add(sum, decoy_->heard());
  return sum;
}

void FakeIstiod::serve() {
  Mint::Identity identity = mint_.tls_identity(kTlsName);
  SecretBytes key = identity.key.pkcs8_pem();
  grpc::SslServerCredentialsOptions tls(GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  tls.pem_key_cert_pairs.push_back(
      {std::string(key.begin(), key.end()), Certificate::parse_der(identity.der)->pem()});
  grpc::ServerBuilder builder;
  int bound = 0;
  builder.AddListeningPort(address(), grpc::SslServerCredentials(tls), &bound);
  builder.RegisterService(&service_);
  server_ = builder.BuildAndStart();
  if (!server_ || bound != port_)
    throw std::runtime_error("fake istiod: cannot serve " + address());
}

void FakeIstiod::stop() {
  if (server_) {
    server_->Shutdown(std::chrono::system_clock::now());
    server_->Wait();
    server_.reset();
  }
  if (decoy_) add(heard_, decoy_->heard());
  decoy_.reset();
}

std::unique_ptr<Decoy> FakeIstiod::decoy_for(Fault fault) {
  if (fault == Fault::kSilent || fault == Fault::kPlaintext) {
    return std::make_unique<Decoy>(port_, Decoy::Tls{});
  }
  if (fault == Fault::kWeakTlsKey) {
    std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(EVP_RSA_gen(1024), EVP_PKEY_free);
    Decoy::Tls tls{mint_.tls_certificate(key.get(), kTlsName), key.get()};
    return std::make_unique<Decoy>(port_, tls);
  }
  Mint::Identity identity = fault == Fault::kOtherTlsName   ? mint_.tls_identity("bank.example")
                            : fault == Fault::kUnknownTlsCa ? mint_.foreign_tls_identity(kTlsName)
                                                            : mint_.tls_identity(kTlsName);
  Decoy::Tls tls{identity.der, identity.key.evp()};
  if (fault == Fault::kOldTls) tls.newest = TLS1_1_VERSION;
  if (fault == Fault::kWeakCipher) {
    tls.newest = TLS1_2_VERSION;
    tls.ciphers = "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0";
  }
  return std::make_unique<Decoy>(port_, tls);
}

}  // namespace nodepilot::test
