// Stopper: lets a loop wait for a while and be woken at once by its stop token or by a poke.
#pragma once

#include <stop_token>

#include "os/mutex.h"
#include "os/world.h"

namespace farshore::pipeline {

class Stopper {
 public:
  explicit Stopper(os::World& world) : world_(world) {}

  // False when asked to stop meanwhile.
  bool wait(std::stop_token stop, Duration d) {
    std::stop_callback wake(stop, [this] { poke(); });
    os::Lock lock(mutex_);
    const Deadline deadline = world_.after(d);
    woken_.wait(lock, deadline, [&] { return stop.stop_requested() || poked_; });
    poked_ = false;
    return !stop.stop_requested();
  }
  void poke() {
    os::Lock lock(mutex_);
    poked_ = true;
    woken_.notify_all();
  }

 private:
  os::World& world_;
  os::Mutex mutex_;
  os::CondVar woken_;
  bool poked_ = false;
};

}  // namespace farshore::pipeline
