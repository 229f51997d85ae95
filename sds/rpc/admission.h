// Who may use how much of the server: connections and buffered bytes, in all and by uid. One uid
// may hold a quarter of the bytes, so that no user can have the calls of all others refused.
// Does no I/O. Thread: loop.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <unordered_map>
#include <utility>

#include "agent/base/result.h"
#include "sds/rpc/limits.h"

namespace nodepilot {

class Admission {
  struct Use {
    std::size_t connections = 0;
    std::size_t bytes = 0;
  };

 public:
  // One admitted connection. Must not outlive its Admission.
  class Ticket {
   public:
    Ticket(Ticket&& other) noexcept
        : admission_(std::exchange(other.admission_, nullptr)),
          uid_(other.uid_),
          held_(other.held_) {}
    Ticket& operator=(Ticket&&) = delete;
    ~Ticket() { release(); }

    // The connection holds so many bytes now.
    void hold(std::size_t bytes);
    // Whether its uid, or all together, hold too much for anything new.
    bool over_budget() const;
    // Gives everything back; the ticket is void from then on.
    void release();

   private:
    friend class Admission;
    Ticket(Admission& admission, uid_t uid) : admission_(&admission), uid_(uid) {}

    Admission* admission_;
    uid_t uid_;
    std::size_t held_ = 0;
  };

  explicit Admission(const Limits& limits) : limits_(limits) {}
  Admission(const Admission&) = delete;
  Admission& operator=(const Admission&) = delete;

  // kResourceExhausted says which limit is reached.
  expected<Ticket> admit(uid_t uid);

  std::size_t connections() const { return all_.connections; }
  std::size_t buffered_bytes() const { return all_.bytes; }

 private:
  const Limits limits_;
  Use all_;
  std::unordered_map<uid_t, Use> by_uid_;
};

}  // namespace nodepilot
