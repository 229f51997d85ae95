#include "agent/config/listen.h"

#include "agent/base/log.h"
#include "rotation/https/url.h"

namespace nodepilot {

expected<ListenAddress> parse_listen(std::string_view text) {
  // An https URL knows how addresses and ports are written.
  auto url = Url::parse("https://" + std::string(text));
  bool is_complete =
      url && url->host_is_address() && text.ends_with(':' + std::to_string(url->port()));
  if (is_complete && url->str().size() == text.size() + 8 && url->target() == "/") {
    return ListenAddress{url->host(), url->port()};
  }
  return fail(Code::kInvalidArgument,
              "must be an IP address and a port, such as 0.0.0.0:8443 or [::]:8443, got " +
                  quote(text.substr(0, 80)));
}

}  // namespace nodepilot
