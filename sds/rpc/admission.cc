#include "sds/rpc/admission.h"

namespace nodepilot {

expected<Admission::Ticket> Admission::admit(uid_t uid) {
  if (all_.connections >= limits_.connections) {
    return fail(Code::kResourceExhausted,
                "all " + std::to_string(limits_.connections) + " connections are in use");
  }
  auto found = by_uid_.find(uid);
  if (found != by_uid_.end() && found->second.connections >= limits_.connections_per_uid) {
    return fail(Code::kResourceExhausted, "uid " + std::to_string(uid) + " uses all of its " +
                                              std::to_string(limits_.connections_per_uid) +
                                              " connections");
  }
  ++all_.connections;
  ++by_uid_[uid].connections;
  return Ticket(*this, uid);
}

void Admission::Ticket::hold(std::size_t bytes) {
  if (admission_ == nullptr || bytes == held_) return;
  admission_->all_.bytes += bytes - held_;  // unsigned arithmetic: right in both directions
  admission_->by_uid_.at(uid_).bytes += bytes - held_;
  held_ = bytes;
}

bool Admission::Ticket::over_budget() const {
  if (admission_ == nullptr) return true;
  std::size_t limit = admission_->limits_.buffered_bytes;
  return admission_->all_.bytes >= limit || admission_->by_uid_.at(uid_).bytes >= limit / 4;
}

void Admission::Ticket::release() {
  if (admission_ == nullptr) return;
  hold(0);
  --admission_->all_.connections;
  auto use = admission_->by_uid_.find(uid_);
  if (--use->second.connections == 0) admission_->by_uid_.erase(use);
  admission_ = nullptr;
}

}  // namespace nodepilot
