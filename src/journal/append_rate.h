// AppendRate: bytes appended per hour over the last ten minutes, for forecasts. Pure.
#pragma once

#include <cstdint>
#include <deque>

#include "base/units.h"

namespace farshore::journal {

// Hours until `used` reaches `limit` at this rate.
inline double hours_until(std::uint64_t used, std::uint64_t limit, double bytes_per_hour) {
  return used >= limit ? 0.0 : static_cast<double>(limit - used) / bytes_per_hour;
}

class AppendRate {
 public:
  void sample(MonotonicTime now, std::uint64_t appended_bytes) {
    if (!samples_.empty() && now - samples_.back().at < kEvery) return;
    samples_.push_back({now, appended_bytes});
    while (samples_.size() > 2 && now - samples_.front().at > kWindow) samples_.pop_front();
  }

  // 0 while nothing is known or nothing was appended.
  double bytes_per_hour() const {
    if (samples_.size() < 2) return 0;
    const double seconds = seconds_of(samples_.back().at - samples_.front().at);
    return static_cast<double>(samples_.back().bytes - samples_.front().bytes) / seconds * 3600;
  }

 private:
  static constexpr Duration kEvery = 5s, kWindow = 10min;
  struct Sample {
    MonotonicTime at;
    std::uint64_t bytes;
  };
  std::deque<Sample> samples_;  // at most kWindow / kEvery
};

}  // namespace farshore::journal
