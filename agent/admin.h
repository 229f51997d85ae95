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
  std::function<std::size_t()> connections;                  // open on the public socket
  bool sealed = false;                                       // state is kept on the disk
  std::function<std::optional<Error>()> state_failure = {};  // why it is not
  std::function<std::vector<FederationStatus>()> federations;
  std::function<std::vector<OutputStatus>()> outputs;
  // Of the public socket.
  std::function<Listener::Standing()> standing = [] { return Listener::Standing::kServing; };
  // Why the mesh's policy is not the newest; empty if it is.
  std::function<std::string()> mesh_failure = [] { return std::string(); };
  const mesh::PlaintextSources* plaintext = nullptr;  // null without a mesh
};

// Thread: loop.
Methods admin_methods(const AdminContext& context);

}  // namespace nodepilot
