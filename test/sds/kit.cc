#include "test/sds/kit.h"

#include <doctest/doctest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>

namespace nodepilot::testing {
namespace {

// This very process, at the other end of a socket pair.
std::shared_ptr<const Peer> own_peer() {
  std::array<int, 2> sockets{};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets.data()) == 0);
  Fd ours(sockets[0]);
  Fd theirs(sockets[1]);
  auto peer = Peer::of_socket(ours.get());
  REQUIRE(peer);
  return *peer;
}

const Selectors kCaller{{"unix", "uid:1000"}};

}  // namespace

Entry make_entry(const std::string& name, const std::string& hint) {
  return {.id = name,
          .spiffe_id = SpiffeId::parse("spiffe://example.org/" + name).value(),
          .match = kCaller,
          .dns_names = {},
          .hint = hint};
}

TestCa::TestCa(const std::string& trust_domain, Time now)
    : trust_domain_(TrustDomain::parse(trust_domain).value()),
      key_(PrivateKey::generate().value()),
      root_(make_root(key_, trust_domain_,
                      {now - std::chrono::hours(1), now + std::chrono::hours(1000)})
                .value()) {}

SvidPtr TestCa::issue(const Entry& entry, Time now, Duration life) const {
  auto key = PrivateKey::generate().value();
  auto csr = Csr::create(key, entry.spiffe_id).value();
  auto leaf = make_leaf(key_, root_, csr, entry, {now, now + life});
  REQUIRE(leaf);
  auto svid = X509Svid::verified(key, {*leaf}, *bundle(),
                                 {.id = entry.spiffe_id, .dns_names = {}, .now = now});
  REQUIRE(svid);
  return std::make_shared<const X509Svid>(*svid);
}

BundlePtr TestCa::bundle(const std::vector<JwtAuthority>& jwt_authorities) const {
  return std::make_shared<const TrustBundle>(
      TrustBundle::create(trust_domain_, {root_}, jwt_authorities).value());
}

BundlePtr TestCa::bundle_with(const TestCa& other) const {
  return std::make_shared<const TrustBundle>(
      TrustBundle::create(trust_domain_, {root_, other.root_}).value());
}

WorkloadUpdate make_update(const TestCa& ca, const std::vector<Entry>& entries) {
  WorkloadUpdate update;
  update.entitled = true;
  update.settled = true;
  update.bundle = ca.bundle();
  for (const Entry& entry : entries) {
    update.entries.push_back(std::make_shared<const Entry>(entry));
    update.svids.push_back({update.entries.back(), ca.issue(entry)});
  }
  return update;
}

void federate(WorkloadUpdate& update, const TestCa& ca) {
  BundlePtr bundle = ca.bundle();
  update.federated.insert_or_assign(bundle->trust_domain(), bundle);
}

std::string_view message_of(const Frame& frame) { return std::string_view(*frame.bytes).substr(5); }

TestCall::TestCall(const Methods& methods, std::string_view path, Metadata metadata)
    : peer_(own_peer()), metadata_(std::move(metadata)) {
  auto method =
      std::find_if(methods.begin(), methods.end(), [&](const Method& m) { return m.path == path; });
  REQUIRE(method != methods.end());
  handler_ = method->open(*this);
  REQUIRE(handler_);
}

void TestCall::send(Frame frame) {
  if (status_) return;
  ++sends_;
  waiting_ = std::move(frame);
}

void TestCall::finish(Status status) {
  REQUIRE_FALSE(status_);
  status_ = std::move(status);
}

void TestCall::write(const google::protobuf::MessageLite& message) {
  handler_->on_message(message.SerializeAsString());
}

void TestCall::parse_waiting(google::protobuf::MessageLite& message) {
  REQUIRE(waiting_);
  Frame frame = *std::move(waiting_);
  waiting_.reset();
  std::string_view bytes = message_of(frame);
  REQUIRE(message.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())));
  if (handler_ && !status_) handler_->on_sent();
}

Rig::Rig(std::vector<Entry> entries)
    : ca("example.org", clock.now()),
      store(clock, EntrySet(std::move(entries))),
      callers(clock, workers, {&attestor}),
      context{.clock = clock,
              .store = store,
              .callers = callers,
              .refusals = refusals,
              .workers = workers,
              .jwt_svids = &jwt_svids},
      files(clock, file_workers) {
  attestor.answer = kCaller;
  store.set_bundle(ca.bundle({jwt_signer.authority()}));
}

SvidPtr Rig::install(const std::string& name, Duration life) {
  SvidPtr svid = ca.issue(*store.entries().find(name), clock.now(), life);
  REQUIRE(store.install(name, svid));
  return svid;
}

std::unique_ptr<TestCall> Rig::call(const Methods& methods, std::string_view path,
                                    Metadata metadata) const {
  return std::make_unique<TestCall>(methods, path, std::move(metadata));
}

}  // namespace nodepilot::testing
