// LagGauge: lag at one place of the pipe from the commit times that passed it. Transit is the way
// of the newest commit, age is now minus the newest commit that passed: it grows with the clock
// while nothing comes. Unknown until the first, and never negative: what two clocks are apart by
// less than can be measured is no lag. Commit times are of the source's clock; `offset` is that
// clock minus the caller's, as measured now. Any thread.
#pragma once

#include <algorithm>
#include <optional>

#include "base/units.h"
#include "os/mutex.h"

namespace farshore::pipeline {

struct Lag {
  std::optional<Duration> transit, age;
  WallTime commit_time{};  // newest commit that passed; zero: none
};

class LagGauge {
 public:
  void advance(WallTime commit_time, WallTime now) {
    os::Lock lock(mutex_);
    if (commit_time <= commit_time_) return;
    commit_time_ = commit_time;
    passed_at_ = now;
  }
  Lag read(WallTime now, Duration offset = {}) const {
    os::Lock lock(mutex_);
    if (commit_time_ == WallTime{}) return {};
    const auto until = [&](WallTime ours) {
      return std::max(ours + offset - commit_time_, Duration::zero());
    };
    return {.transit = until(passed_at_), .age = until(now), .commit_time = commit_time_};
  }

 private:
  mutable os::Mutex mutex_;
  WallTime commit_time_{};
  WallTime passed_at_{};  // of the caller's clock
};

}  // namespace farshore::pipeline
