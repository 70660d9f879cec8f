// LogReader: the journal's Reader.
#pragma once

#include "journal/journal.h"
#include "journal/log_frames.h"

namespace farshore::journal {

class LogReader : public Reader {
 public:
  LogReader(LogPtr log, Sequence from) : frames_(std::move(log), from) {}

  Result<std::vector<PlacedRecord>> next(std::uint64_t bytes_max, Deadline deadline) override;
  Result<void> seek(Sequence next_sequence) override;
  Sequence position() const override { return frames_.position(); }

 private:
  LogFrames frames_;
};

}  // namespace farshore::journal
