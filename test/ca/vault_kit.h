// A Vault on the loopback that says what it is told to, and an agent's side of it in fake time.
#pragma once

#include <sys/stat.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "rotation/ca/vault/vault_ca.h"
#include "test/https/tls_server.h"
#include "test/pki/test_ca.h"
#include "test/support/temporary_directory.h"

namespace nodepilot::test {

using Json = nlohmann::json;

inline bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

inline std::string reply(int status, const std::string& body, const std::string& headers = "") {
  return "HTTP/1.1 " + std::to_string(status) +
         " X\r\nContent-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
}
inline std::string reply(const Json& body) { return reply(200, body.dump()); }
inline std::string refusal(int status, const std::string& error, const std::string& headers = "") {
  return reply(status, Json{{"errors", {error}}}.dump(), headers);
}

inline std::string lease(const std::string& token, int seconds, bool renewable = true) {
  return reply(Json{
      {"auth", {{"client_token", token}, {"lease_duration", seconds}, {"renewable", renewable}}}});
}

// The value of a header in a request; empty without.
inline std::string header(const std::string& request, const std::string& name) {
  auto at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return "";
  auto begin = at + name.size() + 4;
  return request.substr(begin, request.find("\r\n", begin) - begin);
}

inline Json body_of(const std::string& request) {
  return Json::parse(request.substr(request.find("\r\n\r\n") + 4));
}

class FakeVault {
 public:
  using Handler = std::function<std::string(const std::string& request)>;

  explicit FakeVault(const TestCa& web, const std::vector<Certificate>& client_roots = {})
      : server_(
            {web.leaf(key_, "https://vault", web_server)}, key_,
            [this](const std::string& request) { return answer(request); }, client_roots) {}

  Url url() const { return Url::parse(server_.url("localhost", "")).value(); }

  // "POST /v1/pki/sign/web" for each request so far.
  std::vector<std::string> asked() const {
    std::vector<std::string> lines;
    for (const std::string& request : requests) {
      lines.push_back(request.substr(0, request.find(" HTTP/1.1")));
    }
    return lines;
  }
  std::size_t count(const std::string& line) const {
    auto lines = asked();
    return static_cast<std::size_t>(std::count(lines.begin(), lines.end(), line));
  }

  std::map<std::string, Handler> handlers;  // by request line without its version
  std::vector<std::string> requests;        // whole ones

 private:
  static void web_server(Recipe& recipe) {
    recipe.sans = {{GEN_DNS, "localhost"}};
    recipe.validity = {noon() - std::chrono::hours(1), noon() + std::chrono::hours(20)};
  }
  std::string answer(const std::string& request) {
    requests.push_back(request);
    auto handler = handlers.find(asked().back());
    return handler == handlers.end() ? refusal(404, "no handler for route")
                                     : handler->second(request);
  }

  PrivateKey key_ = PrivateKey::generate().value();
  TlsServer server_;  // ends first
};

constexpr const char* kSign = "POST /v1/pki/sign/web";
constexpr const char* kChain = "GET /v1/pki/cert/ca_chain";
constexpr const char* kRenew = "POST /v1/auth/token/renew-self";
constexpr const char* kAppRole = "POST /v1/auth/approle/login";

struct VaultRig {
  TestCa web = TestCa::root("web CA");
  TestCa pki = TestCa::root("pki root");
  PrivateKey key = PrivateKey::generate().value();
  TemporaryDirectory files;
  Time now = noon();
  FakeVault vault{web};
  Entry entry{.id = "web",
              .spiffe_id = SpiffeId::parse("spiffe://b.org/web").value(),
              .match = {},
              .ttl = std::chrono::hours(1),
              .dns_names = {},
              .hint = {}};

  VaultRig() {
    vault.handlers[kSign] = [this](const std::string&) { return signed_by(pki); };
  }

  std::filesystem::path write(const std::string& name, const std::string& text,
                              mode_t mode = 0600) const {
    auto path = files.write(name, text);
    ::chmod(path.c_str(), mode);
    return path;
  }
  // With a token file that holds s.file.
  VaultOptions options() const {
    VaultOptions with_file;
    with_file.addresses = {vault.url()};
    with_file.role = "web";
    with_file.ca_file = write("ca.pem", web.certificate.pem());
    with_file.auth = VaultTokenFile{write("token", "s.file\n")};
    return with_file;
  }
  VaultOptions approle() const {
    VaultOptions with_role = options();
    with_role.auth =
        VaultAppRole{.role_id = "node", .secret_id_file = write("secret-id", "secret-id-1\n")};
    return with_role;
  }
  std::unique_ptr<VaultCa> open(VaultOptions with) {
    return std::make_unique<VaultCa>(TrustDomain::parse("b.org").value(), std::move(with),
                                     [this] { return now; });
  }
  expected<std::vector<Certificate>> sign(VaultCa& ca) const {
    return ca.sign(Csr::create(key, entry.spiffe_id).value(), entry);
  }
  std::string refusal_of(VaultCa& ca) const {
    auto chain = sign(ca);
    return chain ? "signed" : chain.error().message;
  }

  // An answer of pki/sign for the key of the rig.
  std::string signed_by(const TestCa& issuer, const std::vector<std::string>& above = {}) const {
    Json chain = above.empty() ? Json{issuer.certificate.pem()} : Json(above);
    return reply(Json{{"data",
                       {{"certificate", issuer.leaf(key, entry.spiffe_id.str()).pem()},
                        {"issuing_ca", issuer.certificate.pem()},
                        {"ca_chain", chain}}}});
  }
};

}  // namespace nodepilot::test
