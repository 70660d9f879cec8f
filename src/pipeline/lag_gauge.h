// LagGauge: lag at one place of the pipe from the commit times that passed it. Transit is the way
// of the newest commit, age is now minus the newest commit that passed: it grows with the clock
// while nothing comes. Unknown until the first. Commit times are the source database's clock;
// `offset` is that clock minus the caller's.
#pragma once

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
  void advance(WallTime commit_time, WallTime now, Duration offset = {}) {
    os::Lock lock(mutex_);
    if (commit_time <= commit_time_) return;
    commit_time_ = commit_time;
    transit_ = now + offset - commit_time;
  }
  Lag read(WallTime now, Duration offset = {}) const {
    os::Lock lock(mutex_);
    if (commit_time_ == WallTime{}) return {};
    return {.transit = transit_, .age = now + offset - commit_time_, .commit_time = commit_time_};
  }

 private:
  mutable os::Mutex mutex_;
  WallTime commit_time_{};
  Duration transit_{};
};

}  // namespace farshore::pipeline
