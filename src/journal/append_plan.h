// AppendPlan: records laid out as frames behind the end of the log, in memory: which segment, which
// offset, which hash. Nothing of the log changes until commit. Made and committed by the one thread
// that holds Log::appending.
#pragma once

#include <vector>

#include "journal/log.h"

namespace farshore::journal {

class AppendPlan {
 public:
  // Takes the log's lock for a moment.
  AppendPlan(Log& log, WallTime now);

  // The next record, with its epoch; the running hash that it leads to.
  std::uint64_t add(const Record& record, Epoch epoch);

  const LogEnd& end() const { return end_; }
  std::uint64_t bytes() const { return bytes_; }
  bool empty() const { return parts_.empty(); }
  // Caller holds Log::mutex.
  void commit();

 private:
  struct Spot {
    SegmentPtr segment;
    Sequence sequence;
    std::uint64_t offset;
    bool begins_preamble;
  };
  void open_segment(Epoch epoch);
  Pending& part_for(std::uint64_t frame_size, Epoch epoch);

  Log& log_;
  const WallTime now_;
  Sequence durable_;
  LogEnd end_;
  PreambleRun preamble_;
  SegmentPtr segment_;
  std::uint64_t offset_ = 0;
  std::uint64_t bytes_ = 0;  // frames, and headers of new segments
  std::vector<SegmentPtr> opened_;
  std::vector<Pending> parts_;
  Bytes first_buffer_;
  std::vector<Spot> spots_;
  std::vector<Unended::Note> unended_;
};

}  // namespace farshore::journal
