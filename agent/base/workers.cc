#include "agent/base/workers.h"

#include <boost/asio/post.hpp>

namespace nodepilot {

WorkerPool::~WorkerPool() {
  pool_.stop();
  pool_.join();
}

void WorkerPool::submit(Job job) {
  loop_.assert_here();
  boost::asio::post(pool_, [this, job = std::move(job)] { loop_.post(job()); });
}

void InlineWorkers::submit(Job job) {
  if (held_) {
    queue_.push_back(std::move(job));
  } else {
    job()();
  }
}

bool InlineWorkers::run_one() {
  if (queue_.empty()) return false;
  Job job = std::move(queue_.front());
  queue_.erase(queue_.begin());
  job()();
  return true;
}

void InlineWorkers::release() {
  held_ = false;
  while (run_one()) {
  }
}

}  // namespace nodepilot
