#include "cli/wait.h"

#include "os/mutex.h"
#include "os/real/real_world.h"

namespace farshore::cli {

void wait_until(MonotonicTime time) {
  os::Mutex mutex;
  os::CondVar never_told;
  os::Lock lock(mutex);
  never_told.wait(lock, Deadline::at(time), [&] { return os::real_monotonic_now() >= time; });
}

}  // namespace farshore::cli
