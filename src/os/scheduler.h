// Scheduler: who decides which thread runs. A real thread has none (nullptr): locks, waits and
// sleeps are the kernel's. A simulated thread (os/sim) has the simulator's: only one runs at a
// time, each call below is a switch point, and time moves only when all wait. Mutex, CondVar,
// Thread and the simulated files and sockets are its only callers.
#pragma once

#include <functional>
#include <string>

#include "base/deadline.h"
#include "base/port.h"

namespace farshore::os {

struct Scheduler : Port {
  // Another thread may run here. `what` goes into the event trace.
  virtual void switch_point(const char* what) = 0;
  // Waits until wake(object) or the deadline; false when the deadline came first.
  virtual bool block_on(const void* object, Deadline deadline, const char* what) = 0;
  virtual void wake(const void* object, bool all) = 0;
  // Starts a thread on the caller's simulated host; the id is for join.
  virtual std::uint64_t spawn(const std::string& name, std::function<void()> body) = 0;
  virtual void join(std::uint64_t id) = 0;
  // While a thread runs stop callbacks it goes before all others whenever it can: a
  // std::stop_callback that is being destroyed waits for them in the kernel, with the simulator's
  // only right to run.
  virtual void set_urgent(bool urgent) = 0;
  // Lets an urgent thread run that waited for what the caller has just released.
  virtual void let_urgent_run() = 0;
  virtual MonotonicTime now() = 0;
};

// The calling thread's scheduler, nullptr for a real thread. Set once per simulated thread by
// os/sim.
Scheduler* current_scheduler();
void set_current_scheduler(Scheduler* scheduler);

}  // namespace farshore::os
