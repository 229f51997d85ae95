// Threads for what blocks or computes: functions from values to values, off the loop.
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <vector>

#include "agent/base/loop.h"

namespace nodepilot {

class Workers {
 public:
  // What a job leaves to be done on the loop.
  using Completion = std::function<void()>;
  using Job = std::function<Completion()>;

  Workers() = default;
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;
  virtual ~Workers() = default;

  // Runs `job` on a worker, then what it returned on the loop. A job must not share mutable state
  // with anything; its completion must survive that its receiver is gone (weak_ptr). Thread: loop.
  virtual void submit(Job job) = 0;

  // work() on a worker, then done(its result) on the loop.
  template <class Work, class Done>
  void run(Work work, Done done) {
    submit([work = std::move(work), done = std::move(done)]() -> Completion {
      return [done, result = work()]() mutable { done(std::move(result)); };
    });
  }
};

// A fixed number of threads. The destructor drops what has not started and joins what has.
class WorkerPool : public Workers {
 public:
  WorkerPool(Loop& loop, std::size_t threads) : loop_(loop), pool_(threads) {}
  ~WorkerPool() override;
  void submit(Job job) override;

 private:
  Loop& loop_;
  boost::asio::thread_pool pool_;  // synchronizes itself
};

// For tests: runs job and completion inside submit(), or, once held, when told to.
class InlineWorkers : public Workers {
 public:
  void submit(Job job) override;

  // From now on jobs queue up until run_one() or release().
  void hold() { held_ = true; }
  // Runs the oldest queued job and its completion; false if there was none.
  bool run_one();
  void release();
  std::size_t queued() const { return queue_.size(); }

 private:
  bool held_ = false;
  std::vector<Job> queue_;
};

}  // namespace nodepilot
