#include "os/mutex.h"

#include <algorithm>

#include "os/real/real_world.h"

namespace farshore::os {
namespace {

// The kernel's timed wait counts CLOCK_MONOTONIC, which stands still in suspend; a wait never
// trusts it for longer.
constexpr Duration kRealWaitMax = 1min;

}  // namespace

void Mutex::lock() {
  Scheduler* scheduler = current_scheduler();
  if (scheduler == nullptr) return real_.lock();
  scheduler->switch_point("lock");
  while (held_in_simulation_) scheduler->block_on(this, Deadline::never(), "lock");
  held_in_simulation_ = true;
}

void Mutex::unlock() {
  Scheduler* scheduler = current_scheduler();
  if (scheduler == nullptr) return real_.unlock();
  held_in_simulation_ = false;
  scheduler->wake(this, false);
  scheduler->let_urgent_run();
}

void CondVar::notify_one() {
  if (Scheduler* scheduler = current_scheduler()) return scheduler->wake(this, false);
  real_.notify_one();
}

void CondVar::notify_all() {
  if (Scheduler* scheduler = current_scheduler()) return scheduler->wake(this, true);
  real_.notify_all();
}

bool CondVar::wait(Lock& lock, Deadline deadline) {
  if (Scheduler* scheduler = current_scheduler()) {
    // Nobody runs between this and block_on, so no notify can fall into the gap.
    lock.mutex()->held_in_simulation_ = false;
    scheduler->wake(lock.mutex(), false);
    const bool woken = scheduler->block_on(this, deadline, "wait");
    while (lock.mutex()->held_in_simulation_) {
      scheduler->block_on(lock.mutex(), Deadline::never(), "lock");
    }
    lock.mutex()->held_in_simulation_ = true;
    return woken;
  }
  std::unique_lock<std::mutex> real_lock(lock.mutex()->real_, std::adopt_lock);
  bool in_time = true;
  if (deadline.is_never()) {
    real_.wait(real_lock);
  } else if (const Duration left = deadline.left(real_monotonic_now()); left <= Duration::zero()) {
    in_time = false;
  } else if (real_.wait_for(real_lock, std::min(left, kRealWaitMax)) == std::cv_status::timeout) {
    in_time = !deadline.reached(real_monotonic_now());
  }
  real_lock.release();  // stays locked for `lock`
  return in_time;
}

}  // namespace farshore::os
