// The kubelet's HTTPS API, GET /pods.
#pragma once

#include <functional>
#include <stop_token>

#include "agent/config/kubernetes_options.h"
#include "attest/kubernetes/kubelet.h"
#include "rotation/https/https_client.h"

namespace nodepilot {

// Thread: worker, one request at a time.
class KubeletClient : public Kubelet {
 public:
  // `options` outlives it and every answer; `now` is called from any thread.
  KubeletClient(const KubernetesOptions& options, std::function<Time()> now)
      : options_(options), now_(std::move(now)) {}

  // Errors name the URL or the file: kUnavailable if the kubelet refused us (never
  // kPermissionDenied: it is we who lack a right, no caller), kDataLoss if it sent no JSON, else as
  // of https_send(). A token that was replaced since it was read is tried, too.
  expected<std::unique_ptr<PodListText>> pods() override;

  // Every request, present and to come, ends soon with kCancelled. Thread: any.
  void stop() { stop_.request_stop(); }

 private:
  expected<HttpsRequest> make_request(const SecretBytes& token) const;
  expected<std::unique_ptr<HttpsStream>> ask(const SecretBytes& token) const;

  const KubernetesOptions& options_;
  const std::function<Time()> now_;
  std::stop_source stop_;  // synchronizes itself
};

}  // namespace nodepilot
