#include "journal/journal.h"

#include <algorithm>
#include <functional>

#include "change/remedy.h"
#include "journal/append_plan.h"
#include "journal/append_rate.h"
#include "journal/epochs.h"
#include "journal/flush.h"
#include "journal/log_cursor.h"
#include "journal/log_reader.h"
#include "journal/recovery.h"
#include "journal/repair.h"
#include "journal/retention.h"
#include "journal/scrub.h"
#include "journal/upkeep.h"

namespace farshore::journal {
namespace {

// A waiter writes and syncs itself when it has at least this long: no switch of threads between
// append and sync.
constexpr Duration kLeadAtLeast = 1s;
constexpr std::uint64_t kSegmentBytesMin = 1_KiB, kSegmentBytesMax = 1_GiB;

class FileJournal : public Journal {
 public:
  FileJournal(LogPtr log, std::unique_ptr<os::FileLock> lock)
      : log_(std::move(log)), lock_(std::move(lock)) {
    syncer_.emplace(log_);
    upkeep_.emplace(log_);
    scrub_.emplace(log_);
  }
  ~FileJournal() override { close(); }

  Result<Place> append(std::span<const Record> records, Deadline deadline) override;
  Result<Place> append_shipped(std::span<const PlacedRecord> records, Deadline deadline) override;
  Result<Place> wait_durable(Sequence sequence, Deadline deadline) override;
  Result<Place> wait_durable_beyond(Sequence after, Deadline deadline) override;
  Tail tail() const override;
  Result<std::unique_ptr<Reader>> reader(Sequence from) override;
  Result<std::unique_ptr<TransactionCursor>> cursor(Sequence from, Sequence skip_through,
                                                    Sequence whole_after) override;
  Result<std::optional<Sequence>> first_preamble() override;
  Result<std::uint64_t> hash_at(Sequence sequence) override;
  std::vector<EpochEntry> history() const override;
  Epoch promised() const override;
  Result<void> promise(Epoch epoch) override { return journal::promise(*log_, epoch); }
  Result<void> begin_epoch(const EpochEntry& entry) override {
    return journal::begin_epoch(*log_, entry);
  }
  Result<void> start_at(Place next, std::uint64_t hash_before,
                        const std::vector<EpochEntry>& history, const Tail& tail_before) override {
    return journal::start_at(*log_, next, hash_before, history, tail_before);
  }
  Result<void> clear() override { return journal::clear(*log_); }
  Result<void> set_consumer(const std::string& name, const ConsumerPlaces& places) override;
  Result<void> remove_consumer(const std::string& name) override;
  std::optional<ConsumerPlaces> consumer(const std::string& name) const override;
  std::vector<std::pair<std::string, ConsumerPlaces>> consumers() const override;
  bool overtaken(const std::string& name) const override;
  Result<void> trim() override { return trim_log(*log_); }
  Result<void> repair(std::span<const PlacedRecord> records) override {
    return repair_log(*log_, records);
  }
  std::optional<DamagedRun> damaged() const override;
  Status status() const override;
  void close() override;

 private:
  // Caller holds the log's lock.
  Result<void> check_open() const;
  bool wait_for_batch(os::Lock& lock, Sequence sequence, Deadline deadline);
  Result<void> commit(AppendPlan& plan, Deadline deadline);
  bool has_room(std::uint64_t bytes) const;        // caller holds the log's lock
  bool stale() const;                              // caller holds the log's lock
  Error no_room_error(std::uint64_t bytes) const;  // caller holds the log's lock
  Result<std::span<const PlacedRecord>> pass_known(std::span<const PlacedRecord> records,
                                                   Deadline deadline);
  Result<void> plan_shipped(AppendPlan& plan, std::span<const PlacedRecord> records) const;
  void trim_soon();  // caller holds the log's lock
  Result<std::optional<Sequence>> first_preamble_where(
      const std::function<Result<bool>(Sequence)>& wanted);

  const LogPtr log_;
  std::unique_ptr<os::FileLock> lock_;  // until close()
  // Last, and ended by close(): they use the log.
  std::optional<Syncer> syncer_;
  std::optional<Upkeep> upkeep_;
  std::optional<Scrub> scrub_;
};

Result<void> FileJournal::check_open() const {
  if (log_->failure) return *log_->failure;
  if (log_->phase != Phase::open) return log_->closed_error();
  return {};
}

// --- append

Result<Place> FileJournal::append(std::span<const Record> records, Deadline deadline) {
  const os::Lock appending(log_->appending);
  Epoch epoch;
  {
    os::Lock lock(log_->mutex);
    FARSHORE_TRY(check_open());
    const bool begun = !log_->history.entries.empty();
    lock.unlock();
    if (!begun) FARSHORE_TRY(begin_first_epoch(*log_));
    lock.lock();
    if (records.empty()) return log_->written.place;
    epoch = log_->history.current();
    if (log_->history.epoch_at(log_->next_sequence()) != epoch)
      return permanent(ErrorKind::conflict,
                       "journal {}: epoch {} begins at sequence {}, records before it are missing",
                       log_->folder, epoch, log_->history.entries.back().first);
  }
  AppendPlan plan(*log_, log_->world.clock().wall());
  for (const Record& record : records) (void)plan.add(record, epoch);
  FARSHORE_TRY(commit(plan, deadline));
  return plan.end().place;
}

bool FileJournal::has_room(std::uint64_t bytes) const {
  const std::uint64_t buffered = log_->pending_bytes + log_->flushing_bytes;
  const bool buffer_has = buffered == 0 || buffered + bytes <= log_->options.buffered_bytes_max;
  return log_->full.empty() && log_->total_bytes + bytes <= log_->options.bytes_max && buffer_has;
}

// A newer epoch was promised than the one that records bear.
bool FileJournal::stale() const {
  return log_->history.current() < log_->history.promised;
}

Error FileJournal::no_room_error(std::uint64_t bytes) const {
  std::string full = log_->full;
  if (full.empty() && log_->total_bytes + bytes > log_->options.bytes_max)
    full = fmt::format("journal.max ({}) is reached", format_bytes(log_->options.bytes_max));
  if (full.empty() && log_->write_blocked) full = "the file system is full";
  if (full.empty())
    return transient(ErrorKind::timeout,
                     "journal {}: {} wait to be written, nothing more was taken", log_->folder,
                     format_bytes(log_->pending_bytes + log_->flushing_bytes));
  return transient(ErrorKind::disk_full, "journal {} is full: {}{}", log_->folder, full,
                   to_do(kMakeRoom));
}

Result<void> FileJournal::commit(AppendPlan& plan, Deadline deadline) {
  if (plan.empty()) return {};
  os::Lock lock(log_->mutex);
  if (log_->total_bytes + plan.bytes() > log_->options.bytes_max) {
    log_->wanted_bytes = plan.bytes();
    trim_soon();
  }
  const bool room = log_->room_changed.wait(lock, deadline, [&] {
    return log_->failure || log_->phase != Phase::open || stale() || has_room(plan.bytes());
  });
  FARSHORE_TRY(check_open());
  if (stale())
    return permanent(ErrorKind::conflict,
                     "journal {} promised to accept nothing below epoch {}: {} is stale",
                     log_->folder, log_->history.promised, log_->history.current());
  if (!room) return no_room_error(plan.bytes());
  plan.commit();
  if (log_->syncer_idle || log_->followers > 0 || log_->pending_bytes >= kPartBytes)
    log_->syncer_wakeup.notify_all();
  return {};
}

// Records that we hold already must be the same; the running hash of the last one stands for all
// before it.
Result<std::span<const PlacedRecord>> FileJournal::pass_known(std::span<const PlacedRecord> records,
                                                              Deadline deadline) {
  Sequence end, first;
  {
    const os::Lock lock(log_->mutex);
    FARSHORE_TRY(check_open());
    end = log_->written.place.sequence;
    first = log_->first();
  }
  std::size_t known = 0;
  while (known < records.size() && records[known].place.sequence <= end) ++known;
  if (known == 0) return records;
  const PlacedRecord& last = records[known - 1];
  if (last.place.sequence < first)
    return records.subspan(known);  // trimmed: was checked when it came
  FARSHORE_TRY(wait_durable(last.place.sequence, deadline));
  FARSHORE_TRY_ASSIGN(const std::uint64_t hash, hash_at(last.place.sequence));
  const os::Lock lock(log_->mutex);
  if (hash != last.hash || log_->history.epoch_at(last.place.sequence) != last.place.epoch)
    return permanent(ErrorKind::conflict,
                     "journal {} holds another record than the shipped one at {}", log_->folder,
                     last.place);
  return records.subspan(known);
}

Result<void> FileJournal::plan_shipped(AppendPlan& plan,
                                       std::span<const PlacedRecord> records) const {
  EpochHistory history;
  {
    const os::Lock lock(log_->mutex);
    history = log_->history;
  }
  for (const PlacedRecord& placed : records) {
    const Sequence expected = plan.end().place.sequence.next();
    if (placed.place.sequence != expected)
      return permanent(ErrorKind::conflict, "journal {} continues at sequence {}, shipped was {}",
                       log_->folder, expected, placed.place);
    if (placed.place.epoch != history.epoch_at(expected))
      return permanent(ErrorKind::conflict,
                       "journal {} expects epoch {} at sequence {}, shipped was {}", log_->folder,
                       history.epoch_at(expected), expected, placed.place);
    if (plan.add(placed.record, placed.place.epoch) != placed.hash)
      return permanent(ErrorKind::conflict,
                       "the running hash of shipped record {} does not continue journal {}",
                       placed.place, log_->folder);
  }
  return {};
}

Result<Place> FileJournal::append_shipped(std::span<const PlacedRecord> records,
                                          Deadline deadline) {
  const os::Lock appending(log_->appending);
  FARSHORE_TRY_ASSIGN(const auto fresh, pass_known(records, deadline));
  AppendPlan plan(*log_, log_->world.clock().wall());
  if (!fresh.empty()) FARSHORE_TRY(plan_shipped(plan, fresh));
  FARSHORE_TRY(commit(plan, deadline));
  return plan.end().place;
}

// --- durability

Result<Place> FileJournal::wait_durable(Sequence sequence, Deadline deadline) {
  os::Lock lock(log_->mutex);
  ++log_->waiters;
  Result<void> open;
  bool in_time = true;
  while (in_time && log_->durable.place.sequence < sequence && (open = check_open()).ok())
    in_time = wait_for_batch(lock, sequence, deadline);
  --log_->waiters;
  if (log_->durable.place.sequence >= sequence) return log_->durable.place;
  if (!open) return std::move(open).error();
  return transient(ErrorKind::timeout,
                   "journal {}: sequence {} is not durable yet, what is ends at {}", log_->folder,
                   sequence, log_->durable.place);
}

// Flushes the next batch, or waits for the end of the batch that holds `sequence`.
bool FileJournal::wait_for_batch(os::Lock& lock, Sequence sequence, Deadline deadline) {
  if (!log_->flushing && !log_->write_blocked && !log_->pending.empty()) {
    if (deadline.is_never() || deadline.left(log_->world.now()) >= kLeadAtLeast) {
      flush_batch(*log_, lock);
      if (!log_->pending.empty()) log_->syncer_wakeup.notify_all();  // goes on while others wait
      return true;
    }
    log_->syncer_wakeup.notify_all();
  }
  const bool in_flight = log_->flushing && sequence <= log_->flushing_end;
  os::CondVar& done = log_->batch_done[(log_->batch + (in_flight ? 0 : 1)) % kBatchDoors];
  const bool in_time = done.wait(lock, deadline);
  // Each that wakes wakes two more, so that the thread that flushes goes on at once; without the
  // lock, which they need first of all.
  lock.unlock();
  done.notify_one();
  done.notify_one();
  lock.lock();
  return in_time;
}

Result<Place> FileJournal::wait_durable_beyond(Sequence after, Deadline deadline) {
  os::Lock lock(log_->mutex);
  ++log_->followers;
  if (!log_->pending.empty()) log_->syncer_wakeup.notify_all();
  const bool beyond = log_->durable_changed.wait(lock, deadline, [&] {
    return log_->durable.place.sequence > after || log_->failure || log_->phase != Phase::open;
  });
  --log_->followers;
  if (!beyond || log_->durable.place.sequence > after) return log_->durable.place;
  FARSHORE_TRY(check_open());
  return log_->durable.place;
}

Tail FileJournal::tail() const {
  const os::Lock lock(log_->mutex);
  return log_->durable.tail;
}

// --- reading

Result<std::unique_ptr<Reader>> FileJournal::reader(Sequence from) {
  auto reader = std::make_unique<LogReader>(log_, std::max(from, Sequence(1)));
  FARSHORE_TRY(reader->seek(from));
  return std::unique_ptr<Reader>(std::move(reader));
}

Result<std::unique_ptr<TransactionCursor>> FileJournal::cursor(Sequence from, Sequence skip_through,
                                                               Sequence whole_after) {
  OpenTransactions::Start start{.from = from, .skip_through = skip_through};
  const bool anywhere = from.value() == 0;
  Sequence first;
  {
    const os::Lock lock(log_->mutex);
    if (log_->phase != Phase::open) return log_->closed_error();
    first = log_->first();
    const bool gap = skip_through.value() != 0 && skip_through.next() < first;
    if (anywhere && gap) return log_->overtaken_error(skip_through.next());
    if (!anywhere && from < first) return log_->overtaken_error(from);
  }
  // Without knowing what was applied, a transaction that began before `from` may have been.
  if (!anywhere) start.whole_after = skip_through;
  if (whole_after.value() != 0) start.whole_after = whole_after;
  if (anywhere) start.from = first;
  if (anywhere && first > Sequence(1)) {
    FARSHORE_TRY_ASSIGN(const auto preamble,
                        first_preamble_where([](Sequence) -> Result<bool> { return true; }));
    start.first_preamble = preamble.value_or(Sequence{});
  }
  return std::unique_ptr<TransactionCursor>(std::make_unique<LogCursor>(log_, start));
}

Result<std::optional<Sequence>> FileJournal::first_preamble() {
  return first_preamble_where([this](Sequence preamble) -> Result<bool> {
    LogFrames frames(log_, preamble);
    const auto frame = frames.next();
    if (!frame && frame.error().kind == ErrorKind::overtaken) return false;  // trimmed meanwhile
    if (!frame) return frame.error();
    if (!*frame) return false;  // the journal was cleared meanwhile
    FARSHORE_TRY_ASSIGN(const PlacedRecord placed, decode_frame(**frame, frames.epoch()));
    return !placed.record.flags.streamed;
  });
}

Result<std::optional<Sequence>> FileJournal::first_preamble_where(
    const std::function<Result<bool>(Sequence)>& wanted) {
  std::vector<SegmentPtr> segments;
  {
    const os::Lock lock(log_->mutex);
    segments.assign(log_->segments.begin(), log_->segments.end());
  }
  for (const SegmentPtr& segment : segments) {
    FARSHORE_TRY(log_->load_index(segment));
    std::vector<Sequence> preambles;
    {
      const os::Lock lock(log_->mutex);
      for (const Sequence preamble : segment->index.preambles())
        if (preamble <= log_->durable.place.sequence) preambles.push_back(preamble);
    }
    for (const Sequence preamble : preambles) {
      FARSHORE_TRY_ASSIGN(const bool found, wanted(preamble));
      if (found) return std::optional(preamble);
    }
  }
  return std::optional<Sequence>();
}

Result<std::uint64_t> FileJournal::hash_at(Sequence sequence) {
  if (sequence.value() == 0) return std::uint64_t{0};
  {
    const os::Lock lock(log_->mutex);
    if (sequence == log_->durable.place.sequence) return log_->durable.hash;
    if (sequence == log_->written.place.sequence) return log_->written.hash;
    if (!log_->segments.empty() && sequence.next() == log_->first())
      return log_->segments.front()->header.hash_before;
    if (sequence > log_->durable.place.sequence)
      return permanent(ErrorKind::not_found, "journal {} ends at {}: there is no record {}",
                       log_->folder, log_->durable.place, sequence);
  }
  LogFrames frames(log_, sequence);
  FARSHORE_TRY_ASSIGN(const auto frame, frames.next());
  if (!frame)
    return permanent(ErrorKind::not_found, "journal {} holds no record {} any more", log_->folder,
                     sequence);
  return frame->header.hash;
}

// --- epochs, consumers

std::vector<EpochEntry> FileJournal::history() const {
  const os::Lock lock(log_->mutex);
  return log_->history.entries;
}

Epoch FileJournal::promised() const {
  const os::Lock lock(log_->mutex);
  return log_->history.promised;
}

void FileJournal::trim_soon() {
  log_->trim_wanted = true;
  log_->upkeep_wakeup.notify_all();
  log_->syncer_wakeup.notify_all();  // only what is written can be removed
}

Result<void> FileJournal::set_consumer(const std::string& name, const ConsumerPlaces& places) {
  if (name.empty() || name.size() > kConsumerNameMax)
    return permanent(ErrorKind::invalid, "consumer name of {} bytes: 1 to {} are allowed",
                     name.size(), kConsumerNameMax);
  const os::Lock lock(log_->mutex);
  FARSHORE_TRY(check_open());
  if (places.restart > log_->next_sequence())
    return permanent(ErrorKind::invalid,
                     "consumer '{}' would restart at {}, beyond the journal's end at {}", name,
                     places.restart, log_->written.place);
  ConsumerPlaces kept = places;
  if (places.restart.value() == 0) {
    const auto known = log_->consumers.find(name);
    if (known != log_->consumers.end() && known->second.overtaken)
      return within(fmt::format("consumer '{}'", name),
                    log_->overtaken_error(known->second.places.restart));
    kept.restart = log_->first();
  }
  if (kept.restart < log_->first())
    return within(fmt::format("consumer '{}'", name), log_->overtaken_error(kept.restart));
  const bool fresh = !log_->consumers.contains(name);
  if (fresh && log_->consumers.size() >= kConsumersMax)
    return permanent(ErrorKind::invalid, "journal {} has {} consumers, the limit: remove one",
                     log_->folder, kConsumersMax);
  Consumer& consumer = log_->consumers[name];
  if (!fresh && consumer == Consumer{kept, false}) return {};
  consumer = {kept, false};
  log_->consumers_changed = true;
  if (log_->wanted_bytes > 0 || !log_->full.empty()) trim_soon();
  return {};
}

Result<void> FileJournal::remove_consumer(const std::string& name) {
  {
    const os::Lock lock(log_->mutex);
    FARSHORE_TRY(check_open());
    if (log_->consumers.erase(name) == 0)
      return permanent(ErrorKind::not_found, "journal {} has no consumer '{}'", log_->folder, name);
    log_->consumers_changed = true;
    if (log_->wanted_bytes > 0 || !log_->full.empty()) trim_soon();
  }
  return save_changed_consumers(*log_);
}

std::optional<ConsumerPlaces> FileJournal::consumer(const std::string& name) const {
  const os::Lock lock(log_->mutex);
  const auto found = log_->consumers.find(name);
  if (found == log_->consumers.end()) return std::nullopt;
  return found->second.places;
}

std::vector<std::pair<std::string, ConsumerPlaces>> FileJournal::consumers() const {
  const os::Lock lock(log_->mutex);
  std::vector<std::pair<std::string, ConsumerPlaces>> all;
  for (const auto& [name, consumer] : log_->consumers) all.emplace_back(name, consumer.places);
  return all;
}

bool FileJournal::overtaken(const std::string& name) const {
  const os::Lock lock(log_->mutex);
  const auto found = log_->consumers.find(name);
  return found != log_->consumers.end() && found->second.overtaken;
}

// --- status, end

const Damage* oldest_damage(const Log& log) {
  if (log.failure || log.damages.empty()) return nullptr;
  return &*std::min_element(log.damages.begin(), log.damages.end(),
                            [](const Damage& a, const Damage& b) { return a.first < b.first; });
}

std::optional<DamagedRun> FileJournal::damaged() const {
  const os::Lock lock(log_->mutex);
  const Damage* oldest = oldest_damage(*log_);
  if (oldest == nullptr) return std::nullopt;
  return DamagedRun{oldest->first, oldest->last};
}

void judge(const Log& log, Status& status) {
  if (log.failure) {
    status.health = Health::failed;
    status.reason = log.failure->what;
  } else if (const Damage* first = oldest_damage(log)) {
    status.health = Health::damaged;
    status.reason =
        text_of(*first) + "; it is repaired from the other region's journal when the link is up";
    status.damaged_first = first->first;
    status.damaged_last = first->last;
  } else if (!log.full_shown.empty() || log.write_blocked) {
    status.health = Health::full;
    status.reason = log.full_shown.empty() ? "the file system is full" : log.full_shown;
  }
}

Status FileJournal::status() const {
  const os::Lock lock(log_->mutex);
  Status status;
  judge(*log_, status);
  status.first = {log_->history.epoch_at(log_->first()), log_->first()};
  status.written = log_->written.place;
  status.durable = log_->durable.place;
  status.hash = log_->durable.hash;
  status.bytes = log_->total_bytes;
  status.segments = log_->segments.size();
  status.syncs = log_->syncs;
  status.scrubbed = log_->scrubbed;
  if (log_->bytes_per_hour <= 0) return status;
  const double rate = log_->bytes_per_hour;
  status.hours_to_bytes_max = hours_until(log_->total_bytes, log_->options.bytes_max, rate);
  status.hours_to_disk_full = hours_until(log_->options.free_bytes_min, log_->free_bytes, rate);
  return status;
}

void FileJournal::close() {
  {
    const os::Lock lock(log_->mutex);
    if (log_->phase != Phase::open) return;
    log_->phase = Phase::closing;
    log_->wake_all();
  }
  syncer_.reset();
  upkeep_.reset();
  scrub_.reset();
  if (const auto saved = save_changed_consumers(*log_); !saved)
    log_->emit(Severity::warning, "journal.upkeep_failed",
               fmt::format("journal {}: {}", log_->folder, saved.error().what));
  {
    // Whoever still changes files ends first; the folder may be opened anew then.
    const os::Lock appending(log_->appending);
    const os::Lock admin(log_->admin);
    os::Lock lock(log_->mutex);
    while (log_->flushing) log_->durable_changed.wait(lock);
    log_->phase = Phase::closed;
  }
  lock_.reset();
}

}  // namespace

Result<std::unique_ptr<Journal>> Journal::open(os::World& world, std::string folder,
                                               const Options& options, EventSink events) {
  if (options.segment_bytes < kSegmentBytesMin || options.segment_bytes > kSegmentBytesMax)
    return permanent(ErrorKind::invalid, "segment_bytes is {}: {} to {} are allowed",
                     format_bytes(options.segment_bytes), format_bytes(kSegmentBytesMin),
                     format_bytes(kSegmentBytesMax));
  FARSHORE_TRY(world.files().create_folder(folder));
  FARSHORE_TRY_ASSIGN(auto file_lock,
                      world.files().lock(folder + "/lock", "farshore journal " + folder));
  auto log = std::make_shared<Log>(world, std::move(folder), options, std::move(events));
  {
    const os::Lock appending(log->appending);
    const os::Lock admin(log->admin);
    FARSHORE_TRY(recover(*log));
  }
  return std::unique_ptr<Journal>(
      std::make_unique<FileJournal>(std::move(log), std::move(file_lock)));
}

}  // namespace farshore::journal
