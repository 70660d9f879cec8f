// Baton: by which one simulated thread gives another the right to run. A plain futex:
// std::binary_semaphore spins first, which on the one processor of a simulation only delays the
// other.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

namespace farshore::os::sim {

class Baton {
 public:
  void give() {
    state_.store(1, std::memory_order_release);
    syscall(SYS_futex, reinterpret_cast<int*>(&state_), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  }
  void take() {
    while (state_.exchange(0, std::memory_order_acquire) == 0) {
      syscall(SYS_futex, reinterpret_cast<int*>(&state_), FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr,
              0);
    }
  }

 private:
  std::atomic<int> state_ = 0;
};

}  // namespace farshore::os::sim
