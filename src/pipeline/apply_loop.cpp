#include "pipeline/apply_loop.h"

#include <utility>

#include "base/guarded.h"
#include "change/record_codec.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kApplyWait = 500ms;  // how long a stop may take while idle
constexpr Duration kLookAhead = 1s;     // for the next transaction, while paused
constexpr Duration kSkipWait = 5s;      // for the transaction that an operator names
constexpr const char* kOneDefinition =
    "the source's region decides: write what it says (after `->`, and with `+`) into the file of "
    "the target's region, and reload its agent (SIGHUP)";
constexpr Duration kWantAgain = 10min;  // for a list of tables that has what is waited for
constexpr Duration kRepairLook = 1s;    // for what the other region repairs
constexpr std::size_t kUndurableMax =
    4096;  // restart places kept; beyond it the newest ones are merged

}  // namespace

ApplyLoop::ApplyLoop(os::World& world, Sink& sink, journal::Journal& journal, StateBoard& board,
                     Options options, std::function<void(Error)> journal_failed)
    : world_(world),
      sink_(sink),
      journal_(journal),
      board_(board),
      options_(std::move(options)),
      journal_failed_(std::move(journal_failed)),
      stopper_(world),
      backoff_(world, 200ms, 10s),
      counts_(world, options_.counts_file, journal, options_.epoch) {}

void ApplyLoop::run(std::stop_token stop) {
  std::stop_callback interrupt(stop, [this] { sink_.interrupt(); });
  while (!stop.stop_requested()) {
    bool waits = false;
    std::shared_ptr<SkipRequest> asked;  // what comes during the session is not what it fails of
    {
      os::Lock lock(mutex_);
      asked = skip_;
      waits = (paused_ && !skip_) || held_for_copy_;
      in_session_ = !waits;
      rest_shown_ &= waits;
      changed_.notify_all();
    }
    if (waits) {
      stopper_.wait(stop, show_waiting());
      continue;
    }
    ahead_.reset();
    next_.clear();
    auto result = guarded([&] { return session(stop); });
    sink_.close();
    {
      os::Lock lock(mutex_);
      in_session_ = false;
      if (skip_ && skip_ == asked && !result.ok()) std::exchange(skip_, nullptr)->result = result;
      changed_.notify_all();
    }
    if (result.ok() || stop.stop_requested()) continue;
    if (interrupted(result.error())) continue;
    if (const ErrorKind kind = result.error().kind;
        kind == ErrorKind::io || kind == ErrorKind::closed)
      return journal_failed_(result.error());
    rest(stop, result.error());
  }
}

// Again after a while: a list may have come just before the table was gone.
void ApplyLoop::want_table(const std::string& why) {
  const MonotonicTime now = world_.now();
  if (std::exchange(wanted_for_, why) == why && now - wanted_at_ < kWantAgain) return;
  wanted_at_ = now;
  options_.table_wanted();
}

void ApplyLoop::rest(std::stop_token stop, const Error& error) {
  if (error.kind == ErrorKind::corrupt && damaged()) {
    board_.fail(error, "it is repaired from the other region's journal when the link is up");
    while (damaged() && stopper_.wait(stop, kRepairLook)) continue;
    return;
  }
  if (error.retry == Retry::no) {
    // Before it is shown: who sees it may skip, or copy anew.
    set_failed(true, error.kind == ErrorKind::overtaken);
    if (error.kind == ErrorKind::overtaken)
      board_.fail(error, copy_anew());
    else
      board_.fail(error);
    stopper_.wait(stop, Duration::max());
    set_failed(false);
    return;
  }
  if (error.kind == ErrorKind::conflict) want_table(error.what);
  const Duration pause = backoff_.next();
  board_.retrying(error, world_.now() + pause);
  stopper_.wait(stop, pause);
}

void ApplyLoop::set_failed(bool failed, bool overtaken) {
  os::Lock lock(mutex_);
  failed_ = failed;
  overtaken_ = overtaken;
}

bool ApplyLoop::overtaken() const {
  os::Lock lock(mutex_);
  return overtaken_;
}

Error ApplyLoop::overtaken_error() const {
  return permanent(ErrorKind::overtaken,
                   "the journal was full, and what this target had not applied yet was removed: "
                   "the journal begins at {} now",
                   journal_.status().first);
}

std::string ApplyLoop::copy_anew() const {
  return "copy all tables anew: " + board_.command("resnapshot");
}

// By a verb, not by a fault: what was open in the target is applied again.
bool ApplyLoop::interrupted(const Error& error) const {
  os::Lock lock(mutex_);
  return (error.kind == ErrorKind::timeout || error.kind == ErrorKind::closed) && told();
}

bool ApplyLoop::damaged() const {
  return journal_.status().health == journal::Health::damaged;
}

Duration ApplyLoop::show_waiting() {
  os::Lock lock(mutex_);
  const bool copying = held_for_copy_;
  const auto at = pause_at_;
  lock.unlock();
  const Duration again = show_rest(copying, at);
  lock.lock();
  rest_shown_ = true;
  changed_.notify_all();
  return again;
}

Duration ApplyLoop::show_rest(bool copying, const std::optional<WallTime>& at) {
  if (copying) {
    board_.set(State::copying, kHeldForCopy);
    return Duration::max();
  }
  if (journal_.overtaken(kConsumer)) {
    board_.fail(overtaken_error(), copy_anew());
    return Duration::max();
  }
  const std::string next = next_transaction();
  board_.set(State::paused, "by an operator" + (at ? ", at " + format_time(*at) : "") + next);
  return kLookAhead;
}

// What `stream skip` would pass over; empty: nothing waits yet.
std::string ApplyLoop::next_transaction() {
  if (!ahead_) {
    const auto places = journal_.consumer(kConsumer).value_or(journal::ConsumerPlaces{});
    auto ahead = journal_.cursor(places.restart, std::max(places.applied, stats().applied));
    if (!ahead.ok()) return next_;
    ahead_ = *std::move(ahead);
  }
  while (next_.empty()) {
    auto item = ahead_->next(Deadline::passed());
    if (!item.ok() || !*item) return next_;
    if ((*item)->kind == RecordKind::data)
      next_ = fmt::format("; next is transaction {} at {}, {} changes, committed {}", (*item)->xid,
                          (*item)->place, (*item)->changes, format_time((*item)->commit_time));
  }
  return next_;
}

Result<void> ApplyLoop::session(std::stop_token stop) {
  {
    os::Lock lock(mutex_);
    session_outdated_ = false;  // what changes from here on is for the next one
  }
  terms_ = options_.terms();
  FARSHORE_TRY_ASSIGN(const Sequence through, sink_.open(options_.stream, options_.epoch));
  FARSHORE_TRY_ASSIGN(const Sequence from, restart_place(through));
  counts_.held(through);
  // The sink passes over what it holds: it learns from it what relations later changes name.
  // A restart place lies before each transaction that was open then. One that began before it and
  // ends beyond what the sink has recorded had no effect in the target, and is passed over again.
  const Sequence whole_after = from == Sequence(0) ? through : Sequence(0);
  FARSHORE_TRY_ASSIGN(auto journal_cursor, journal_.cursor(from, Sequence(0), whole_after));
  Hold hold{.delay = terms_.apply_delay};
  std::string announced;
  bool only_skips = false;
  {
    os::Lock lock(mutex_);
    announced = announced_;
    only_skips = skip_ != nullptr;
    hold.pause_at = pause_at_;
    stats_.applied = std::max(through, skipped_);
    undurable_.clear();
  }
  HeldCursor cursor(world_, std::move(journal_cursor), hold, options_.clock_offset);
  {
    os::Lock lock(mutex_);
    cursor_ = &cursor;
  }
  if (only_skips) {
    // Nothing is applied: it shows what it showed.
  } else if (!terms_.difference.empty()) {
    board_.set(State::config_differs, terms_.difference, kOneDefinition);
  } else {
    board_.set(State::streaming, announced);
  }
  Result<void> result = apply_until_told(stop, cursor);
  os::Lock lock(mutex_);
  cursor_ = nullptr;  // it ends here: no verb may interrupt it any more
  return result;
}

// Our place as the journal keeps it may be a moment older than the one it trimmed by: then what it
// still holds begins at a preamble that is early enough. What it trimmed beyond the last thing that
// the sink knows of had no effect in the target; but a target that lacks what it once held durably
// was restored from a backup, and gets it again while the journal holds it. A target that joined a
// trimmed stream has nothing and needs nothing of before: it was copied.
Result<Sequence> ApplyLoop::restart_place(Sequence through) {
  if (journal_.overtaken(kConsumer)) return overtaken_error();
  const auto places = journal_.consumer(kConsumer).value_or(journal::ConsumerPlaces{});
  const Sequence first = journal_.status().first.sequence;
  // In a later epoch the sink counts anew.
  const bool counts_anew = through == Sequence(0) && options_.epoch != Epoch(1);
  const bool went_back = through < places.applied && !counts_anew;
  const bool began = through != Sequence(0) && places.applied != Sequence(0);
  const bool joined =
      through == Sequence(0) && places.applied == Sequence(0) && places.restart >= first;
  if (first > through.next() && (went_back || !(began || joined)))
    return permanent(ErrorKind::overtaken,
                     "the target holds everything through {}, the journal begins at {}", through,
                     first);
  if (went_back) {
    skipped_ = Sequence(0);
    board_.report(Severity::warning, "stream.target_went_back",
                  fmt::format("the target held everything through {} and holds it through {} now: "
                              "what it lacks is applied again",
                              places.applied, through));
    FARSHORE_TRY(journal_.set_consumer(
        kConsumer, {.applied = through, .required = terms_.required}));  // and kept until then
  }
  if (went_back || places.restart < first) return Sequence(0);
  return places.restart;
}

bool ApplyLoop::told() const {
  return paused_ || held_for_copy_ || session_outdated_ || skip_ != nullptr;
}

Result<void> ApplyLoop::apply_until_told(std::stop_token stop, HeldCursor& cursor) {
  while (!stop.stop_requested()) {
    std::shared_ptr<SkipRequest> skip;
    {
      os::Lock lock(mutex_);
      skip = skip_;
      if (!skip && told()) return {};
    }
    if (skip) {
      Result<void> result = skip_item(cursor, *skip);
      os::Lock lock(mutex_);
      skip->result = std::move(result);
      if (skip_ == skip) skip_.reset();
      changed_.notify_all();
      return {};
    }
    FARSHORE_TRY_ASSIGN(const Applied applied, sink_.apply(cursor, world_.after(kApplyWait)));
    note(applied, cursor.restart());
    board_.worked();
    backoff_.reset();
    wanted_for_.clear();
    if (cursor.reached_pause()) {
      os::Lock lock(mutex_);
      paused_ = true;
    }
  }
  return {};
}

void ApplyLoop::note(const Applied& applied, Sequence restart) {
  if (undurable_.empty() || undurable_.back().first < applied.through) {
    if (undurable_.size() >= kUndurableMax) undurable_.pop_back();
    undurable_.emplace_back(applied.through, restart);
  }
  std::optional<std::pair<Sequence, Sequence>> safe;
  while (!undurable_.empty() && undurable_.front().first <= applied.durable) {
    safe = undurable_.front();
    undurable_.pop_front();
  }
  if (safe)
    (void)journal_.set_consumer(kConsumer, {.applied = std::min(safe->first, applied.recorded),
                                            .restart = safe->second,
                                            .required = terms_.required});
  counts_.applied(applied);
  os::Lock lock(mutex_);
  stats_.applied = std::max(stats_.applied, applied.through);
  stats_.durable = std::max(stats_.durable, applied.durable);
  stats_.commit_time = std::max(stats_.commit_time, applied.commit_time);
}

Result<CursorItem> ApplyLoop::item_to_skip(HeldCursor& cursor, Place place) {
  if (const Place end = journal_.status().written; place.sequence > end.sequence)
    return permanent(ErrorKind::not_found, "nothing is at {} yet: target {} has received up to {}",
                     place, options_.site, end);
  cursor.release();
  const Sequence applied = stats().applied;           // the cursor may begin before it
  const Deadline deadline = world_.after(kSkipWait);  // for all: heartbeats come without end
  for (;;) {
    FARSHORE_TRY_ASSIGN(const auto item, cursor.next(deadline));
    const bool waits = item && item->kind == RecordKind::data && item->place.sequence > applied;
    if (waits && item->place == place) return *item;
    if (!item || (!waits && item->place.sequence >= place.sequence))
      return permanent(ErrorKind::not_found, "no transaction waits at {} for target {}", place,
                       options_.site);
    if (!waits) continue;
    return permanent(ErrorKind::conflict,
                     "the next transaction is at {}, not at {}: only the next one can be skipped",
                     item->place, place);
  }
}

Result<void> ApplyLoop::skip_item(HeldCursor& cursor, SkipRequest& request) {
  FARSHORE_TRY_ASSIGN(const CursorItem item, item_to_skip(cursor, request.place));
  {
    os::Lock lock(mutex_);
    if (skip_.get() != &request) return transient(ErrorKind::closed, "the skip was called off");
    request.begun = true;
  }
  const std::string path =
      fmt::format("{}/{}-{}.records", options_.skip_folder, item.place.epoch, item.place.sequence);
  FARSHORE_TRY(save_item(cursor, item, path));
  FARSHORE_TRY(sink_.skip(item));
  counts_.skipped(item.place.sequence);
  skipped_ = std::max(skipped_, item.place.sequence);
  {
    os::Lock lock(mutex_);
    stats_.applied = std::max(stats_.applied, skipped_);
  }
  board_.report(
      Severity::warning, "stream.skipped",
      fmt::format(
          "transaction {} at {} with {} changes was skipped by an operator; it is kept in {}",
          item.xid, item.place, item.changes, path));
  return {};
}

// docs/formats/skipped.md
Result<void> ApplyLoop::save_item(TransactionCursor& cursor, const CursorItem& item,
                                  const std::string& path) {
  os::Files& files = world_.files();
  FARSHORE_TRY(files.create_folder(options_.skip_folder));
  FARSHORE_TRY_ASSIGN(auto file, files.open(path, os::OpenMode::create));
  FARSHORE_TRY(file->truncate(0));
  std::uint64_t offset = 0;
  const auto save = [&](const Record& record) -> Result<void> {
    Bytes encoded, framed;
    encode_record(record, encoded);
    ByteWriter(framed).string32(encoded);
    FARSHORE_TRY(file->write_at(offset, framed));
    offset += framed.size();
    return {};
  };
  for (;;) {
    FARSHORE_TRY_ASSIGN(auto placed, cursor.next_record());
    if (!placed) break;
    FARSHORE_TRY(save(placed->record));
  }
  for (const std::uint64_t sub_xid : item.aborted_sub_xids)
    FARSHORE_TRY(save(
        {.kind = RecordKind::abort, .session = item.session, .xid = item.xid, .sub_xid = sub_xid}));
  FARSHORE_TRY(file->sync());
  return files.sync_folder(options_.skip_folder);
}

void ApplyLoop::pause(std::optional<WallTime> at) {
  {
    os::Lock lock(mutex_);
    pause_at_ = at;
    if (at)
      session_outdated_ = true;
    else
      paused_ = true;
    rest_shown_ = false;
    if (cursor_ != nullptr) cursor_->interrupt();
  }
  sink_.interrupt();
  stopper_.poke();
}

void ApplyLoop::wait_shown(Deadline deadline) {
  os::Lock lock(mutex_);
  changed_.wait(lock, deadline, [&] { return rest_shown_ || !paused_; });
}

void ApplyLoop::resume() {
  {
    os::Lock lock(mutex_);
    paused_ = false;
    pause_at_.reset();
    session_outdated_ = true;
    if (cursor_ != nullptr) cursor_->interrupt();
  }
  backoff_.reset();
  stopper_.poke();
}

void ApplyLoop::new_session() {
  os::Lock lock(mutex_);
  session_outdated_ = true;
  if (cursor_ != nullptr) cursor_->interrupt();
}

bool ApplyLoop::hold_for_copy(bool held, Deadline deadline) {
  {
    os::Lock lock(mutex_);
    held_for_copy_ = held;
    if (cursor_ != nullptr) cursor_->interrupt();
  }
  if (held) sink_.interrupt();
  stopper_.poke();
  if (!held) return true;
  os::Lock lock(mutex_);
  return changed_.wait(lock, deadline, [&] { return !in_session_; });
}

void ApplyLoop::announce(std::string what) {
  os::Lock lock(mutex_);
  announced_ = std::move(what);
}

Result<void> ApplyLoop::skippable() const {
  if (held_for_copy_)
    return permanent(ErrorKind::conflict,
                     "target {} of stream {} is being copied: nothing can be skipped before that "
                     "has ended",
                     options_.site, options_.stream_name);
  if (paused_ || failed_) return {};
  return permanent(ErrorKind::conflict,
                   "target {} of stream {} is neither failed nor paused: nothing was skipped; {}, "
                   "then `farshore status {}` names the next transaction",
                   options_.site, options_.stream_name, board_.command("pause"),
                   options_.stream_name);
}

Result<void> ApplyLoop::skip(Place place, Deadline deadline) {
  auto request = std::make_shared<SkipRequest>(SkipRequest{.place = place});
  {
    os::Lock lock(mutex_);
    FARSHORE_TRY(skippable());
    if (skip_) return transient(ErrorKind::conflict, "another skip is under way");
    skip_ = request;
    if (cursor_ != nullptr) cursor_->interrupt();
  }
  stopper_.poke();
  os::Lock lock(mutex_);
  const bool done = changed_.wait(lock, deadline, [&] { return request->result.has_value(); });
  if (skip_ == request) skip_.reset();  // called off, if it was not begun
  if (done) return *std::move(request->result);
  if (request->begun)
    return transient(ErrorKind::unavailable,
                     "target {} has not ended skipping {} yet: see `farshore status {}`",
                     options_.site, place, options_.stream_name);
  return transient(ErrorKind::timeout,
                   "target {} did not come to skip {} in time: it is not skipped", options_.site,
                   place);
}

void ApplyLoop::keep_counts() {
  (void)counts_.keep();  // not written: the next time will do
}

ApplyStats ApplyLoop::stats() const {
  ApplyStats stats{.counted = counts_.now()};
  os::Lock lock(mutex_);
  stats.applied = stats_.applied;
  stats.durable = stats_.durable;
  stats.commit_time = stats_.commit_time;
  return stats;
}

}  // namespace farshore::pipeline
