// The admin API (proto/nodepilot/admin.proto), served on the admin socket.
#pragma once

#include "agent/base/clock.h"
#include "agent/mesh/plaintext_sources.h"
#include "rotation/federation/federation_keeper.h"
#include "rotation/identity_store.h"
#include "rotation/outputs/output_keeper.h"
#include "rotation/rotator.h"
#include "sds/caller.h"
#include "sds/refusals.h"
#include "sds/rpc/call.h"
#include "sds/rpc/listener.h"

namespace nodepilot {

class MeshKeeper;

// All references outlive every call.
struct AdminContext {
  Clock& clock;
  IdentityStore& store;
  Rotator& rotator;
  CallerIdentifier& callers;
  const Refusals& refusals;
  Procfs procfs;
  std::string trust_domain;
  std::string ca_name;
  Time started_at;
  std::function<std::size_t()> connections;                           // open on the public socket
  std::function<Incidents()> incidents = [] { return Incidents(); };  // there
  // Answers of SDS that clients rejected.
  std::function<std::uint64_t()> rejections = [] { return std::uint64_t{0}; };
  bool sealed = false;                                       // state is kept on the disk
  std::function<std::optional<Error>()> state_failure = {};  // why it is not
  std::function<std::vector<FederationStatus>()> federations;
  std::function<std::vector<OutputStatus>()> outputs;
  // Of the public socket.
  std::function<Listener::Standing()> standing = [] { return Listener::Standing::kServing; };
  // Null without a mesh.
  const MeshKeeper* mesh = nullptr;
  const mesh::PlaintextSources* plaintext = nullptr;
};

// Thread: loop.
Methods admin_methods(const AdminContext& context);

}  // namespace nodepilot
