// TLS as every HTTPS client and server of ours speaks it: 1.2 and 1.3 with the cipher suites of
// Mozilla's "intermediate" profile, no resumption (a resumed session would not be checked again),
// no renegotiation, no compression.
#pragma once

// Boost 1.74's asio uses std::exchange without including it.
#include <utility>
//
#include <boost/asio/ssl/context.hpp>
#include <vector>

#include "agent/base/result.h"
#include "rotation/pki/certificate.h"
#include "rotation/pki/private_key.h"

namespace nodepilot {

using TlsContext = boost::asio::ssl::context;

// Trusts nobody yet. Thread: any.
expected<TlsContext> make_client_tls();

// Has the TLS side of `context` show `chain`, leaf first, with the key of the leaf. Thread: any.
expected<void> show(TlsContext& context, const std::vector<Certificate>& chain,
                    const PrivateKey& key);

// Shows `chain`, leaf first; asks clients for nothing. Thread: any.
expected<TlsContext> make_server_tls(const std::vector<Certificate>& chain, const PrivateKey& key);

}  // namespace nodepilot
