// The bytes of one call of FetchX509SVID, and what came back for them.
// Thread: any; one owner.
#pragma once

#include <set>
#include <string>
#include <string_view>

namespace nodepilot {

// HTTP/2 preface, SETTINGS, HEADERS and the empty request: what a workload sends at once.
const std::string& call_bytes();

// What a connection brought.
enum class Outcome { kGranted, kRefused, kClosed, kSilent };

// Reads frames until it is clear what became of the call.
class Answer {
 public:
  // Whether it is clear now.
  bool feed(std::string_view bytes);
  // The connection has ended. A part of a grant is a grant.
  void end();

  Outcome outcome() const { return outcome_; }
  // The paths of the SPIFFE IDs, without the slash in front.
  const std::set<std::string>& granted() const { return granted_; }

 private:
  void frame(int type, int flags, std::string_view payload);
  void look_for_identities();

  std::string unread_;
  std::string messages_;  // of the call, with their prefixes
  bool decided_ = false;
  Outcome outcome_ = Outcome::kSilent;
  std::set<std::string> granted_;
};

// Reads `socket` until the answer is clear, or for `milliseconds`.
Answer read_answer(int socket, int milliseconds);

}  // namespace nodepilot
