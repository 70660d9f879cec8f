// Time and size with their units: types, and the text forms that users read and write ("10s",
// "1GiB", "20%").
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace farshore {

using Duration = std::chrono::nanoseconds;
using namespace std::chrono_literals;

// CLOCK_BOOTTIME: elapsed time, also over suspend. Compare only within one machine and one boot.
struct MonotonicClock {
  using rep = std::int64_t;
  using period = std::nano;
  using duration = Duration;
  using time_point = std::chrono::time_point<MonotonicClock>;
  static constexpr bool is_steady = true;
};
using MonotonicTime = MonotonicClock::time_point;

// CLOCK_REALTIME, as nanoseconds since 1970-01-01 00:00 UTC.
using WallTime = std::chrono::time_point<std::chrono::system_clock, Duration>;

inline double seconds_of(Duration d) {
  return std::chrono::duration<double>(d).count();
}

std::string format_duration(Duration d);        // "830ms", "2.4s", "3m12s", "1h04m", "2d3h"
std::string format_bytes(std::uint64_t bytes);  // "0B", "512B", "1.2MiB", "50GiB"
std::string format_time(WallTime t);            // "2026-11-24T16:17:12.345Z"
Result<Duration> parse_duration(
    std::string_view text);  // 500ms 10s 5m 1h 30d; a bare number is refused
Result<std::uint64_t> parse_bytes(
    std::string_view text);  // 64KiB 1GiB 10MB 512B; a bare number is refused
Result<WallTime> parse_time(std::string_view text);  // RFC 3339, UTC or with an offset

}  // namespace farshore
