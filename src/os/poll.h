// Waiting on file descriptors that a library owns (libpq's socket), with a deadline and a way to be
// woken. Real only: engines are not simulated.
#pragma once

#include "base/deadline.h"
#include "base/result.h"

namespace farshore::os {

// An eventfd: wake() from any thread makes a poll that was given this Waker return `woken`, until
// it is cleared.
class Waker {
 public:
  Waker();
  ~Waker();
  Waker(const Waker&) = delete;
  Waker& operator=(const Waker&) = delete;
  void wake();
  void clear();
  int fd() const { return fd_; }

 private:
  int fd_;
};

struct Readiness {
  bool readable = false;
  bool writable = false;
  bool woken = false;  // none set: the deadline passed
};

Readiness poll_fd(int fd, bool for_read, bool for_write, Deadline deadline, Waker* waker = nullptr);

}  // namespace farshore::os
