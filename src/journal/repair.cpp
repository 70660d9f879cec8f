#include "journal/repair.h"

#include <algorithm>
#include <set>

#include "base/checksum.h"
#include "change/record_codec.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

struct Target {
  SegmentPtr segment;
  std::uint64_t limit = 0;  // where its durable frames end
  bool closed = false;      // a closed one that shrank may be written behind its limit
};

Result<Target> target_of(Log& log, Place place) {
  const os::Lock lock(log.mutex);
  if (place.sequence < log.first()) return log.overtaken_error(place.sequence);
  Target target;
  target.segment = log.segment_of(place.sequence);
  target.limit = target.segment->durable_end;
  target.closed = target.segment != log.segments.back();
  if (target.segment->header.epoch != place.epoch)
    return permanent(ErrorKind::conflict,
                     "journal {} holds sequence {} in epoch {}, record {} does not belong there",
                     log.folder, place.sequence, target.segment->header.epoch, place);
  return target;
}

// The reader stands at the record, and knows the hash before it unless the record before is
// damaged.
Result<void> stand_at(Log& log, SegmentReader& reader, const Target& target, Sequence sequence) {
  IndexEntry entry{target.segment->header.first, target.segment->header.bytes()};
  if (sequence > entry.sequence) {
    FARSHORE_TRY_ASSIGN(entry, log.index_entry(target.segment, sequence.previous()));
  }
  const bool at_first = entry.sequence == target.segment->header.first;
  reader.seek(entry.offset, entry.sequence,
              at_first ? std::optional(target.segment->header.hash_before) : std::nullopt);
  while (reader.expected() < sequence) {
    const auto frame = reader.next(target.limit);
    if (frame && *frame) continue;
    if (!frame && frame.error().kind != ErrorKind::corrupt) return frame.error();
    const Sequence damaged = reader.expected();
    if (frame) (void)reader.damaged("the file ends before its last record");
    FARSHORE_TRY(pass_damage(reader, target.limit, target.segment->last));
    if (reader.expected() > sequence)
      return permanent(ErrorKind::conflict, "records before {} are damaged too: repair from {} on",
                       Place{reader.epoch(), sequence}, Place{reader.epoch(), damaged});
  }
  return {};
}

Result<void> write_record(Log& log, SegmentReader& reader, const Target& target,
                          const PlacedRecord& placed) {
  Bytes encoded;
  encode_record(placed.record, encoded);
  if (!reader.hash_before() || chain_hash(*reader.hash_before(), encoded) != placed.hash)
    return permanent(ErrorKind::conflict,
                     "record {} does not continue the running hash of the record before it: it is "
                     "not what journal file {} held",
                     placed.place, target.segment->path);
  const std::uint64_t end = reader.offset() + frame_bytes(encoded.size());
  if (!target.closed && end > target.limit)
    return permanent(ErrorKind::conflict, "record {} does not fit at offset {} of {}", placed.place,
                     reader.offset(), target.segment->path);
  FrameHeader header;
  header.sequence = placed.place.sequence;
  header.hash = placed.hash;
  header.appended = target.segment->header.created;
  Bytes frame;
  append_frame(header, encoded, frame);
  FARSHORE_TRY_ASSIGN(auto file, log.world.files().open(target.segment->path, os::OpenMode::write));
  FARSHORE_TRY(file->write_at(reader.offset(), frame));
  FARSHORE_TRY(file->sync());
  if (end <= target.limit) return {};
  const os::Lock lock(log.mutex);
  log.total_bytes += end - target.segment->durable_end;
  target.segment->durable_end = target.segment->planned_end = end;
  return {};
}

Result<void> repair_record(Log& log, const Target& target, const PlacedRecord& placed) {
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(log.world.files(), target.segment->path,
                                                       target.segment->header.epoch));
  FARSHORE_TRY(stand_at(log, reader, target, placed.place.sequence));
  const auto frame = reader.next(target.limit);
  if (frame && *frame) {
    if ((*frame)->header.hash == placed.hash) return {};
    return permanent(ErrorKind::conflict, "journal {} holds another record at {}", log.folder,
                     placed.place);
  }
  if (!frame && frame.error().kind != ErrorKind::corrupt) return frame.error();
  const auto written = write_record(log, reader, target, placed);
  if (!written && written.error().kind == ErrorKind::io) log.fail(written.error());
  return written;
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
  for (const PlacedRecord& placed : records) {
    {
      const os::Lock lock(log.mutex);
      if (placed.place.sequence > log.durable.place.sequence)
        break;  // the giver holds more than we do
    }
    FARSHORE_TRY_ASSIGN(const Target target, target_of(log, placed.place));
    FARSHORE_TRY(repair_record(log, target, placed));
    segments.insert(target.segment->header.first);
  }
  return verify_all(log, segments);
}

}  // namespace farshore::journal
