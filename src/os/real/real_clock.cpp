#include <sys/random.h>
#include <time.h>

#include <cerrno>
#include <cstring>

#include "os/real/real_parts.h"
#include "os/real/real_world.h"

namespace farshore::os {
namespace {

Duration read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec);
}

class RealClock : public Clock {
 public:
  MonotonicTime monotonic() override { return real_monotonic_now(); }
  WallTime wall() override { return real_wall_now(); }
};

class RealRandom : public Random {
 public:
  std::uint64_t next() override {
    std::uint64_t value = 0;
    ssize_t got = 0;
    do {
      got = getrandom(&value, sizeof value, 0);
    } while (got < 0 && errno == EINTR);
    FARSHORE_CHECK(got == sizeof value, "getrandom: {}", std::strerror(errno));
    return value;
  }
};

}  // namespace

MonotonicTime real_monotonic_now() {
  return MonotonicTime(read_clock(CLOCK_BOOTTIME));
}

WallTime real_wall_now() {
  return WallTime(read_clock(CLOCK_REALTIME));
}

std::unique_ptr<Clock> make_real_clock() {
  return std::make_unique<RealClock>();
}

std::unique_ptr<Random> make_real_random() {
  return std::make_unique<RealRandom>();
}

}  // namespace farshore::os
