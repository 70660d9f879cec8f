#include "journal/log_reader.h"

namespace farshore::journal {
namespace {

constexpr std::size_t kRecordsAtOnceMax = 16'384;

}  // namespace

Result<std::vector<PlacedRecord>> LogReader::next(std::uint64_t bytes_max, Deadline deadline) {
  std::vector<PlacedRecord> records;
  FARSHORE_TRY_ASSIGN(const bool there, frames_.wait(deadline));
  std::uint64_t bytes = 0;
  while (there && records.size() < kRecordsAtOnceMax) {
    const Sequence before = frames_.position();
    auto frame = frames_.next();
    // What was read is given first; the error comes again with the next call.
    if (!frame && !records.empty()) break;
    if (!frame) return std::move(frame).error();
    if (!*frame) break;
    if (!records.empty() && bytes + (*frame)->encoded.size() > bytes_max) {
      frames_.seek_at(before, (*frame)->offset);
      break;
    }
    bytes += (*frame)->encoded.size();
    auto record = decode_frame(**frame, frames_.epoch());
    if (!record) frames_.seek_at(before, (*frame)->offset);
    if (!record && records.empty()) return std::move(record).error();
    if (!record) break;
    records.push_back(*std::move(record));
  }
  return records;
}

Result<void> LogReader::seek(Sequence next_sequence) {
  frames_.seek(std::max(next_sequence, Sequence(1)));
  return frames_.refresh();
}

}  // namespace farshore::journal
