// Mutex, Lock and CondVar: the only locks of Farshore. In a simulated thread they are switch points
// of the simulator.
#pragma once

#include <condition_variable>
#include <mutex>

#include "base/deadline.h"
#include "os/scheduler.h"

namespace farshore::os {

class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  void lock();
  void unlock();

 private:
  friend class CondVar;
  std::mutex real_;
  bool held_in_simulation_ = false;
};

using Lock = std::unique_lock<Mutex>;

// Waits may wake without a cause: always ask the condition again.
class CondVar {
 public:
  void notify_one();
  void notify_all();
  // False when the deadline passed first.
  bool wait(Lock& lock, Deadline deadline = Deadline::never());

  // Waits until `condition()` holds or the deadline passes; the condition's last answer.
  template <class Condition>
  bool wait(Lock& lock, Deadline deadline, Condition condition) {
    while (!condition()) {
      if (!wait(lock, deadline)) return condition();
    }
    return true;
  }

 private:
  std::condition_variable real_;
};

}  // namespace farshore::os
