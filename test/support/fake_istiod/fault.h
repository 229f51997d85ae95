// What a fake CA does wrong, and how commands call it.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace nodepilot::test {

enum class Fault {
  kNone,
  // On the way: nobody listens; the connection is accepted and no byte said, before or after the
  // TLS handshake; the wrong sort of TLS, or none.
  kDown,
  kSilent,
  kSilentBehindTls,
  kPlaintext,
  kOtherTlsName,
  kUnknownTlsCa,
  kOldTls,
  kWeakCipher,
  kWeakTlsKey,
  // Of a call: a status, or its time.
  kReject,
  kHang,
  kSlow,             // by `time`
  kUnauthenticated,  // for `time` from now; for ever if that is 0
  kExhausted,        // come again after `time`; without a hint if that is 0
  // Of a leaf.
  kOtherKey,
  kOtherId,
  kTwoIds,
  kDnsName,
  kIpName,
  kEmailName,
  kOtherCase,
  kEscaped,
  kExpired,
  kNotYetValid,  // until `time` from now
  kLife,         // of `time`
  kCaLeaf,
  kSigningLeaf,
  kNoServerUse,
  kNoClientUse,
  kNameConstraint,
  kUnknownRoot,
  // Of the answer that carries it.
  kEmptyChain,
  kNoLeaf,
  kNoIntermediate,
  kOtherOrder,
  kDuplicates,
  kRootInChain,
  kGarbage,
  kGarbageInPem,
  kTruncated,
  kTrailingBytes,
  kHundredCertificates,
  kTenMegabytes,
  // Of the roots in its tail.
  kTwoRoots,
  kOtherRoots,
  kNoRoots,
};

struct Misdeed {
  Fault fault = Fault::kNone;
  std::chrono::milliseconds time{0};
};

// "not-yet-valid".
std::string to_string(Fault fault);
std::optional<Fault> parse_fault(std::string_view name);

inline bool is_of_transport(Fault fault) {
  return fault >= Fault::kDown && fault <= Fault::kWeakTlsKey;
}

}  // namespace nodepilot::test
