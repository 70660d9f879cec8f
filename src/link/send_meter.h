// SendMeter: what the sending threads of a session do with their time, as the level of compression
// is decided by. Pure; its owner locks.
#pragma once

#include <map>

#include "link/compression_level.h"

namespace farshore::link {

class SendMeter {
 public:
  void add_connection(int connection) { writing_since_[connection] = MonotonicTime::min(); }
  void remove_connection(int connection) { writing_since_.erase(connection); }

  void compressed(Duration took) { compressing_ += took; }
  void write_begins(int connection, MonotonicTime now) { writing_since_[connection] = now; }
  void write_ends(int connection, MonotonicTime now, std::uint64_t plain_bytes,
                  std::uint64_t wire_bytes);
  void looked(bool queued);  // at regular times: is there something to send?

  // Since the last sample; a write that still waits counts too.
  SendSample take_sample(MonotonicTime now);

 private:
  void count_write(MonotonicTime& since, MonotonicTime now);

  std::map<int, MonotonicTime> writing_since_;  // min: not writing
  MonotonicTime sampled_at_ = MonotonicTime::min();
  Duration compressing_{}, writing_{};
  std::uint64_t plain_bytes_ = 0, wire_bytes_ = 0;
  int looks_ = 0, queued_looks_ = 0;
};

}  // namespace farshore::link
