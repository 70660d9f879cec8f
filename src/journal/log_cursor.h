// LogCursor: the journal's TransactionCursor. Scans ahead to the next record that completes an
// item, then reads the item's records again one by one: from a small memory of what was scanned
// last, else from the log.
#pragma once

#include <deque>

#include "journal/log_frames.h"
#include "journal/open_transactions.h"

namespace farshore::journal {

constexpr std::uint64_t kScannedBytesMax = 2_MiB;
constexpr std::size_t kScannedRecordsMax = 8192;

class LogCursor : public TransactionCursor {
 public:
  LogCursor(const LogPtr& log, const OpenTransactions::Start& start);

  Result<std::optional<CursorItem>> next(Deadline deadline) override;
  Result<std::optional<PlacedRecord>> next_record() override;
  Result<void> rewind_item() override;
  Sequence restart() const override { return restart_; }

 private:
  Result<std::optional<CompleteItem>> scan_one(const Frame& frame);
  void remember(PlacedRecord placed);
  std::optional<PlacedRecord> recall(Sequence sequence);

  LogFrames scan_;
  LogFrames reread_;
  OpenTransactions open_;
  Sequence restart_;
  std::vector<RecordSpot> spots_;  // of the current item
  std::size_t next_spot_ = 0;
  struct Scanned {
    PlacedRecord placed;
    bool given = false;  // moved out
  };
  std::deque<Scanned> scanned_;  // consecutive sequences
  std::uint64_t scanned_bytes_ = 0;
};

}  // namespace farshore::journal
