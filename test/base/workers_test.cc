#include "agent/base/workers.h"

#include <doctest/doctest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>

#include "agent/base/result.h"

using namespace nodepilot;

TEST_CASE("inline workers run the work and hand its result over at once") {
  InlineWorkers workers;
  int result = 0;

  workers.run([] { return 42; }, [&](int value) { result = value; });

  CHECK(result == 42);
  CHECK(workers.queued() == 0);
}

TEST_CASE("held workers do nothing until they are told to, and then the oldest job first") {
  InlineWorkers workers;
  std::string order;
  workers.hold();
  workers.run([&] { return order += "a"; }, [&](const std::string&) { order += "A"; });
  workers.run([&] { return order += "b"; }, [&](const std::string&) { order += "B"; });
  CHECK(order.empty());
  CHECK(workers.queued() == 2);

  CHECK(workers.run_one());
  CHECK(order == "aA");
  CHECK(workers.run_one());
  CHECK(order == "aAbB");
  CHECK_FALSE(workers.run_one());
}

TEST_CASE("workers stay held after one job has run") {
  InlineWorkers workers;
  int done = 0;
  workers.hold();
  workers.run([] { return 1; }, [&](int n) { done += n; });
  workers.run_one();

  workers.run([] { return 1; }, [&](int n) { done += n; });

  CHECK(done == 1);
  CHECK(workers.queued() == 1);
}

TEST_CASE("released workers run what has queued up, and later jobs at once") {
  InlineWorkers workers;
  int done = 0;
  workers.hold();
  workers.run([] { return 1; }, [&](int n) { done += n; });
  workers.run([] { return 2; }, [&](int n) { done += n; });

  workers.release();
  CHECK(done == 3);
  workers.run([] { return 4; }, [&](int n) { done += n; });
  CHECK(done == 7);
}

TEST_CASE("a completion may submit the next job, held or not") {
  InlineWorkers workers;
  std::string order;
  auto submit_two = [&] {
    workers.run([] { return 1; },
                [&](int) {
                  order += 'a';
                  workers.run([] { return 2; }, [&](int) { order += 'b'; });
                });
  };

  submit_two();
  CHECK(order == "ab");
  workers.hold();
  submit_two();
  workers.run_one();
  CHECK(order == "aba");
  CHECK(workers.queued() == 1);
}

TEST_CASE("a failure is delivered like any other result") {
  InlineWorkers workers;
  std::string message;

  workers.run([]() -> expected<int> { return fail(Code::kUnavailable, "the CA is down"); },
              [&](const expected<int>& result) { message = result.error().message; });

  CHECK(message == "the CA is down");
}

TEST_CASE("a pool works on its own thread and delivers on the loop's") {
  Loop loop;
  WorkerPool pool(loop, 1);
  std::thread::id worked_on;
  std::thread::id delivered_on;

  pool.run([] { return std::this_thread::get_id(); },
           [&](std::thread::id worker) {
             worked_on = worker;
             delivered_on = std::this_thread::get_id();
             loop.stop();
           });
  loop.run();

  CHECK(worked_on != std::thread::id());
  CHECK(worked_on != std::this_thread::get_id());
  CHECK(delivered_on == std::this_thread::get_id());
}

TEST_CASE("one job that blocks does not stop the pool's other threads") {
  Loop loop;
  WorkerPool pool(loop, 2);
  std::promise<void> unblock;
  std::string order;

  pool.run([future = unblock.get_future().share()] { return future.wait(), 1; },
           [&](int) {
             order += "slow";
             loop.stop();
           });
  pool.run([] { return 2; },
           [&](int) {
             order += "fast ";
             unblock.set_value();
           });
  loop.run();

  CHECK(order == "fast slow");
}

TEST_CASE("a pool that ends waits for the job it has begun") {
  Loop loop;
  std::promise<void> begun;
  std::atomic<bool> finished = false;
  auto pool = std::make_unique<WorkerPool>(loop, 1);
  pool->run(
      [&] {
        begun.set_value();
        for (int i = 0; i < 1000; ++i) std::this_thread::yield();
        finished = true;
        return 0;
      },
      [](int) {});
  begun.get_future().wait();

  pool.reset();

  CHECK(finished);
}
