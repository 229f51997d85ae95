#include "agent/kubelet_client.h"

#include <fmt/format.h>

#include <algorithm>

#include "agent/base/files.h"
#include "agent/base/log.h"
#include "attest/kubernetes/pod_list_parser.h"

namespace nodepilot {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t kMaxTokenBytes = std::size_t{16} * 1024;

class StreamedText : public PodListText {
 public:
  explicit StreamedText(std::unique_ptr<HttpsStream> stream) : stream_(std::move(stream)) {}
  expected<std::string_view> read() override { return stream_->read(); }

 private:
  const std::unique_ptr<HttpsStream> stream_;
};

// A service account's token, which everyone in the pod may read, without white space around it.
expected<SecretBytes> read_token(const fs::path& file) {
  auto real = TRY(real_path(file));
  auto bytes = TRY(read_file_beneath(real.parent_path(), real.filename(), kMaxTokenBytes));
  auto is_space = [](std::uint8_t c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  bytes.erase(std::find_if_not(bytes.rbegin(), bytes.rend(), is_space).base(), bytes.end());
  bytes.erase(bytes.begin(), std::find_if_not(bytes.begin(), bytes.end(), is_space));
  auto is_word = [](std::uint8_t c) { return c > ' ' && c <= '~'; };
  if (!bytes.empty() && std::all_of(bytes.begin(), bytes.end(), is_word)) return bytes;
  return fail(Code::kFailedPrecondition,
              file.string() + ": must hold one word of printable ASCII, a token");
}

expected<std::vector<Certificate>> read_certificates(const fs::path& file) {
  auto real = TRY(real_path(file));
  auto pem = TRY(read_file(real, kMaxPemBytes));
  auto certificates = Certificate::parse_pem(pem);
  if (!certificates) return fail_with(file.string(), certificates.error());
  return certificates;
}

expected<ClientIdentity> read_identity(const KubeletCertificate& files) {
  auto chain = TRY(read_certificates(files.chain));
  auto real = TRY(real_path(files.key));
  auto pem = TRY(read_private_file(real, kMaxPrivateKeyPemBytes));
  auto key = PrivateKey::parse_pem(pem);
  if (!key) return fail_with(files.key.string(), key.error());
  return ClientIdentity{std::move(chain), *std::move(key)};
}

HttpsHeader bearer(const SecretBytes& token) {
  constexpr std::string_view kScheme = "Bearer ";
  HttpsHeader header{"Authorization", {kScheme.begin(), kScheme.end()}};
  header.value.insert(header.value.end(), token.begin(), token.end());
  return header;
}

bool is_refusal(unsigned status) { return status == 401 || status == 403; }

expected<void> check_head(const HttpsReply& head, const Url& url) {
  std::string what = fmt::format("GET {}: ", url.str());
  if (is_refusal(head.status)) {
    return fail(Code::kUnavailable,
                fmt::format("{}status {}: the kubelet refuses us; we need the right `get` on "
                            "nodes/pods (before Kubernetes 1.33: nodes/proxy)",
                            what, head.status));
  }
  if (head.status != 200) {
    return fail(Code::kUnavailable, fmt::format("{}status {}", what, head.status));
  }
  std::string type = head.content_type.substr(0, head.content_type.find(';'));
  if (type == "application/json") return {};
  return fail(Code::kDataLoss, what + "no JSON: its type is " + quote(type.substr(0, 80)));
}

}  // namespace

expected<HttpsRequest> KubeletClient::make_request(const SecretBytes& token) const {
  HttpsRequest request{.url = TRY(options_.kubelet.resolve("/pods")),
                       .headers = {},
                       .server = AnyServer{},
                       .client = {},
                       .now = now_(),
                       .timeout = options_.timeout,
                       .max_body_bytes = PodListLimits{}.max_bytes,
                       .stop = stop_.get_token()};
  if (!options_.skip_verify) {
    auto roots = TRY(read_certificates(options_.ca_file));
    request.server = WebServer{std::move(roots), options_.expected_name()};
  }
  if (options_.client_certificate) {
    request.client = TRY(read_identity(*options_.client_certificate));
  } else {
    request.headers.push_back(bearer(token));
  }
  return request;
}

expected<std::unique_ptr<HttpsStream>> KubeletClient::ask(const SecretBytes& token) const {
  auto request = TRY(make_request(token));
  return https_open(std::move(request));
}

expected<std::unique_ptr<PodListText>> KubeletClient::pods() {
  bool has_token = !options_.client_certificate;
  SecretBytes token;
  if (has_token) token = TRY(read_token(options_.token_file));
  auto stream = TRY(ask(token));
  if (has_token && is_refusal(stream->head().status)) {
    auto newer = TRY(read_token(options_.token_file));
    if (newer != token) stream = TRY(ask(newer));
  }
  TRY(check_head(stream->head(), options_.kubelet));
  return std::make_unique<StreamedText>(std::move(stream));
}

}  // namespace nodepilot
