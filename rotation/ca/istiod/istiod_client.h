// The connections to a CA that speaks Istio's CreateCertificate: TLS always, one call at a time
// with one deadline over all addresses. gRPC starts with the first call.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "agent/base/secret.h"
#include "proto/istio/ca.pb.h"
#include "rotation/ca/istiod/client_certificate.h"
#include "rotation/ca/istiod/istiod_options.h"
#include "rotation/ca/istiod/root_file.h"

namespace grpc {
class ClientContext;
}

namespace nodepilot {

// Thread: any, several at once.
class IstiodClient {
 public:
  using Request = istio::v1::auth::IstioCertificateRequest;
  using Response = istio::v1::auth::IstioCertificateResponse;

  // Whom we believe to be the server, and what we show it. A change makes new connections.
  struct Trust {
    ListedRootsPtr roots;             // never null
    ShownCertificatePtr certificate;  // null: none

    friend bool operator==(const Trust&, const Trust&) = default;
  };

  // Of `options` it uses what concerns connections and headers.
  explicit IstiodClient(IstiodOptions options);
  IstiodClient(const IstiodClient&) = delete;
  IstiodClient& operator=(const IstiodClient&) = delete;
  ~IstiodClient();

  // Asks the address that answered last, then the others in turn if that one cannot be reached or
  // does not answer in its share of the time. The token goes only to a server that has proven
  // itself. A failure closes the connection, so that the next call looks up the name anew. Errors
  // have the server's code, tell of every address, and never hold the token.
  expected<Response> create_certificate(const Request& request, const SecretBytes& token,
                                        const Trust& trust);

  // Ends the calls under way, and all later ones, with kCancelled.
  void stop();

 private:
  struct Connection;
  using ConnectionPtr = std::shared_ptr<Connection>;
  class InFlight;

  expected<Response> ask(std::size_t index, const Request& request, const SecretBytes& token,
                         const Trust& trust, Duration timeout);
  ConnectionPtr connection(std::size_t index, const Trust& trust);
  void drop(std::size_t index, const ConnectionPtr& failed);
  ConnectionPtr connect(const std::string& address, const Trust& trust) const;
  void prepare(grpc::ClientContext& context, const SecretBytes& token, Duration timeout) const;

  const IstiodOptions options_;  // constant after construction

  std::mutex mutex_;                        // guards the rest; never held while a call waits
  std::vector<ConnectionPtr> connections_;  // by address; null: none yet
  std::size_t preferred_ = 0;               // the address that answered last
  std::set<grpc::ClientContext*> in_flight_;
  bool stopped_ = false;
};

}  // namespace nodepilot
