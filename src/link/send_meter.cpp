#include "link/send_meter.h"

#include <algorithm>

namespace farshore::link {

void SendMeter::count_write(MonotonicTime& since, MonotonicTime now) {
  if (since == MonotonicTime::min()) return;
  writing_ += now - since;
  since = now;
}

void SendMeter::write_ends(int connection, MonotonicTime now, std::uint64_t plain_bytes,
                           std::uint64_t wire_bytes) {
  plain_bytes_ += plain_bytes;
  wire_bytes_ += wire_bytes;
  const auto at = writing_since_.find(connection);
  if (at == writing_since_.end()) return;
  count_write(at->second, now);
  at->second = MonotonicTime::min();
}

void SendMeter::looked(bool queued) {
  ++looks_;
  if (queued) ++queued_looks_;
}

SendSample SendMeter::take_sample(MonotonicTime now) {
  for (auto& [connection, since] : writing_since_) count_write(since, now);
  SendSample sample;
  if (sampled_at_ != MonotonicTime::min() && now > sampled_at_ && !writing_since_.empty()) {
    const double elapsed = seconds_of(now - sampled_at_);
    const double of_all = elapsed * static_cast<double>(writing_since_.size());
    sample = {.queued = looks_ == 0 ? 0.0 : static_cast<double>(queued_looks_) / looks_,
              .compressing = std::min(seconds_of(compressing_) / of_all, 1.0),
              .writing = std::min(seconds_of(writing_) / of_all, 1.0),
              .plain_bytes_per_second = static_cast<double>(plain_bytes_) / elapsed,
              .wire_bytes_per_second = static_cast<double>(wire_bytes_) / elapsed};
  }
  sampled_at_ = now;
  compressing_ = writing_ = {};
  plain_bytes_ = wire_bytes_ = 0;
  looks_ = queued_looks_ = 0;
  return sample;
}

}  // namespace farshore::link
