#include "journal/epochs.h"

#include <algorithm>

#include "journal/first_header.h"
#include "journal/flush.h"
#include "journal/salvage.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

// Waits until nothing is pending. Caller holds Log::appending, so nothing is added.
Result<void> drain(Log& log) {
  os::Lock lock(log.mutex);
  while (!log.failure && log.phase == Phase::open && (log.flushing || !log.pending.empty())) {
    if (log.write_blocked)
      return transient(ErrorKind::disk_full, "journal {}: the disk is full under unwritten records",
                       log.folder);
    if (log.flushing)
      log.durable_changed.wait(lock);
    else
      flush_batch(log, lock);
  }
  if (log.failure) return *log.failure;
  if (log.phase != Phase::open) return log.closed_error();
  return {};
}

EpochHistory history_of(const Log& log) {
  const os::Lock lock(log.mutex);
  return log.history;
}

Result<void> replace_history(Log& log, EpochHistory history) {
  FARSHORE_TRY(save_history(log.world.files(), log.folder, history));
  const os::Lock lock(log.mutex);
  log.history = std::move(history);
  log.room_changed.notify_all();
  return {};
}

// Where the log ends is moved back before a file changes, so that readers meet the cut and not a
// shrunken file.
void announce_cut(Log& log, const EpochHistory& history, Sequence cut, bool cleared,
                  const Edge& edge) {
  const os::Lock lock(log.mutex);
  log.cuts.push_back({cut, cleared});
  log.history = history;
  log.written =
      log.durable = {Place{history.epoch_at(cut.previous()), cut.previous()}, edge.hash, edge.tail};
  for (auto& [name, consumer] : log.consumers) {
    ConsumerPlaces& places = consumer.places;
    if (places.applied >= cut || places.restart > cut) log.consumers_changed = true;
    places.applied = std::min(places.applied, cut.previous());
    places.restart = std::min(places.restart, cut);
  }
  log.unended.clear();
  log.flushed_segment = nullptr;
  log.wake_all();
}

Result<void> save_consumers_of(Log& log) {
  ConsumerTable table;
  {
    const os::Lock lock(log.mutex);
    table = log.consumers;
    log.consumers_changed = false;
  }
  return save_consumers(log.world.files(), log.folder, table);
}

// Caller holds Log::appending and Log::admin, and nothing is pending: the files stay as they are.
Result<Edge> edge_of(Log& log, Sequence cut) {
  FoundSegment found;
  {
    const os::Lock lock(log.mutex);
    const SegmentPtr segment = log.segment_of(cut);
    if (segment == nullptr) return log.overtaken_error(cut);
    found = {segment->header, segment->path, segment->durable_end};
  }
  return find_edge(log.world.files(), found, cut);
}

Result<void> cut_tail(Log& log, EpochHistory history, const EpochEntry& entry, const LogEnd& end) {
  {
    const os::Lock lock(log.mutex);
    if (entry.first < log.first())
      return within(fmt::format("epoch {} begins at sequence {}", entry.epoch, entry.first),
                    log.overtaken_error(entry.first));
  }
  FARSHORE_TRY_ASSIGN(const Edge edge, edge_of(log, entry.first));
  history.cut = entry.first;
  history.set_aside.push_back({end.place.epoch, entry.first, end.place.sequence, entry.epoch});
  FARSHORE_TRY(save_history(log.world.files(), log.folder, history));
  announce_cut(log, history, entry.first, false, edge);
  auto done = save_consumers_of(log);
  if (done) done = recover(log);  // finishes the cut
  if (!done) {
    log.fail(done.error());
    return done;
  }
  log.emit(Severity::warning, "journal.tail_set_aside",
           fmt::format(
               "journal {}: records {} to {} lost against epoch {} and were set aside in salvage/",
               log.folder, Place{end.place.epoch, entry.first}, end.place, entry.epoch));
  const os::Lock lock(log.mutex);
  log.wake_all();
  return {};
}

}  // namespace

Result<void> begin_epoch(Log& log, const EpochEntry& entry) {
  const os::Lock appending(log.appending);
  const os::Lock admin(log.admin);
  FARSHORE_TRY(drain(log));
  const EpochHistory before = history_of(log);
  EpochHistory history = before;
  FARSHORE_TRY(history.begin(entry));
  if (history == before) return {};
  LogEnd end;
  {
    const os::Lock lock(log.mutex);
    end = log.written;
  }
  if (entry.first <= end.place.sequence)
    FARSHORE_TRY(cut_tail(log, std::move(history), entry, end));
  else
    FARSHORE_TRY(replace_history(log, std::move(history)));
  log.emit(Severity::info, "journal.epoch_began",
           fmt::format("journal {}: epoch {} begins at sequence {}, source {}", log.folder,
                       entry.epoch, entry.first, entry.identity));
  return {};
}

namespace {

Result<void> save_promise(Log& log, Epoch epoch) {
  const os::Lock admin(log.admin);
  EpochHistory history = history_of(log);
  if (epoch < history.promised)
    return permanent(ErrorKind::conflict,
                     "journal {} promised to accept nothing below epoch {}: {} is stale",
                     log.folder, history.promised, epoch);
  if (epoch == history.promised) return {};
  history.promised = epoch;
  return replace_history(log, std::move(history));
}

}  // namespace

// An append that waits for room gives up once the promise is there. What was taken before it is
// made durable, so that nothing is acknowledged later that who asked did not see.
Result<void> promise(Log& log, Epoch epoch) {
  FARSHORE_TRY(save_promise(log, epoch));
  const os::Lock appending(log.appending);
  return drain(log);
}

Result<void> start_at(Log& log, Place next, std::uint64_t hash_before,
                      const std::vector<EpochEntry>& entries, const Tail& tail_before) {
  const os::Lock appending(log.appending);
  const os::Lock admin(log.admin);
  FARSHORE_TRY(drain(log));
  EpochHistory history = history_of(log);
  {
    const os::Lock lock(log.mutex);
    if (log.written.place.sequence >= log.first())
      return permanent(ErrorKind::conflict,
                       "journal {} holds records up to {}: it cannot start anew at {}", log.folder,
                       log.written.place, next);
  }
  history.entries = entries;
  if (next.sequence.value() == 0 || history.epoch_at(next.sequence) != next.epoch)
    return permanent(ErrorKind::invalid,
                     "a journal cannot start at {}: the history given for it says epoch {} there",
                     next, history.epoch_at(next.sequence));
  if (history.current() < history.promised)
    return permanent(ErrorKind::conflict,
                     "journal {} promised to accept nothing below epoch {}: {} is stale",
                     log.folder, history.promised, history.current());
  history.promised = std::max(history.promised, history.current());
  os::Files& files = log.world.files();
  FARSHORE_TRY_ASSIGN(const auto empty_ones, find_segments(files, log.folder));
  FARSHORE_TRY(remove_first_header(files, log.folder));
  for (const FoundSegment& segment : empty_ones) FARSHORE_TRY(files.remove(segment.path));
  FARSHORE_TRY(save_history(files, log.folder, history));
  SegmentHeader header;
  header.epoch = next.epoch;
  header.first = next.sequence;
  header.hash_before = hash_before;
  header.created = log.world.clock().wall();
  header.tail_before = tail_before;
  FARSHORE_TRY(create_segment(files, log.folder, header));
  FARSHORE_TRY(save_consumers_of(log));
  FARSHORE_TRY(recover(log));
  log.emit(Severity::info, "journal.started_at",
           fmt::format("journal {} starts at {}", log.folder, next));
  return {};
}

namespace {

// Oldest first: what a crash leaves has no hole.
Result<void> remove_all(Log& log) {
  std::vector<std::string> paths;
  {
    const os::Lock lock(log.mutex);
    for (auto& [name, consumer] : log.consumers) consumer.overtaken = false;
    for (const SegmentPtr& segment : log.segments) paths.push_back(segment->path);
  }
  FARSHORE_TRY(save_consumers_of(log));
  FARSHORE_TRY(remove_first_header(log.world.files(), log.folder));
  for (const std::string& path : paths) {
    (void)log.world.files().remove(index_path(path));
    FARSHORE_TRY(log.world.files().remove(path));
    FARSHORE_TRY(log.world.files().sync_folder(log.folder));
  }
  return recover(log);
}

}  // namespace

Result<void> clear(Log& log) {
  const os::Lock appending(log.appending);
  const os::Lock admin(log.admin);
  FARSHORE_TRY(drain(log));
  announce_cut(log, history_of(log), Sequence(1), true, {});
  if (auto removed = remove_all(log); !removed) {
    log.fail(removed.error());
    return removed;
  }
  log.emit(Severity::warning, "journal.cleared",
           fmt::format("journal {}: all records were removed; it begins anew", log.folder));
  return {};
}

Result<void> begin_first_epoch(Log& log) {
  const os::Lock admin(log.admin);
  EpochHistory history = history_of(log);
  if (!history.entries.empty()) return {};
  EpochEntry entry;
  entry.epoch = std::max(Epoch(1), history.promised);
  {
    const os::Lock lock(log.mutex);
    entry.first = log.next_sequence();
  }
  FARSHORE_TRY(history.begin(entry));
  return replace_history(log, std::move(history));
}

}  // namespace farshore::journal
