#include "os/poll.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "os/real/poll_many.h"
#include "os/real/real_world.h"

namespace farshore::os {

Waker::Waker() : fd_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  FARSHORE_CHECK(fd_ >= 0, "no eventfd: {}; raise the limit of open files", std::strerror(errno));
}

Waker::~Waker() {
  ::close(fd_);
}

void Waker::wake() {
  const std::uint64_t one = 1;
  // Fails only when the counter is full, that is, when it is awake already.
  [[maybe_unused]] const ssize_t ignored = ::write(fd_, &one, sizeof one);
}

void Waker::clear() {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t ignored = ::read(fd_, &count, sizeof count);
}

bool poll_many(std::span<pollfd> fds, Deadline deadline) {
  // CLOCK_MONOTONIC, by which the kernel counts, stands still in suspend: ask our own clock again
  // now and then.
  constexpr Duration kStepMax = 1min;
  while (true) {
    const Duration left = deadline.left(real_monotonic_now());
    const Duration step = std::min(left, kStepMax);
    timespec timeout{};
    timeout.tv_sec = static_cast<time_t>(step / 1s);
    timeout.tv_nsec = static_cast<long>((step % 1s).count());
    const int ready = ppoll(fds.data(), fds.size(), &timeout, nullptr);
    if (ready > 0) return true;
    FARSHORE_CHECK(ready == 0 || errno == EINTR, "poll: {}", std::strerror(errno));
    if (ready == 0 && step == left) return false;
  }
}

Readiness poll_fd(int fd, bool for_read, bool for_write, Deadline deadline, Waker* waker) {
  pollfd fds[2] = {{fd, 0, 0}, {waker != nullptr ? waker->fd() : -1, POLLIN, 0}};
  if (for_read) fds[0].events |= POLLIN;
  if (for_write) fds[0].events |= POLLOUT;
  Readiness result;
  if (!poll_many(fds, deadline)) return result;
  // An error or hang-up shows itself to whoever reads or writes next.
  const bool broken = (fds[0].revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
  result.readable = for_read && (broken || (fds[0].revents & POLLIN) != 0);
  result.writable = for_write && (broken || (fds[0].revents & POLLOUT) != 0);
  result.woken = fds[1].revents != 0;
  return result;
}

}  // namespace farshore::os
