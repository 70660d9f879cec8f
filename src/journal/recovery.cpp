#include "journal/recovery.h"

#include <algorithm>

#include "journal/first_header.h"
#include "journal/header_rebuild.h"
#include "journal/salvage.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

// A header that is damaged is made anew; then `found.header_damage` says what was wrong.
Result<FoundSegment> read_header(os::Files& files, const SegmentFile& file) {
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, file.path, file.name.epoch));
  FARSHORE_TRY_ASSIGN(const std::uint64_t size, reader.file().size());
  FoundSegment found{.path = file.path, .size = size};
  const auto head = reader.head();
  if (!head && head.error().kind != ErrorKind::io) return head.error();
  auto header = head ? decode_segment_header(*head) : Result<SegmentHeader>(head.error());
  if (!header) {
    found.header_damage = header.error().what;
    found.header_refused = !head;
    header = rebuild_header(files, file);
  }
  if (!header)
    return permanent(ErrorKind::corrupt,
                     "journal file {} is damaged at offset 0 (place {}): {}; {}; put the file back "
                     "from a backup, or move the journal's folder away and let the stream continue "
                     "from the other region",
                     file.path, Place{file.name.epoch, file.name.first}, found.header_damage,
                     header.error().what);
  if (header->first != file.name.first || header->epoch != file.name.epoch)
    return permanent(ErrorKind::corrupt,
                     "journal file {} was renamed: its header says it begins at {}", file.path,
                     Place{header->epoch, header->first});
  found.header = *std::move(header);
  return found;
}

Sequence furthest_applied(const ConsumerTable& consumers) {
  Sequence furthest;
  for (const auto& [name, consumer] : consumers)
    furthest = std::max(furthest, consumer.places.applied);
  return furthest;
}

SegmentPtr closed_segment(const FoundSegment& found, const SegmentHeader& after) {
  auto segment = std::make_shared<Segment>(found.header, found.path);
  segment->last = after.first.previous();
  segment->planned_end = segment->durable_end = found.size;
  segment->newest = after.created;
  return segment;
}

// Makes all of the newest segment that is good durable, and drops what is torn.
Result<void> settle_newest(Log& log, const FoundSegment& found, const SegmentScan& scan,
                           Sequence applied) {
  FARSHORE_TRY_ASSIGN(auto file, log.world.files().open(found.path, os::OpenMode::write));
  (void)log.world.files().remove(index_path(found.path));  // of a time when this was not the newest
  if (scan.torn_bytes > 0) FARSHORE_TRY(file->truncate(scan.end));
  if (scan.torn_bytes > 0 || scan.unproven_from < scan.end)
    FARSHORE_TRY(rewrite_range(*file, scan.unproven_from, scan.end));
  if (scan.torn_bytes == 0) return {};
  const bool lost = applied > scan.last;
  std::string message = fmt::format(
      "journal file {}: a torn tail of {} at offset {} was cut ({}); the journal ends at {}",
      found.path, format_bytes(scan.torn_bytes), scan.end, scan.torn_why,
      Place{found.header.epoch, scan.last});
  if (lost)
    message += fmt::format(
        ", although a consumer had already passed sequence {}: the disk lost what it had "
        "confirmed, check it",
        applied);
  log.emit(lost ? Severity::error : Severity::warning, "journal.tail_cut", message);
  return {};
}

// The table may be older than the last trim; a consumer that had not been overtaken needed nothing
// that is gone.
void clamp(ConsumerTable& consumers, Sequence first) {
  for (auto& [name, consumer] : consumers)
    if (!consumer.overtaken) consumer.places.restart = std::max(consumer.places.restart, first);
}

Result<SegmentPtr> newest_segment(Log& log, const FoundSegment& found, SegmentScan& scan,
                                  Sequence applied) {
  FARSHORE_TRY_ASSIGN(auto reader,
                      SegmentReader::open(log.world.files(), found.path, found.header.epoch));
  const ScanBounds bounds{.limit = found.size, .last = std::nullopt, .durable = applied};
  FARSHORE_TRY_ASSIGN(scan, scan_segment(reader, found.header, bounds));
  // Before anybody has it open: a part of a sector that cannot be read cannot be written either.
  const auto refused = [](const Damage& damage) { return damage.unreadable; };
  if (found.header_refused || std::any_of(scan.damages.begin(), scan.damages.end(), refused))
    FARSHORE_TRY(rewrite_readable(log.world.files(), found.path, found.header, found.size));
  for (Damage& damage : scan.damages) damage.unreadable = false;
  FARSHORE_TRY(settle_newest(log, found, scan, applied));
  auto segment = std::make_shared<Segment>(found.header, found.path);
  segment->last = scan.last;
  segment->planned_end = segment->durable_end = scan.end;
  segment->newest = scan.newest;
  segment->index = std::move(scan.index);
  segment->indexed = true;
  return segment;
}

// Of a crash while a segment was made or removed.
Result<void> remove_leftovers(os::Files& files, const std::string& folder) {
  FARSHORE_TRY_ASSIGN(const auto names, files.list(folder));
  for (const std::string& name : names) {
    const bool unfinished = name.ends_with(".segment.new");
    const std::string segment = name.substr(0, name.rfind('.')) + ".segment";
    const bool orphan =
        name.ends_with(".index") && !std::binary_search(names.begin(), names.end(), segment);
    if (unfinished || orphan) FARSHORE_TRY(files.remove(fmt::format("{}/{}", folder, name)));
  }
  return {};
}

// A segment that was begun and got no record before another epoch began at the same sequence.
Result<void> drop_superseded(os::Files& files, std::vector<FoundSegment>& found) {
  for (std::size_t i = 0; i + 1 < found.size();) {
    const bool empty = found[i].size == found[i].header.bytes();
    if (!empty || found[i].header.first != found[i + 1].header.first) {
      ++i;
      continue;
    }
    (void)files.remove(index_path(found[i].path));
    FARSHORE_TRY(files.remove(found[i].path));
    found.erase(found.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

// What lies before the first segment was not removed by retention: it has a place again, where
// repair puts its records.
Result<void> restore_first(os::Files& files, const std::string& folder,
                           const std::optional<SegmentHeader>& first,
                           std::vector<FoundSegment>& found) {
  if (!first || found.empty() || first->first >= found.front().header.first) return {};
  FARSHORE_TRY(create_segment(files, folder, *first));
  found.insert(found.begin(), {.header = *first,
                               .path = folder + "/" + segment_name(first->first, first->epoch),
                               .size = first->bytes(),
                               .missing = true});
  return {};
}

Result<void> keep_first_header(os::Files& files, const std::string& folder,
                               const std::optional<SegmentHeader>& first,
                               const std::vector<FoundSegment>& found) {
  if (found.empty()) return first ? remove_first_header(files, folder) : Result<void>();
  const SegmentHeader& header = found.front().header;
  if (first && encode_segment_header(*first) == encode_segment_header(header)) return {};
  return save_first_header(files, folder, header);
}

// What the search for segments found wrong, the records of each.
std::vector<Damage> damages_of(const std::vector<FoundSegment>& found) {
  std::vector<Damage> damages;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const auto& [header, path, size, why, refused, missing] = found[i];
    if (missing)
      damages.push_back({path, header.epoch, header.bytes(), header.first,
                         found[i + 1].header.first.previous(),
                         "the file was missing, and retention had not removed it", false});
    else if (!why.empty())
      damages.push_back({path, header.epoch, 0, header.first, header.first, why, refused});
  }
  return damages;
}

}  // namespace

Result<std::vector<FoundSegment>> find_segments(os::Files& files, const std::string& folder) {
  FARSHORE_TRY_ASSIGN(const auto names, files.list(folder));
  std::vector<SegmentFile> there;
  for (const std::string& file_name : names)
    if (const auto name = parse_segment_name(file_name))
      there.push_back({.path = fmt::format("{}/{}", folder, file_name), .name = *name});
  std::vector<FoundSegment> found;
  found.reserve(there.size());
  const auto first = load_first_header(files, folder);
  const auto is_first = [&](const SegmentName& name) {
    return first && name.first == first->first && name.epoch == first->epoch;
  };
  for (SegmentFile& file : there) {
    if (found.empty() && is_first(file.name)) file.copy = first;
    file.newest = &file == &there.back();
    file.before = found.empty() ? nullptr : &found.back();
    FARSHORE_TRY_ASSIGN(FoundSegment segment, read_header(files, file));
    found.push_back(std::move(segment));
  }
  return found;
}

Result<void> recover(Log& log) {
  os::Files& files = log.world.files();
  FARSHORE_TRY_ASSIGN(EpochHistory history, load_history(files, log.folder));
  FARSHORE_TRY_ASSIGN(ConsumerTable consumers, load_consumers(files, log.folder));
  if (history.cut) FARSHORE_TRY(finish_cut(files, log.folder, history));
  FARSHORE_TRY(remove_leftovers(files, log.folder));
  FARSHORE_TRY_ASSIGN(auto found, find_segments(files, log.folder));
  FARSHORE_TRY(drop_superseded(files, found));
  const auto first = load_first_header(files, log.folder);
  FARSHORE_TRY(restore_first(files, log.folder, first, found));
  FARSHORE_TRY(keep_first_header(files, log.folder, first, found));

  std::deque<SegmentPtr> segments;
  for (std::size_t i = 0; i + 1 < found.size(); ++i) {
    if (found[i + 1].header.first <= found[i].header.first ||
        found[i + 1].header.epoch < found[i].header.epoch)
      return permanent(ErrorKind::corrupt,
                       "journal files {} and {} overlap: one of them does not belong here",
                       found[i].path, found[i + 1].path);
    segments.push_back(closed_segment(found[i], found[i + 1].header));
  }
  SegmentScan scan;
  LogEnd end;
  if (!found.empty()) {
    FARSHORE_TRY_ASSIGN(SegmentPtr newest,
                        newest_segment(log, found.back(), scan, furthest_applied(consumers)));
    segments.push_back(std::move(newest));
    end = {Place{history.epoch_at(scan.last), scan.last}, scan.hash, scan.tail};
    clamp(consumers, segments.front()->header.first);
  }
  {
    const os::Lock lock(log.mutex);
    log.history = std::move(history);
    log.consumers = std::move(consumers);
    log.segments = std::move(segments);
    log.written = log.durable = end;
    log.preamble = scan.preamble;
    log.flushed_segment = nullptr;
    std::erase_if(log.damages, [&](const Damage& damage) {  // it went with a tail, or with all
      return damage.first > end.place.sequence ||
             std::none_of(log.segments.begin(), log.segments.end(),
                          [&](const SegmentPtr& s) { return s->path == damage.path; });
    });
    log.total_bytes = 0;
    for (const SegmentPtr& segment : log.segments) log.total_bytes += segment->planned_end;
  }
  for (const Damage& damage : damages_of(found)) log.report(damage);
  for (const Damage& damage : scan.damages) log.report(damage);
  return {};
}

}  // namespace farshore::journal
