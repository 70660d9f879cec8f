#include "journal/flush.h"

#include "journal/first_header.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

using Batch = std::vector<Pending>;

Batch take_batch(Log& log) {
  const std::uint64_t most = std::max<std::uint64_t>(log.options.buffered_bytes_max / 2, 1);
  Batch batch;
  do {
    log.pending_bytes -= log.pending.front().bytes.size();
    log.flushing_bytes += log.pending.front().bytes.size();
    batch.push_back(std::move(log.pending.front()));
    log.pending.pop_front();
  } while (!log.pending.empty() && log.flushing_bytes + log.pending.front().bytes.size() <= most);
  return batch;
}

void put_back(Log& log, Batch batch) {
  for (auto part = batch.rbegin(); part != batch.rend(); ++part) {
    log.pending_bytes += part->bytes.size();
    log.pending.push_front(std::move(*part));
  }
}

Result<void> sync_file(const Segment& segment) {
  const auto synced = segment.file->sync();
  if (synced) return {};
  Error error = within(fmt::format("syncing {}", segment.path), synced.error());
  error.kind =
      ErrorKind::io;  // final even for a full disk: what the file holds is not known any more
  return error;
}

// Everything in an older segment is durable before the next one exists.
Result<void> close_segment(Log& log, const SegmentPtr& segment, std::uint64_t& syncs) {
  if (segment == nullptr || segment->file == nullptr) return {};
  ++syncs;
  FARSHORE_TRY(sync_file(*segment));
  SegmentIndex index;
  {
    const os::Lock lock(log.mutex);
    index = segment->index;
  }
  (void)write_index_file(log.world.files(), segment->path,
                         index);  // a cache: made again when it is not there
  return {};
}

Result<void> enter_segment(Log& log, const SegmentPtr& segment, std::uint64_t& syncs) {
  if (log.flushed_segment != segment) {
    FARSHORE_TRY(close_segment(log, log.flushed_segment, syncs));
    if (log.flushed_segment != nullptr) log.flushed_segment->file.reset();
    const os::Lock lock(log.mutex);
    log.flushed_segment = segment;
  }
  if (segment->file != nullptr) return {};
  // Made anew it would for a while lack records that were synced, before a newer segment.
  if (segment->created || segment->durable_end > segment->header.bytes()) {
    FARSHORE_TRY_ASSIGN(segment->file, log.world.files().open(segment->path, os::OpenMode::write));
    return {};
  }
  auto file = create_segment(log.world.files(), log.folder, segment->header);
  if (!file) return within(fmt::format("creating {}", segment->path), file.error());
  segment->file = *std::move(file);
  segment->created = true;
  bool first = false;
  {
    const os::Lock lock(log.mutex);
    first = segment == log.segments.front();
  }
  return first ? save_first_header(log.world.files(), log.folder, segment->header) : Result<void>();
}

// A part that a full disk took half of leaves nothing: what trimming saves needs the room.
Result<void> write_part(const Pending& part) {
  const auto written = part.segment->file->write_at(part.offset, part.bytes);
  if (written) return {};
  if (written.error().kind == ErrorKind::disk_full) (void)part.segment->file->truncate(part.offset);
  return within(fmt::format("writing {} at offset {}", part.segment->path, part.offset),
                written.error());
}

Result<void> write_batch(Log& log, const Batch& batch, std::uint64_t& syncs) {
  for (const Pending& part : batch) {
    FARSHORE_TRY(enter_segment(log, part.segment, syncs));
    FARSHORE_TRY(write_part(part));
  }
  ++syncs;
  return sync_file(*batch.back().segment);
}

void publish(Log& log, const Batch& batch) {
  for (const Pending& part : batch) part.segment->durable_end = part.offset + part.bytes.size();
  log.durable = batch.back().end;
  if (log.wanted_bytes > 0) {  // an append waits for room, and more can be removed now
    log.trim_wanted = true;
    log.upkeep_wakeup.notify_all();
  }
  log.write_blocked = false;
}

}  // namespace

void flush_batch(Log& log, os::Lock& lock) {
  log.flushing = true;
  Batch batch = take_batch(log);
  const std::uint64_t number = ++log.batch;
  log.flushing_end = batch.back().end.place.sequence;
  lock.unlock();
  std::uint64_t syncs = 0;
  Result<void> written = permanent(ErrorKind::io, "writing {} stopped half way", log.folder);
  log.guard([&] { written = write_batch(log, batch, syncs); });
  if (!written && written.error().kind != ErrorKind::disk_full) log.fail(written.error());
  lock.lock();
  log.syncs += syncs;
  log.flushing = false;
  log.flushing_bytes = 0;
  if (written) {
    publish(log, batch);
    log.batch_done[number % kBatchDoors]
        .notify_one();  // who wakes others: FileJournal::wait_for_batch
    for (Pending& part : batch) log.give_back(std::move(part.bytes));
  } else if (written.error().kind == ErrorKind::disk_full) {
    put_back(log, std::move(batch));
    log.batch_done[number % kBatchDoors].notify_all();  // they wait for the next one now
    log.write_blocked = true;
    log.trim_wanted = true;
    log.upkeep_wakeup.notify_all();
    log.syncer_wakeup.notify_all();
  }
  log.durable_changed.notify_all();
  log.room_changed.notify_all();
}

namespace {

bool must_flush_now(const Log& log) {
  return log.followers > 0 || log.waiters > 0 || log.pending_bytes >= kPartBytes ||
         log.wanted_bytes > 0 || log.phase != Phase::open ||
         log.world.now() >= log.pending_since + kUnwaitedSyncDelay;
}

void run_syncer(Log& log) {
  os::Lock lock(log.mutex);
  while (!log.failure) {
    if (log.pending.empty() && !log.flushing) {
      if (log.phase != Phase::open) return;
      log.syncer_idle = true;
      log.syncer_wakeup.wait(lock);
      log.syncer_idle = false;
    } else if (log.flushing) {
      // Its leader wakes us when more is pending then.
      log.syncer_wakeup.wait(lock, log.world.after(kUnwaitedSyncDelay));
    } else if (log.write_blocked) {
      if (log.phase != Phase::open) return;
      log.syncer_wakeup.wait(lock, log.world.after(kDiskFullRetry),
                             [&] { return log.retry_write || log.phase != Phase::open; });
      log.retry_write = false;
      if (!log.pending.empty() && !log.flushing) flush_batch(log, lock);
    } else if (must_flush_now(log)) {
      flush_batch(log, lock);
    } else {
      log.syncer_wakeup.wait(lock, Deadline::after(log.pending_since, kUnwaitedSyncDelay));
    }
  }
}

}  // namespace

Syncer::Syncer(LogPtr log)
    : thread_("journal-sync",
              [log = std::move(log)](std::stop_token) { log->guard([&] { run_syncer(*log); }); }) {}

}  // namespace farshore::journal
