#include "os/scheduler.h"

namespace farshore::os {
namespace {

constinit thread_local Scheduler* own_scheduler = nullptr;

}  // namespace

Scheduler* current_scheduler() {
  return own_scheduler;
}

void set_current_scheduler(Scheduler* scheduler) {
  own_scheduler = scheduler;
}

}  // namespace farshore::os
