// Scrub: the thread that reads and checks every record once in Options::scrub_interval, paced, so
// that damage is found while the other region can still repair it.
#pragma once

#include "journal/log.h"
#include "os/thread.h"

namespace farshore::journal {

class Scrub {
 public:
  explicit Scrub(LogPtr log);

 private:
  os::Thread thread_;
};

// One segment, about from record `from` up to what is durable: reports damage to the log, also what
// the disk refuses to read and a missing file. `pace` is called about every MiB with the bytes that
// were read; false stops the scrub.
Result<void> scrub_segment(Log& log, const SegmentPtr& segment, Sequence from,
                           const std::function<bool(std::uint64_t)>& pace);

}  // namespace farshore::journal
