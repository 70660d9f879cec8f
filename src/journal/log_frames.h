// LogFrames: a position in a log and the frames from there on, over all segments, as far as they
// are durable. What readers and cursors are made of. One thread.
#pragma once

#include <optional>

#include "journal/log.h"

namespace farshore::journal {

class LogFrames {
 public:
  LogFrames(LogPtr log, Sequence position);

  void seek(Sequence position);
  void seek_at(Sequence position, std::uint64_t offset);  // where its frame is known to lie
  Sequence position() const { return position_; }

  // The frame at the position, then moves on; nullopt: not durable yet. `hash` of the frame is
  // checked against the record before where that was read. overtaken, closed, io; corrupt (reported
  // to the log as damage); conflict: the position lies behind a tail that was set aside. A log that
  // was cleared has overtaken us.
  Result<std::optional<Frame>> next();
  // Waits until the position is durable; false when the deadline passed. closed.
  Result<bool> wait(Deadline deadline);
  // Looks again whether the log was closed, trimmed past us or cut: once for each call of our user.
  Result<void> refresh();

  Epoch epoch() const { return segment_->header.epoch; }  // of the frame that next() gave

 private:
  Result<void> check_state();  // caller holds the log's lock
  Result<void> enter();
  Result<void> advance_to_position();
  Result<void> check_same_files(std::size_t cuts);
  Error explain(Error error);

  LogPtr log_;
  Sequence position_;
  std::optional<std::uint64_t> offset_;  // of position_, when known and not entered yet
  std::size_t cuts_seen_ = 0;
  Sequence durable_;         // as of the last look
  std::uint64_t limit_ = 0;  // durable end of segment_, as of the last look
  Sequence segment_last_;    // newest record of segment_ that is durable
  SegmentPtr segment_;
  std::optional<SegmentReader> reader_;
};

Result<PlacedRecord> decode_frame(const Frame& frame, Epoch epoch);

}  // namespace farshore::journal
