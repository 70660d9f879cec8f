// PoolGrowth: when a session should have one more connection. While much waits to be sent it grows
// to twice as many, looks what that gave, and stops growing when it made nothing faster. Pure.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/units.h"

namespace farshore::link {

class PoolGrowth {
 public:
  // At regular times. True: add one connection to the `connections` that there are.
  bool look(MonotonicTime now, std::uint64_t queued_bytes, std::uint64_t sent_bytes_total,
            Duration rtt, int connections);

  static constexpr std::uint64_t kQueued = 1_MiB;
  static constexpr Duration kPatience = 300ms;  // the queue must have been that long for so long
  static constexpr Duration kJudgeAfter = 2s;   // and at least so many round trips, in which a new
  static constexpr int kJudgeRoundTrips = 12;   // connection's slow start finds its rate
  static constexpr Duration kPause = 60s;       // after growth that did not help
  static constexpr double kGain = 1.1;

 private:
  void count_from(MonotonicTime now, std::uint64_t sent_bytes_total);
  double rate(MonotonicTime now, std::uint64_t sent_bytes_total) const;

  MonotonicTime queued_since_ = MonotonicTime::max();
  std::uint64_t sent_since_ = 0;  // total at queued_since_
  MonotonicTime grown_at_ = MonotonicTime::min();
  int wanted_ = 0;  // connections; while it is growing
  double rate_before_ = 0;
  MonotonicTime paused_until_ = MonotonicTime::min();
};

}  // namespace farshore::link
