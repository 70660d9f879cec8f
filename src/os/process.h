// What the daemon's main() needs of the operating system besides a World: signals, the service
// manager, its own name.
#pragma once

#include <optional>
#include <string>

#include "base/deadline.h"
#include "base/result.h"
#include "os/poll.h"

namespace farshore::os {

// SIGTERM, SIGINT and SIGHUP as values instead of interruptions. Make it first in main(), before
// any thread: threads inherit that these signals are blocked. One at a time per process; its end
// gives the signals their old effect.
class Signals {
 public:
  Signals();
  ~Signals();
  Signals(const Signals&) = delete;
  Signals& operator=(const Signals&) = delete;

  // The next signal's number; empty when the deadline passed or `waker` woke. One thread.
  std::optional<int> wait(Deadline deadline, Waker* waker = nullptr);

 private:
  int fd_ = -1;
};

// Tells systemd, when it started us (NOTIFY_SOCKET, sd_notify(3)): "READY=1", "STATUS=...",
// "STOPPING=1". Does nothing without a service manager.
Result<void> notify_service(const std::string& state);

}  // namespace farshore::os
