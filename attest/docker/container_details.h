// What the Docker API tells of one container, as selectors. Podman's compatible API tells the same.
// Thread: any.
#pragma once

#include <string_view>

#include "agent/base/result.h"
#include "agent/base/selector.h"

namespace nodepilot {

// The selectors in `answer`, the body of GET /containers/<id>/json, if it is about the container
// `id`; kDataLoss if it is about another or not of that form. As SPIRE spells them:
//   docker:label:K:V docker:env:K=V docker:image_id:NAME docker:image_config_digest:sha256:HEX
// Labels and variables that no selector can spell (of control characters) are left out.
expected<Selectors> docker_selectors(std::string_view answer, std::string_view id);

}  // namespace nodepilot
