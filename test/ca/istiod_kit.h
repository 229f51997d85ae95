// A CA that speaks Istio's CreateCertificate over real TLS on the loopback, in this process.
#pragma once

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <openssl/pem.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "agent/base/secret.h"
#include "proto/istio/ca.grpc.pb.h"
#include "rotation/ca/istiod/istiod_options.h"
#include "rotation/pki/csr.h"
#include "rotation/pki/issuer.h"
#include "test/pki/test_ca.h"

namespace nodepilot::test {

using IstioRequest = istio::v1::auth::IstioCertificateRequest;
using IstioResponse = istio::v1::auth::IstioCertificateResponse;

inline constexpr const char* kServerName = "istiod.istio-system.svc";

// gRPC holds a server's certificate against the time that it really is.
inline Validity today() {
  auto now = std::chrono::floor<Duration>(std::chrono::system_clock::now());
  return {now - std::chrono::hours(1), now + std::chrono::hours(1)};
}

inline TestCa today_root(const std::string& name = "root") {
  return TestCa::root(name, [](Recipe& recipe) { recipe.validity = today(); });
}

inline Certificate server_certificate(const TestCa& ca, const PrivateKey& key,
                                      const std::string& name = kServerName) {
  return ca.leaf(key, "spiffe://example.org/istiod", [&](Recipe& recipe) {
    recipe.sans.push_back({GEN_DNS, name});
    recipe.validity = today();
  });
}

inline std::string text_of(const SecretBytes& bytes) { return {bytes.begin(), bytes.end()}; }

inline SecretBytes secret(std::string_view text) { return {text.begin(), text.end()}; }

inline SpiffeId id_of(const std::string& path) {
  return SpiffeId::make(TrustDomain::parse("example.org").value(), path).value();
}

inline Entry entry_of(const std::string& path) {
  return Entry{.id = path, .spiffe_id = id_of(path), .match = {}, .dns_names = {}, .hint = ""};
}

inline Csr parse_csr(const std::string& pem) {
  std::unique_ptr<BIO, decltype(&BIO_free)> text(
      BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())), BIO_free);
  std::unique_ptr<X509_REQ, decltype(&X509_REQ_free)> request(
      PEM_read_bio_X509_REQ(text.get(), nullptr, nullptr, nullptr), X509_REQ_free);
  unsigned char* der = nullptr;
  int length = i2d_X509_REQ(request.get(), &der);
  std::string bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(length));
  OPENSSL_free(der);
  return Csr::parse_der(bytes).value();
}

class ScriptedIstiod : public istio::v1::auth::IstioCertificateService::Service {
 public:
  using Answer =
      std::function<grpc::Status(const IstioRequest&, grpc::ServerContext&, IstioResponse&)>;

  struct Call {
    std::map<std::string, std::string> metadata;
    IstioRequest request;
    std::string peer;
  };

  // Shows `chain`; clients must show a certificate of `client_ca`, if that is given.
  ScriptedIstiod(const Certificate& certificate, const PrivateKey& key, Answer answer,
                 const Certificate* client_ca = nullptr)
      : answer_(std::move(answer)) {
    grpc::SslServerCredentialsOptions tls(
        client_ca ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                  : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
    tls.pem_key_cert_pairs.push_back({text_of(key.pkcs8_pem()), certificate.pem()});
    if (client_ca) tls.pem_root_certs = client_ca->pem();
    listen(grpc::SslServerCredentials(tls));
  }
  // Plain text.
  explicit ScriptedIstiod(Answer answer) : answer_(std::move(answer)) {
    listen(grpc::InsecureServerCredentials());
  }
  ScriptedIstiod(const ScriptedIstiod&) = delete;
  ScriptedIstiod& operator=(const ScriptedIstiod&) = delete;
  ~ScriptedIstiod() override { server_->Shutdown(std::chrono::system_clock::now()); }

  std::string address() const { return "127.0.0.1:" + std::to_string(port_); }

  std::vector<Call> calls() const {
    std::lock_guard lock(mutex_);
    return calls_;
  }

  grpc::Status CreateCertificate(grpc::ServerContext* context, const IstioRequest* request,
                                 IstioResponse* response) override {
    Call call{{}, *request, context->peer()};
    for (const auto& [name, value] : context->client_metadata()) {
      call.metadata.emplace(std::string(name.data(), name.size()),
                            std::string(value.data(), value.size()));
    }
    {
      std::lock_guard lock(mutex_);
      calls_.push_back(std::move(call));
    }
    return answer_(*request, *context, *response);
  }

 private:
  void listen(const std::shared_ptr<grpc::ServerCredentials>& credentials) {
    grpc::ServerBuilder builder;
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddListeningPort("127.0.0.1:0", credentials, &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }

  const Answer answer_;
  int port_ = 0;
  mutable std::mutex mutex_;
  std::vector<Call> calls_;
  std::unique_ptr<grpc::Server> server_;
};

// Signs what is asked for, as istiod does for a node agent, and tells `roots`.
inline ScriptedIstiod::Answer signs_with(const TestCa& ca, const std::vector<Certificate>& roots) {
  return [&ca, roots](const IstioRequest& request, grpc::ServerContext&, IstioResponse& response) {
    const auto& fields = request.metadata().fields();
    auto asked = fields.find("ImpersonatedIdentity");
    std::string id =
        asked == fields.end() ? "spiffe://example.org/ns/a/sa/self" : asked->second.string_value();
    Entry entry = entry_of("/x");
    entry.spiffe_id = SpiffeId::parse(id).value();
    Csr csr = parse_csr(request.csr());
    response.add_cert_chain(make_leaf(ca.key, ca.certificate, csr, entry, today()).value().pem());
    response.add_cert_chain(concatenated_pem(roots));
    return grpc::Status::OK;
  };
}

inline ScriptedIstiod::Answer refuses_with(grpc::Status status) {
  return [status](const IstioRequest&, grpc::ServerContext&, IstioResponse&) { return status; };
}

}  // namespace nodepilot::test
