// The rotation room's stage, with all else that an operator is told of.
#pragma once

#include <string>
#include <vector>

#include "agent/admin.h"
#include "proto/nodepilot/admin.pb.h"
#include "test/rotation/rig.h"
#include "test/sds/kit.h"

namespace nodepilot {

struct AdminRig : Rig {
  explicit AdminRig(int entries, bool mesh = true) : Rig(entries), has_mesh(mesh) {}

  testing::TestCall call(const std::string& method) const {
    return {methods, "/nodepilot.admin.v1.Admin/" + method};
  }

  admin::v1::GetStatusResponse status() const {
    auto asked = call("GetStatus");
    asked.write(admin::v1::GetStatusRequest());
    return asked.read<admin::v1::GetStatusResponse>();
  }

  testing::ToldAttestor attestor;
  CallerIdentifier callers{clock, workers, {&attestor}};
  Refusals refusals{clock, [next = 1U]() mutable { return next++; }};
  std::vector<FederationStatus> federations;
  std::vector<OutputStatus> outputs;
  Listener::Standing standing = Listener::Standing::kServing;
  Incidents incidents;
  std::uint64_t rejections = 0;
  const bool has_mesh;
  mesh::PlaintextSources plaintext{clock.now(), 1};
  AdminContext context{.clock = clock,
                       .store = store,
                       .rotator = rotator,
                       .callers = callers,
                       .refusals = refusals,
                       .procfs = {},
                       .trust_domain = "td",
                       .ca_name = "fake",
                       .started_at = clock.now(),
                       .connections = [] { return std::size_t{7}; },
                       .incidents = [this] { return incidents; },
                       .rejections = [this] { return rejections; },
                       .sealed = true,
                       .state_failure =
                           [] {
                             return Error{Code::kInternal, "full"};
                           },
                       .federations = [this] { return federations; },
                       .outputs = [this] { return outputs; },
                       .standing = [this] { return standing; },
                       .plaintext = has_mesh ? &plaintext : nullptr};
  Methods methods = admin_methods(context);
};

}  // namespace nodepilot
