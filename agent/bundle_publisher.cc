#include "agent/bundle_publisher.h"

#include "agent/base/log.h"
#include "rotation/pki/bundle_document.h"

namespace nodepilot {

BundlePublisher::BundlePublisher(std::unique_ptr<BundleEndpoint> endpoint, Clock& clock,
                                 Workers& workers, IdentityStore& store,
                                 const Publication& publication,
                                 const std::filesystem::path& state_dir)
    : clock_(clock),
      workers_(workers),
      store_(store),
      publication_(publication),
      sequence_(state_dir),
      endpoint_(std::move(endpoint)),
      self_(std::make_shared<BundlePublisher*>(this)) {}

expected<std::unique_ptr<BundlePublisher>> BundlePublisher::start(
    Loop& loop, Clock& clock, Workers& workers, IdentityStore& store,
    const Publication& publication, const std::filesystem::path& state_dir) {
  auto endpoint = TRY(BundleEndpoint::open(
      loop, {.address = publication.address, .port = publication.port}, publication.path));
  std::unique_ptr<BundlePublisher> publisher(
      new BundlePublisher(std::move(endpoint), clock, workers, store, publication, state_dir));
  TRY(publisher->show_certificate());
  publisher->store_watch_ = store.on_change([raw = publisher.get()] { raw->refresh(); });
  publisher->refresh();
  return publisher;
}

expected<void> BundlePublisher::show_certificate() {
  ShowTls show = [this](std::shared_ptr<TlsContext> tls) { endpoint_->show(std::move(tls)); };
  if (const auto* files = std::get_if<CertificateFiles>(&publication_.profile)) {
    file_certificate_.emplace(clock_, workers_, *files, show);
    return file_certificate_->start();
  }
  svid_certificate_.emplace(store_, show);
  return {};
}

void BundlePublisher::refresh() {
  BundlePtr bundle = store_.bundle();
  if (!bundle || bundle == published_ || is_numbering_) return;
  is_numbering_ = true;
  workers_.run(
      [sequence = sequence_, bundle, now = clock_.now()] { return sequence.number(*bundle, now); },
      [weak = std::weak_ptr<BundlePublisher*>(self_),
       bundle](const BundleSequence::Numbered& numbered) {
        if (auto self = weak.lock()) (*self)->finish(bundle, numbered);
      });
}

void BundlePublisher::finish(const BundlePtr& bundle, const BundleSequence::Numbered& numbered) {
  is_numbering_ = false;
  published_ = bundle;
  if (numbered.not_stored) {
    log::warn("sequence of our bundle not stored", {{"error", numbered.not_stored->message}});
  }
  endpoint_->publish(
      write_bundle_document({*bundle, numbered.sequence, publication_.refresh_hint, {}}));
  log::info("bundle published", {{"sequence", numbered.sequence},
                                 {"roots", bundle->roots().size()},
                                 {"jwt_keys", bundle->jwt_authorities().size()}});
  refresh();  // it may have changed meanwhile
}

}  // namespace nodepilot
