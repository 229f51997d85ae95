// What the tests of this room are made of: a CA in memory, calls without a wire, and a store with
// callers whose selectors are told, not found.
#pragma once

#include <google/protobuf/message_lite.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/base/clock.h"
#include "agent/base/workers.h"
#include "rotation/identity_store.h"
#include "rotation/pki/issuer.h"
#include "sds/caller.h"
#include "sds/rpc/call.h"
#include "sds/secret_discovery.h"
#include "sds/workload_api.h"
#include "test/rotation/fake_jwt_signer.h"

namespace nodepilot::testing {

// An entry "NAME" for spiffe://example.org/NAME; the caller of Rig matches it.
Entry make_entry(const std::string& name, const std::string& hint = "");

const Time kNow = FakeClock().now();

class TestCa {
 public:
  explicit TestCa(const std::string& trust_domain, Time now = kNow);

  SvidPtr issue(const Entry& entry, Time now = kNow, Duration life = std::chrono::hours(1)) const;
  BundlePtr bundle(const std::vector<JwtAuthority>& jwt_authorities = {}) const;
  // Its own root and that of `other`, as while a CA is being replaced.
  BundlePtr bundle_with(const TestCa& other) const;

 private:
  TrustDomain trust_domain_;
  PrivateKey key_;
  Certificate root_;
};

// What a caller with these entries sees when all of them are issued.
WorkloadUpdate make_update(const TestCa& ca, const std::vector<Entry>& entries);
void federate(WorkloadUpdate& update, const TestCa& ca);

// The whole of a frame's message, without prefix.
std::string_view message_of(const Frame& frame);

// One call on one method. As in the real thing, a message that the client has not read yet is
// replaced by the next.
class TestCall : public Call {
 public:
  TestCall(const Methods& methods, std::string_view path, Metadata metadata = {});

  std::shared_ptr<const Peer> peer() const override { return peer_; }
  const Metadata& metadata() const override { return metadata_; }
  void send(Frame frame) override;
  void finish(Status status) override;
  void disconnect(std::string) override {}

  // The client's side.
  void write(const google::protobuf::MessageLite& message);
  void write_bytes(std::string_view message) { handler_->on_message(message); }
  std::size_t held() const { return handler_->held(); }
  void half_close() { handler_->on_half_close(*this); }
  bool has_message() const { return waiting_.has_value(); }
  const Frame& message() const { return *waiting_; }
  // Reads the one that waits; there must be one.
  template <class Message>
  Message read() {
    Message message;
    parse_waiting(message);
    return message;
  }
  // The end of the call: the handler is destroyed.
  void hang_up() { handler_.reset(); }

  const std::optional<Status>& status() const { return status_; }
  Code code() const { return status_ ? status_->code : Code::kUnknown; }
  std::size_t sends() const { return sends_; }

 private:
  void parse_waiting(google::protobuf::MessageLite& message);

  std::shared_ptr<const Peer> peer_;
  const Metadata metadata_;
  std::unique_ptr<CallHandler> handler_;
  std::optional<Frame> waiting_;
  std::optional<Status> status_;
  std::size_t sends_ = 0;
};

// Finds what it is told to find.
class ToldAttestor : public Attestor {
 public:
  const char* name() const override { return "unix"; }
  expected<Selectors> attest(const Peer&) const override {
    ++asked;
    return answer;
  }

  expected<Selectors> answer;
  mutable std::size_t asked = 0;
};

// The APIs over a store with the given entries.
struct Rig {
  explicit Rig(std::vector<Entry> entries);

  // Issues for the entry and installs it.
  SvidPtr install(const std::string& name, Duration life = std::chrono::hours(1));
  std::unique_ptr<TestCall> call(const Methods& methods, std::string_view path,
                                 Metadata metadata = {}) const;

  FakeClock clock;
  InlineWorkers workers;
  ToldAttestor attestor;
  TestCa ca;
  FakeJwtSigner jwt_signer{clock};
  IdentityStore store;
  JwtSvidCache jwt_svids{clock, workers, jwt_signer, store};
  CallerIdentifier callers;
  std::uint32_t next_ref = 0x7f3a91;  // counts up
  Refusals refusals{clock, [this] { return next_ref++; }};
  ApiContext context;
  SecretOptions secret_options;
  InlineWorkers file_workers;
  SecretFiles files;
};

}  // namespace nodepilot::testing
