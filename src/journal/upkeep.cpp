#include "journal/upkeep.h"

#include <algorithm>

#include "journal/append_rate.h"
#include "journal/first_header.h"
#include "journal/retention.h"
#include "journal/segment_writer.h"

namespace farshore::journal {
namespace {

struct Gathered {
  std::vector<SegmentFacts> segments;
  std::vector<std::pair<std::string, ConsumerPlaces>> consumers;
  RetentionFacts facts;
};

Gathered gather(Log& log, std::uint64_t free_bytes) {
  const os::Lock lock(log.mutex);
  Gathered gathered;
  for (const SegmentPtr& segment : log.segments) {
    const bool settled =
        segment->last <= log.durable.place.sequence && segment != log.flushed_segment;
    gathered.segments.push_back(
        {segment->header.first, segment->last, segment->planned_end, segment->newest, settled});
  }
  for (const auto& [name, consumer] : log.consumers)
    if (!consumer.overtaken) gathered.consumers.emplace_back(name, consumer.places);
  gathered.facts.now = log.world.clock().wall();
  gathered.facts.newest_preamble = log.preamble.first;
  gathered.facts.wanted_bytes = log.wanted_bytes;
  gathered.facts.free_bytes = free_bytes;
  gathered.facts.disk_is_full = log.write_blocked;
  log.free_bytes = free_bytes;
  log.trim_wanted = false;
  return gathered;
}

Result<void> save_consumers_now(Log& log) {
  ConsumerTable table;
  {
    const os::Lock lock(log.mutex);
    if (!log.consumers_changed) return {};
    table = log.consumers;
    log.consumers_changed = false;
  }
  auto saved = save_consumers(log.world.files(), log.folder, table);
  if (!saved) {
    const os::Lock lock(log.mutex);
    log.consumers_changed = true;
    return within("saving the journal's consumers", saved.error());
  }
  return {};
}

// What a consumer that is kept for from there waits for besides its own work: it cannot have done
// a transaction that has not ended.
std::string open_since(Log& log, Sequence keep_from) {
  const os::Lock lock(log.mutex);
  const auto open = log.unended.oldest();
  if (!log.options.keep_preambles || !open || log.kept_for(open->first) != keep_from) return "";
  return fmt::format(
      ": transaction {} of the source began there, {} of it have come, and its end has not",
      open->xid, format_bytes(open->bytes));
}

// Caller holds the log's lock. Marks in `table` those that need what lies before `first_kept`:
// since the decision some may have gone, or gone on. The names of those that it marked.
std::vector<std::string> mark_overtaken(const Log& log, ConsumerTable& table,
                                        const std::vector<std::string>& names,
                                        Sequence first_kept) {
  std::vector<std::string> marked;
  for (const std::string& name : names) {
    const auto found = table.find(name);
    if (found == table.end() || log.kept_for(found->second.places.restart) >= first_kept) continue;
    found->second.overtaken = true;
    marked.push_back(name);
  }
  return marked;
}

// Caller holds the log's lock.
std::string overtaken_message(const Log& log, const std::string& name, Sequence first_kept) {
  const Sequence restart = log.consumers.at(name).places.restart;
  return fmt::format(
      "consumer '{}' of journal {} is overtaken: it needed what begins at {}, the journal now "
      "begins at {} (when_full: drop); it needs a new copy",
      name, log.folder, Place{log.history.epoch_at(restart), restart},
      Place{log.history.epoch_at(first_kept), first_kept});
}

// The marks are durable before anything goes that these consumers need, and count only then.
Result<void> overtake(Log& log, const std::vector<std::string>& names, Sequence first_kept) {
  ConsumerTable table;
  {
    const os::Lock lock(log.mutex);
    table = log.consumers;
    (void)mark_overtaken(log, table, names, first_kept);
  }
  if (const auto saved = save_consumers(log.world.files(), log.folder, table); !saved)
    return within("saving which consumers are overtaken", saved.error());
  std::vector<std::string> messages;
  {
    const os::Lock lock(log.mutex);
    log.consumers_changed = true;  // what came meanwhile is not in the file
    for (const std::string& name : mark_overtaken(log, log.consumers, names, first_kept))
      messages.push_back(overtaken_message(log, name, first_kept));
  }
  for (const std::string& message : messages)
    log.emit(Severity::error, "journal.consumer_overtaken", message);
  return {};
}

// Caches of segments that go: on a full disk what is saved before they go needs the room.
void drop_indexes(Log& log, std::size_t oldest) {
  std::vector<std::string> paths;
  {
    const os::Lock lock(log.mutex);
    for (std::size_t i = 0; i < oldest; ++i) paths.push_back(index_path(log.segments.at(i)->path));
  }
  for (const std::string& path : paths) (void)log.world.files().remove(path);
}

// Caller holds the log's lock. A consumer may have come, or gone back, since the decision.
bool is_needed(const Log& log, const Segment& segment) {
  return std::any_of(log.consumers.begin(), log.consumers.end(), [&](const auto& entry) {
    const Consumer& consumer = entry.second;
    return !consumer.overtaken && log.kept_for(consumer.places.restart) <= segment.last;
  });
}

// One by one and each durable: a crash must not leave a hole among the segments, nor anything gone
// that the copy of the first header does not tell.
Result<void> remove_oldest(Log& log, std::size_t count) {
  for (; count > 0; --count) {
    std::string path;
    SegmentPtr next;
    {
      const os::Lock lock(log.mutex);
      if (is_needed(log, *log.segments.front())) return {};
      next = log.segments.at(1);
    }
    FARSHORE_TRY(save_first_header(log.world.files(), log.folder, next->header));
    {
      const os::Lock lock(log.mutex);
      const SegmentPtr oldest = log.segments.front();
      if (is_needed(log, *oldest)) return {};
      path = oldest->path;
      log.total_bytes -= oldest->planned_end;
      std::erase_if(log.damages, [&](const Damage& damage) { return damage.path == path; });
      log.segments.pop_front();
    }
    FARSHORE_TRY(log.world.files().remove(path));
    FARSHORE_TRY(log.world.files().sync_folder(log.folder));
  }
  return {};
}

void tell_keep(Log& log, bool shortened, Sequence first_kept) {
  {
    const os::Lock lock(log.mutex);
    if (log.keep_short == shortened) return;
    log.keep_short = shortened;
  }
  if (shortened)
    log.emit(Severity::warning, "journal.keep_shortened",
             fmt::format("journal {} removed records before sequence {} earlier than journal.keep "
                         "({}) asks, for want "
                         "of space; raise journal.max",
                         log.folder, first_kept, format_duration(log.options.keep)));
  else
    log.emit(Severity::info, "journal.keep_restored",
             fmt::format("journal {} has room for all of journal.keep again", log.folder));
}

// A journal that goes on segment by segment, as its consumer does, is full again and again: that is
// told once.
void set_full(Log& log, const std::string& full) {
  const MonotonicTime now = log.world.now();
  bool begins = false, ends = false;
  {
    const os::Lock lock(log.mutex);
    log.full = full;
    log.room_changed.notify_all();
    if (!full.empty()) {
      begins = log.full_shown.empty();
      log.full_seen = now;
      if (begins || now - log.full_told >= kFullSettles) {
        log.full_shown = full;
        log.full_told = now;
      }
    } else if (!log.full_shown.empty() && now - log.full_seen >= kFullSettles) {
      ends = true;
      log.full_shown.clear();
    }
  }
  if (begins)
    log.emit(
        Severity::error, "journal.full",
        fmt::format("journal {} is full and appends wait: {}; {}", log.folder, full, kMakeRoom));
  if (ends)
    log.emit(Severity::info, "journal.full_over",
             fmt::format("journal {} has room again", log.folder));
}

}  // namespace

Result<void> save_changed_consumers(Log& log) {
  const os::Lock admin(log.admin);
  return save_consumers_now(log);
}

Result<void> trim_log(Log& log) {
  const os::Lock admin(log.admin);
  FARSHORE_TRY_ASSIGN(const std::uint64_t free_bytes, log.world.files().free_bytes(log.folder));
  Gathered gathered = gather(log, free_bytes);
  std::vector<ConsumerFacts> consumers;
  for (const auto& [name, places] : gathered.consumers) {
    FARSHORE_TRY_ASSIGN(const Sequence keep_from, log.preamble_before(places.restart));
    consumers.push_back({name, keep_from, places.required, open_since(log, keep_from)});
  }
  gathered.facts.segments = gathered.segments;
  gathered.facts.consumers = consumers;
  const RetentionDecision decision = decide_retention(gathered.facts, log.options);
  if (decision.remove > 0) {
    const Sequence first_kept = gathered.segments[decision.remove].first;
    drop_indexes(log, decision.remove);
    if (!decision.overtaken.empty()) FARSHORE_TRY(overtake(log, decision.overtaken, first_kept));
    // Older places than the true ones are safe after a crash, so a full disk must not keep us from
    // freeing space.
    if (const auto saved = save_consumers_now(log);
        !saved && saved.error().kind != ErrorKind::disk_full)
      return saved.error();
    tell_keep(log, decision.keep_shortened, first_kept);
    FARSHORE_TRY(remove_oldest(log, decision.remove));
    const os::Lock lock(log.mutex);
    log.retry_write = log.write_blocked;
    log.syncer_wakeup.notify_all();
  }
  set_full(log, decision.full);
  return {};
}

namespace {

class Round {
 public:
  explicit Round(Log& log) : log_(log) {}

  void run() {
    const auto trimmed = trim_log(log_);
    const auto saved = save_changed_consumers(log_);
    tell(trimmed.ok() ? saved : trimmed);
    const os::Lock lock(log_.mutex);
    rate_.sample(log_.world.now(), log_.appended_bytes);
    log_.bytes_per_hour = rate_.bytes_per_hour();
  }

 private:
  // The same trouble once, not once a second.
  void tell(const Result<void>& result) {
    const std::string what = result.ok() ? std::string() : result.error().what;
    if (!what.empty() && what != told_)
      log_.emit(Severity::warning, "journal.upkeep_failed",
                fmt::format("journal {}: {}", log_.folder, what));
    told_ = what;
  }

  Log& log_;
  AppendRate rate_;
  std::string told_;
};

void run_upkeep(Log& log) {
  Round round(log);
  for (;;) {
    {
      os::Lock lock(log.mutex);
      log.upkeep_wakeup.wait(lock, log.world.after(kUpkeepInterval),
                             [&] { return log.trim_wanted || log.phase != Phase::open; });
      if (log.phase != Phase::open) return;
    }
    round.run();
  }
}

}  // namespace

Upkeep::Upkeep(LogPtr log)
    : thread_("journal-upkeep",
              [log = std::move(log)](std::stop_token) { log->guard([&] { run_upkeep(*log); }); }) {}

}  // namespace farshore::journal
