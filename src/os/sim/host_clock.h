// HostClock: how one simulated host sees the simulation's time. Virtual time is a Duration since
// the start.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/units.h"

namespace farshore::os::sim {

struct HostClock {
  Duration monotonic_offset{};
  std::int64_t drift_ppb = 0;  // > 0: runs fast
  WallTime wall_at_start{};

  MonotonicTime monotonic(Duration virtual_time) const {
    return MonotonicTime(monotonic_offset + elapsed(virtual_time));
  }
  WallTime wall(Duration virtual_time) const { return wall_at_start + elapsed(virtual_time); }

  // The earliest virtual time at which monotonic() is at least `time`.
  Duration virtual_time_of(MonotonicTime time) const {
    constexpr std::int64_t kFarthest = std::int64_t{1} << 61;  // 73 years
    const std::int64_t wanted =
        std::min((time.time_since_epoch() - monotonic_offset).count(), kFarthest);
    if (wanted <= 0) return Duration::zero();
    Duration guess(static_cast<std::int64_t>(static_cast<__int128>(wanted) * kBillion /
                                             (kBillion + drift_ppb)));
    while (elapsed(guess).count() < wanted) ++guess;
    while (guess > Duration::zero() && elapsed(guess - Duration(1)).count() >= wanted) --guess;
    return guess;
  }

 private:
  static constexpr std::int64_t kBillion = 1'000'000'000;

  Duration elapsed(Duration virtual_time) const {
    const __int128 drift = static_cast<__int128>(virtual_time.count()) * drift_ppb / kBillion;
    return virtual_time + Duration(static_cast<std::int64_t>(drift));
  }
};

}  // namespace farshore::os::sim
