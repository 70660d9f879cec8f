#include "journal/repair.h"

#include <algorithm>
#include <optional>
#include <set>

#include "base/checksum.h"
#include "change/record_codec.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

// Nothing that was not synced may count as repaired.
Result<void> final_if_io(Log& log, Result<void> result) {
  if (!result && result.error().kind == ErrorKind::io) log.fail(result.error());
  return result;
}

// One segment under repair. Records come in rising order; what they need is written at once and
// synced by finish().
class SegmentRepair {
 public:
  SegmentRepair(Log& log, SegmentPtr segment) : log_(log), segment_(std::move(segment)) {
    const os::Lock lock(log_.mutex);
    limit_ = segment_->durable_end;
    settled_ = segment_ != log_.segments.back() && segment_ != log_.flushed_segment &&
               segment_->last <= log_.durable.place.sequence;
  }

  Result<void> begin();
  Result<void> put(const PlacedRecord& placed);
  Result<void> finish() { return written_ ? final_if_io(log_, file_->sync()) : Result<void>(); }
  const SegmentPtr& segment() const { return segment_; }

 private:
  Result<void> stand_at(Sequence sequence);
  Result<void> write(const PlacedRecord& placed);

  Log& log_;
  const SegmentPtr segment_;
  std::uint64_t limit_ = 0;  // where its durable frames end
  bool settled_ = false;     // nobody has it open for writing; one that shrank may grow again
  std::optional<SegmentReader> reader_;
  std::unique_ptr<os::File> file_;
  bool standing_ = false;  // the reader stands behind a record that is good
  bool written_ = false;
};

Result<void> SegmentRepair::begin() {
  bool refused = false;
  {
    const os::Lock lock(log_.mutex);
    refused = std::any_of(log_.damages.begin(), log_.damages.end(), [&](const Damage& damage) {
      return damage.path == segment_->path && damage.unreadable;
    });
  }
  os::Files& files = log_.world.files();
  if (refused && settled_)
    FARSHORE_TRY(rewrite_readable(files, segment_->path, segment_->header, limit_));
  FARSHORE_TRY_ASSIGN(reader_, SegmentReader::open(files, segment_->path, segment_->header.epoch));
  FARSHORE_TRY_ASSIGN(file_, files.open(segment_->path, os::OpenMode::write));
  return {};
}

// The reader stands at the record, and knows the hash before it unless the record before is
// damaged.
Result<void> SegmentRepair::stand_at(Sequence sequence) {
  if (standing_ && reader_->expected() == sequence) return {};
  IndexEntry entry{segment_->header.first, segment_->header.bytes()};
  if (sequence > entry.sequence) {
    FARSHORE_TRY_ASSIGN(entry, log_.index_entry(segment_, sequence.previous()));
  }
  const bool at_first = entry.sequence == segment_->header.first;
  reader_->seek(entry.offset, entry.sequence,
                at_first ? std::optional(segment_->header.hash_before) : std::nullopt);
  while (reader_->expected() < sequence) {
    const auto frame = reader_->next(limit_);
    if (frame && *frame) continue;
    if (!frame && frame.error().kind != ErrorKind::corrupt) return frame.error();
    const Sequence damaged = reader_->expected();
    if (frame) (void)reader_->damaged("the file ends before its last record");
    FARSHORE_TRY(pass_damage(*reader_, limit_, segment_->last));
    if (reader_->expected() > sequence)
      return permanent(ErrorKind::conflict, "records before {} are damaged too: repair from {} on",
                       Place{reader_->epoch(), sequence}, Place{reader_->epoch(), damaged});
  }
  return {};
}

Result<void> SegmentRepair::write(const PlacedRecord& placed) {
  Bytes encoded;
  encode_record(placed.record, encoded);
  if (!reader_->hash_before() || chain_hash(*reader_->hash_before(), encoded) != placed.hash)
    return permanent(ErrorKind::conflict,
                     "record {} does not continue the running hash of the record before it: it is "
                     "not what journal file {} held",
                     placed.place, segment_->path);
  const std::uint64_t end = reader_->offset() + frame_bytes(encoded.size());
  if (!settled_ && end > limit_)
    return permanent(ErrorKind::conflict, "record {} does not fit at offset {} of {}", placed.place,
                     reader_->offset(), segment_->path);
  FrameHeader header;
  header.sequence = placed.place.sequence;
  header.hash = placed.hash;
  header.appended = segment_->header.created;
  Bytes frame;
  append_frame(header, encoded, frame);
  FARSHORE_TRY(file_->write_at(reader_->offset(), frame));
  written_ = true;
  reader_->forget();
  reader_->seek(end, placed.place.sequence.next(), placed.hash);
  if (end <= limit_) return {};
  const os::Lock lock(log_.mutex);
  log_.total_bytes += end - segment_->durable_end;
  segment_->durable_end = segment_->planned_end = limit_ = end;
  return {};
}

Result<void> SegmentRepair::put(const PlacedRecord& placed) {
  FARSHORE_TRY(stand_at(placed.place.sequence));
  standing_ = false;
  const auto frame = reader_->next(limit_);
  if (frame && *frame) {
    if ((*frame)->header.hash != placed.hash)
      return permanent(ErrorKind::conflict, "journal {} holds another record at {}", log_.folder,
                       placed.place);
  } else {
    if (!frame && frame.error().kind != ErrorKind::corrupt) return frame.error();
    FARSHORE_TRY(final_if_io(log_, write(placed)));
  }
  standing_ = true;
  return {};
}

Result<SegmentPtr> segment_for(Log& log, Place place) {
  const os::Lock lock(log.mutex);
  if (place.sequence < log.first()) return log.overtaken_error(place.sequence);
  SegmentPtr segment = log.segment_of(place.sequence);
  if (segment->header.epoch != place.epoch)
    return permanent(ErrorKind::conflict,
                     "journal {} holds sequence {} in epoch {}, record {} does not belong there",
                     log.folder, place.sequence, segment->header.epoch, place);
  return segment;
}

Result<void> rewrite_header(Log& log, const SegmentPtr& segment) {
  FARSHORE_TRY_ASSIGN(auto file, log.world.files().open(segment->path, os::OpenMode::write));
  FARSHORE_TRY(file->write_at(0, encode_segment_header(segment->header)));
  return file->sync();
}

// Reads the whole segment again: what is still damaged there.
Result<std::vector<Damage>> verify(Log& log, const SegmentPtr& segment) {
  ScanBounds bounds;
  {
    const os::Lock lock(log.mutex);
    bounds = {segment->durable_end, std::min(segment->last, log.durable.place.sequence), {}};
  }
  FARSHORE_TRY_ASSIGN(auto reader,
                      SegmentReader::open(log.world.files(), segment->path, segment->header.epoch));
  FARSHORE_TRY_ASSIGN(SegmentScan scan, scan_segment(reader, segment->header, bounds));
  return std::move(scan.damages);
}

Result<void> verify_all(Log& log, const std::set<Sequence>& segments) {
  for (const Sequence first : segments) {
    SegmentPtr segment;
    {
      const os::Lock lock(log.mutex);
      segment = log.segment_of(first);
    }
    if (segment == nullptr) continue;
    FARSHORE_TRY(rewrite_header(log, segment));
    FARSHORE_TRY_ASSIGN(const auto left, verify(log, segment));
    {
      const os::Lock lock(log.mutex);
      std::erase_if(log.damages,
                    [&](const Damage& damage) { return damage.path == segment->path; });
      log.damages.insert(log.damages.end(), left.begin(), left.end());
    }
    if (left.empty())
      log.emit(Severity::info, "journal.repaired",
               fmt::format("journal file {} is whole again: damaged records were replaced by those "
                           "of another region",
                           segment->path));
  }
  return {};
}

}  // namespace

Result<void> repair_log(Log& log, std::span<const PlacedRecord> records) {
  const os::Lock admin(log.admin);
  std::set<Sequence> segments;
  std::optional<SegmentRepair> repair;
  Result<void> done;
  for (const PlacedRecord& placed : records) {
    {
      const os::Lock lock(log.mutex);
      if (placed.place.sequence > log.durable.place.sequence)
        break;  // the giver holds more than we do
    }
    auto segment = segment_for(log, placed.place);
    if (!segment) done = segment.error();
    if (done && (!repair || repair->segment() != *segment)) {
      if (repair) done = repair->finish();
      repair.emplace(log, *segment);
      if (done) done = repair->begin();
      segments.insert((*segment)->header.first);
    }
    if (done) done = repair->put(placed);
    if (!done) break;
  }
  if (repair) FARSHORE_TRY(repair->finish());
  FARSHORE_TRY(done);
  return verify_all(log, segments);
}

}  // namespace farshore::journal
