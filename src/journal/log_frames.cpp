#include "journal/log_frames.h"

#include <algorithm>

#include "change/record_codec.h"

namespace farshore::journal {

LogFrames::LogFrames(LogPtr log, Sequence position) : log_(std::move(log)), position_(position) {
  const os::Lock lock(log_->mutex);
  cuts_seen_ = log_->cuts.size();
}

void LogFrames::seek(Sequence position) {
  if (position == position_ && reader_) return;
  position_ = position;
  offset_.reset();
  reader_.reset();
}

void LogFrames::seek_at(Sequence position, std::uint64_t offset) {
  if (position == position_ && reader_) return;
  position_ = position;
  offset_ = offset;
  if (reader_ && position >= segment_->header.first && position <= segment_last_) {
    reader_->seek(offset, position, std::nullopt);
    offset_.reset();
  } else {
    reader_.reset();
  }
}

Result<void> LogFrames::check_state() {
  if (log_->phase != Phase::open) return log_->closed_error();
  for (; cuts_seen_ < log_->cuts.size(); ++cuts_seen_) {
    const auto [cut, cleared] = log_->cuts[cuts_seen_];
    if (position_ > cut && cleared) return log_->overtaken_error(position_);
    if (position_ > cut)
      return permanent(ErrorKind::conflict,
                       "journal {}: the tail from sequence {} on was set aside for a newer epoch, "
                       "and this reader was "
                       "already at {}",
                       log_->folder, cut, position_);
    reader_.reset();
    segment_ = nullptr;
    segment_last_ = {};
  }
  if (position_ < log_->first()) return log_->overtaken_error(position_);
  durable_ = log_->durable.place.sequence;
  if (segment_ != nullptr) {
    limit_ = segment_->durable_end;
    segment_last_ = std::min(segment_->last, durable_);
  }
  return {};
}

Result<void> LogFrames::refresh() {
  const os::Lock lock(log_->mutex);
  return check_state();
}

Result<bool> LogFrames::wait(Deadline deadline) {
  os::Lock lock(log_->mutex);
  ++log_->followers;
  if (!log_->pending.empty()) log_->syncer_wakeup.notify_all();
  log_->durable_changed.wait(lock, deadline, [&] {
    return log_->phase != Phase::open || log_->cuts.size() != cuts_seen_ ||
           log_->durable.place.sequence >= position_ || position_ < log_->first();
  });
  --log_->followers;
  FARSHORE_TRY(check_state());
  return durable_ >= position_;
}

Result<std::optional<Frame>> LogFrames::next() {
  if (position_ > durable_ || position_ > segment_last_) FARSHORE_TRY(refresh());
  if (position_ > durable_) return std::optional<Frame>();
  if (!reader_ || position_ > segment_last_ || position_ < segment_->header.first)
    FARSHORE_TRY(enter());
  if (reader_->expected() != position_) FARSHORE_TRY(advance_to_position());
  auto frame = reader_->next(limit_);
  if (frame && !*frame) frame = reader_->damaged("the file ends before its last record");
  if (!frame) return explain(std::move(frame).error());
  position_ = position_.next();
  return frame;
}

Result<void> LogFrames::enter() {
  std::optional<std::uint64_t> hash;  // of the record before, when we have just read it
  if (reader_ && reader_->expected() == position_) hash = reader_->hash_before();
  {
    const os::Lock lock(log_->mutex);
    FARSHORE_TRY(check_state());
    if (position_ > durable_)
      return transient(ErrorKind::conflict, "journal {} was cut while it was read: read again",
                       log_->folder);
    segment_ = log_->segment_of(position_);
    FARSHORE_TRY(check_state());
  }
  reader_.reset();  // of the segment before: not to be read on in if opening fails
  const SegmentPtr segment = segment_;
  const std::size_t cuts = cuts_seen_;
  auto reader = SegmentReader::open(log_->world.files(), segment->path, segment->header.epoch);
  if (!reader) {
    FARSHORE_TRY(check_same_files(cuts));  // it may have been trimmed just now
    return log_->explain_open(segment, cuts, std::move(reader).error());
  }
  reader_ = *std::move(reader);
  if (offset_) {
    reader_->seek(*offset_, position_, std::nullopt);
    offset_.reset();
    return {};
  }
  IndexEntry entry{segment_->header.first, segment_->header.bytes()};
  if (position_ != entry.sequence) {
    FARSHORE_TRY_ASSIGN(entry, log_->index_entry(segment_, position_));
  }
  const bool at_first = entry.sequence == segment_->header.first;
  reader_->seek(entry.offset, entry.sequence,
                at_first ? std::optional(segment_->header.hash_before) : std::nullopt);
  if (hash && position_ == segment_->header.first && *hash != segment_->header.hash_before)
    return permanent(ErrorKind::corrupt,
                     "journal file {} does not continue the one before it: a file is missing",
                     segment_->path);
  return {};
}

// Damage before the position does not concern us, damage at it does.
Result<void> LogFrames::advance_to_position() {
  while (reader_->expected() < position_) {
    auto frame = reader_->next(limit_);
    if (frame && *frame) continue;
    if (frame) frame = reader_->damaged("the file ends before its last record");
    if (frame.error().kind != ErrorKind::corrupt) return frame.error();
    const std::size_t cuts = cuts_seen_;
    FARSHORE_TRY_ASSIGN(const Damage damage, pass_damage(*reader_, limit_, segment_last_));
    if (damage.last < position_) continue;
    reader_.reset();
    FARSHORE_TRY(check_same_files(cuts));
    log_->report(damage);
    return permanent(ErrorKind::corrupt, "{}", text_of(damage));
  }
  return {};
}

// What looks like damage is none when the files were changed under us.
Result<void> LogFrames::check_same_files(std::size_t cuts) {
  FARSHORE_TRY(refresh());
  if (cuts == cuts_seen_) return {};
  return transient(ErrorKind::conflict, "journal {} was cut while it was read: read again",
                   log_->folder);
}

Error LogFrames::explain(Error error) {
  if (error.kind != ErrorKind::corrupt) return error;
  if (auto same = check_same_files(cuts_seen_); !same) return std::move(same).error();
  if (const auto damage = pass_damage(*reader_, limit_, segment_last_)) log_->report(*damage);
  reader_.reset();
  return error;
}

Result<PlacedRecord> decode_frame(const Frame& frame, Epoch epoch) {
  auto record = decode_record(frame.encoded);
  if (!record)
    return within(fmt::format("record at place {}", Place{epoch, frame.header.sequence}),
                  record.error());
  return PlacedRecord{Place{epoch, frame.header.sequence}, frame.header.hash, *std::move(record)};
}

}  // namespace farshore::journal
