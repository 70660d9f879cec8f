#include "journal/log_cursor.h"

namespace farshore::journal {

LogCursor::LogCursor(const LogPtr& log, const OpenTransactions::Start& start)
    : scan_(log, start.from), reread_(log, start.from), open_(start), restart_(start.from) {}

Result<std::optional<CursorItem>> LogCursor::next(Deadline deadline) {
  spots_.clear();
  next_spot_ = 0;
  for (;;) {
    const Sequence before = scan_.position();
    FARSHORE_TRY_ASSIGN(const auto frame, scan_.next());
    if (!frame) {
      FARSHORE_TRY_ASSIGN(const bool there, scan_.wait(deadline));
      if (!there) return std::optional<CursorItem>();
      continue;
    }
    auto complete = scan_one(*frame);
    if (!complete) {
      scan_.seek_at(before, frame->offset);
      return std::move(complete).error();
    }
    if (!*complete) continue;
    spots_ = std::move((*complete)->spots);
    restart_ = open_.restart();
    return std::optional(std::move((*complete)->item));
  }
}

Result<std::optional<CompleteItem>> LogCursor::scan_one(const Frame& frame) {
  FARSHORE_TRY_ASSIGN(PlacedRecord placed, decode_frame(frame, scan_.epoch()));
  FARSHORE_TRY_ASSIGN(auto complete, open_.take(placed, frame.offset));
  remember(std::move(placed));
  return complete;
}

void LogCursor::remember(PlacedRecord placed) {
  scanned_bytes_ += placed.record.payload.size();
  scanned_.push_back({std::move(placed)});
  while (scanned_.size() > 1 &&
         (scanned_bytes_ > kScannedBytesMax || scanned_.size() > kScannedRecordsMax)) {
    if (!scanned_.front().given) scanned_bytes_ -= scanned_.front().placed.record.payload.size();
    scanned_.pop_front();
  }
}

std::optional<PlacedRecord> LogCursor::recall(Sequence sequence) {
  if (scanned_.empty() || sequence < scanned_.front().placed.place.sequence) return std::nullopt;
  const std::uint64_t index = sequence - scanned_.front().placed.place.sequence;
  if (index >= scanned_.size() || scanned_[index].given) return std::nullopt;
  Scanned& scanned = scanned_[index];
  scanned.given = true;
  scanned_bytes_ -= scanned.placed.record.payload.size();
  return std::exchange(scanned.placed, PlacedRecord{scanned.placed.place, scanned.placed.hash, {}});
}

Result<std::optional<PlacedRecord>> LogCursor::next_record() {
  if (next_spot_ >= spots_.size()) return std::optional<PlacedRecord>();
  const RecordSpot spot = spots_[next_spot_];
  std::optional<PlacedRecord> record = recall(spot.sequence);
  if (!record) {
    reread_.seek_at(spot.sequence, spot.offset);
    FARSHORE_TRY_ASSIGN(const auto frame, reread_.next());
    FARSHORE_CHECK(frame, "record {} was scanned but is not durable", spot.sequence);
    FARSHORE_TRY_ASSIGN(record, decode_frame(*frame, reread_.epoch()));
  }
  ++next_spot_;
  return record;
}

Result<void> LogCursor::rewind_item() {
  next_spot_ = 0;
  return {};
}

}  // namespace farshore::journal
