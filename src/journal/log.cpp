#include "journal/log.h"

#include <algorithm>

#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

bool belongs_to(const SegmentIndex& index, const Segment& segment, const ScanBounds& bounds) {
  return index.entries().front() == IndexEntry{segment.header.first, segment.header.bytes()} &&
         index.entries().back().sequence <= *bounds.last &&
         index.entries().back().offset < bounds.limit;
}

Result<SegmentIndex> rebuild_index(os::Files& files, const Segment& segment,
                                   const ScanBounds& bounds) {
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, segment.path, segment.header.epoch));
  FARSHORE_TRY_ASSIGN(auto scan, scan_segment(reader, segment.header, bounds));
  return std::move(scan.index);
}

}  // namespace

SegmentPtr Log::segment_of(Sequence sequence) const {
  const auto after =
      std::upper_bound(segments.begin(), segments.end(), sequence,
                       [](Sequence s, const SegmentPtr& p) { return s < p->header.first; });
  return after == segments.begin() ? nullptr : *(after - 1);
}

Bytes Log::take_buffer() {
  if (spare_buffers.empty()) return {};
  Bytes buffer = std::move(spare_buffers.back());
  spare_buffers.pop_back();
  spare_bytes -= buffer.capacity();
  return buffer;
}

void Log::give_back(Bytes buffer) {
  if (buffer.capacity() > 2 * kPartBytes ||
      spare_bytes + buffer.capacity() > options.buffered_bytes_max / 2)
    return;
  buffer.clear();
  spare_bytes += buffer.capacity();
  spare_buffers.push_back(std::move(buffer));
}

void Log::wake_all() {
  for (os::CondVar& door : batch_done) door.notify_all();
  for (os::CondVar* waiting :
       {&durable_changed, &room_changed, &syncer_wakeup, &upkeep_wakeup, &scrub_wakeup})
    waiting->notify_all();
}

Error Log::closed_error() const {
  return permanent(ErrorKind::closed, "journal {} was closed", folder);
}

Error Log::overtaken_error(Sequence wanted) const {
  return permanent(
      ErrorKind::overtaken,
      "journal {} no longer holds sequence {}: what it keeps begins at {}; take a new copy", folder,
      wanted, Place{history.epoch_at(first()), first()});
}

void Log::emit(Severity severity, std::string name, std::string message) const {
  if (!events) return;
  Event event;
  event.severity = severity;
  event.name = std::move(name);
  event.message = std::move(message);
  events(std::move(event));
}

void Log::fail(Error error) {
  error = within(fmt::format("journal {} stopped", folder), std::move(error));
  error.kind = ErrorKind::io;
  error.retry = Retry::no;
  error.what +=
      "; nothing that was not synced counts as durable: check the disk, then start the stream anew";
  {
    const os::Lock lock(mutex);
    if (failure) return;
    failure = error;
    wake_all();
  }
  emit(Severity::error, "journal.failed", error.what);
}

void Log::guard(const std::function<void()>& body) {
  try {
    body();
  } catch (const CheckFailed& broken) {
    fail(permanent(ErrorKind::io, "{}", broken.what()));
  }
}

void Log::report(const Damage& damage) {
  {
    const os::Lock lock(mutex);
    const auto same = [&](const Damage& d) {
      return d.path == damage.path && d.offset == damage.offset;
    };
    if (std::any_of(damages.begin(), damages.end(), same) || damages.size() >= kDamagesMax) return;
    damages.push_back(damage);
  }
  emit(Severity::error, "journal.damaged",
       text_of(damage) + "; it is repaired from the other region's journal when the link is up");
}

Error Log::explain_open(const SegmentPtr& segment, std::size_t cuts_before, Error error) {
  if (error.kind != ErrorKind::not_found) return error;
  Damage damage;
  {
    const os::Lock lock(mutex);
    const bool ours = phase == Phase::open && cuts.size() == cuts_before && !segments.empty() &&
                      segment != segments.back() && segment->header.first >= first();
    if (!ours || segment->last > durable.place.sequence) return error;
    damage = {segment->path, segment->header.epoch, 0,   segment->header.first,
              segment->last, "the file is missing", true};
  }
  report(damage);
  return permanent(ErrorKind::corrupt, "{}", text_of(damage));
}

Result<void> Log::load_index(const SegmentPtr& segment) {
  ScanBounds bounds;
  std::size_t cuts_before = 0;
  {
    const os::Lock lock(mutex);
    if (segment->indexed) return {};
    cuts_before = cuts.size();
    bounds = {segment->durable_end, segment->last, segment->last};
  }
  Result<SegmentIndex> index = permanent(ErrorKind::not_found, "not read yet");
  if (const auto bytes = os::read_file(world.files(), index_path(segment->path)); bytes)
    index = decode_segment_index(*bytes);
  if (!index || !belongs_to(*index, *segment, bounds)) {
    index = rebuild_index(world.files(), *segment, bounds);
    if (!index) return explain_open(segment, cuts_before, std::move(index).error());
    (void)write_index_file(world.files(), segment->path,
                           *index);  // a cache: made again when it is not there
  }
  const os::Lock lock(mutex);
  if (!segment->indexed) {
    segment->index = *std::move(index);
    segment->indexed = true;
  }
  return {};
}

Result<IndexEntry> Log::index_entry(const SegmentPtr& segment, Sequence sequence) {
  FARSHORE_TRY(load_index(segment));
  const os::Lock lock(mutex);
  if (segment->index.empty()) return IndexEntry{segment->header.first, segment->header.bytes()};
  return segment->index.find(sequence);
}

Sequence Log::kept_for(Sequence restart) const {
  const SegmentPtr segment = options.keep_preambles ? segment_of(restart) : nullptr;
  if (segment == nullptr) return restart;
  Sequence run = segment->indexed ? segment->index.preamble_at_or_before(restart) : Sequence{};
  if (run.value() == 0) run = segment->header.preamble_before;
  return run.value() == 0 ? restart : run;
}

Result<Sequence> Log::preamble_before(Sequence restart) {
  SegmentPtr segment;
  {
    const os::Lock lock(mutex);
    segment = options.keep_preambles ? segment_of(restart) : nullptr;
  }
  if (segment == nullptr) return restart;
  FARSHORE_TRY(load_index(segment));
  const os::Lock lock(mutex);
  return kept_for(restart);
}

}  // namespace farshore::journal
