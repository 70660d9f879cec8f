#include "link/pool_growth.h"

#include <algorithm>

namespace farshore::link {

double PoolGrowth::rate(MonotonicTime now, std::uint64_t sent_bytes_total) const {
  return static_cast<double>(sent_bytes_total - sent_since_) /
         std::max(seconds_of(now - queued_since_), 1e-3);
}

void PoolGrowth::count_from(MonotonicTime now, std::uint64_t sent_bytes_total) {
  queued_since_ = now;
  sent_since_ = sent_bytes_total;
}

bool PoolGrowth::look(MonotonicTime now, std::uint64_t queued_bytes, std::uint64_t sent_bytes_total,
                      Duration rtt, int connections) {
  if (queued_bytes <= kQueued) {
    queued_since_ = MonotonicTime::max();
    return false;
  }
  if (queued_since_ == MonotonicTime::max()) count_from(now, sent_bytes_total);
  const bool judging = grown_at_ != MonotonicTime::min();
  const Duration patience = judging ? std::max(kJudgeAfter, kJudgeRoundTrips * rtt) : kPatience;
  if (judging && connections < wanted_ && now - grown_at_ < patience) {
    count_from(now, sent_bytes_total);  // judged once they are all there
    return true;
  }
  if (now < paused_until_ || now - queued_since_ < patience) return false;
  const double rate_now = rate(now, sent_bytes_total);
  if (judging && rate_now < rate_before_ * kGain) {
    grown_at_ = MonotonicTime::min();
    paused_until_ = now + kPause;
    return false;
  }
  rate_before_ = rate_now;
  grown_at_ = now;
  wanted_ = 2 * connections;
  count_from(now, sent_bytes_total);
  return true;
}

}  // namespace farshore::link
