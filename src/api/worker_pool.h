// WorkerPool: the threads that answer requests, in place of httplib's own, which would queue
// without a limit. A full queue makes the accepting thread wait, so that further connections wait
// in the kernel's backlog.
#pragma once

#include <httplib.h>

#include <functional>
#include <vector>

#include "os/bounded_queue.h"
#include "os/thread.h"

namespace farshore::api {

class WorkerPool final : public httplib::TaskQueue {
 public:
  WorkerPool(int threads, std::size_t waiting_max) : waiting_({.items_max = waiting_max}) {
    for (int i = 0; i < threads; ++i)
      threads_.emplace_back(fmt::format("api-{}", i), [this](std::stop_token) { work(); });
  }

  void enqueue(std::function<void()> task) override {
    (void)waiting_.push(std::move(task), 1, Deadline::never());  // fails only after shutdown
  }
  void shutdown() override {
    waiting_.close();
    threads_.clear();
  }

 private:
  void work() {
    while (true) {
      auto task = waiting_.pop(Deadline::never());
      if (!task.ok()) return;
      (*task)();
    }
  }

  os::BoundedQueue<std::function<void()>> waiting_;
  std::vector<os::Thread> threads_;
};

}  // namespace farshore::api
