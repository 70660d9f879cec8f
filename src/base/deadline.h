// Deadline: the moment by which a blocking call must have answered. Calls that block take one; none
// blocks for ever unless it is given Deadline::never().
#pragma once

#include <algorithm>

#include "base/units.h"

namespace farshore {

class Deadline {
 public:
  static constexpr Deadline at(MonotonicTime t) { return Deadline(t); }
  static constexpr Deadline never() { return Deadline(MonotonicTime::max()); }
  static constexpr Deadline passed() { return Deadline(MonotonicTime::min()); }
  static constexpr Deadline after(MonotonicTime now, Duration d) {
    return d >= MonotonicTime::max() - now ? never() : Deadline(now + d);
  }

  constexpr MonotonicTime time() const { return time_; }
  constexpr bool is_never() const { return time_ == MonotonicTime::max(); }
  constexpr bool reached(MonotonicTime now) const { return now >= time_; }
  constexpr Duration left(MonotonicTime now) const {
    if (is_never()) return Duration::max();
    return reached(now) ? Duration::zero() : time_ - now;
  }
  friend constexpr Deadline earlier(Deadline a, Deadline b) {
    return Deadline(std::min(a.time_, b.time_));
  }

 private:
  constexpr explicit Deadline(MonotonicTime t) : time_(t) {}
  MonotonicTime time_;
};

}  // namespace farshore
