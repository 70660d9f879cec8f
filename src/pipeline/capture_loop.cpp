#include "pipeline/capture_loop.h"

#include "base/guarded.h"
#include "change/remedy.h"
#include "journal/epoch_history.h"
#include "pipeline/log_counts.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kSourceWait = 500ms;      // how long a stop may take
constexpr Duration kBeginWait = 50ms;        // how late a session is seen to have begun
constexpr Duration kCaptureAppendWait = 1s;  // then the full journal is shown in the state
constexpr Duration kCaptureSettleWait =
    30s;                            // for what was appended before a session to become durable
constexpr Duration kGapWait = 60s;  // for what run() is at, and that

}  // namespace

CaptureLoop::CaptureLoop(os::World& world, Source& source, journal::Journal& journal,
                         StateBoard& board, Options options, Callbacks callbacks)
    : world_(world),
      source_(source),
      journal_(journal),
      board_(board),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      stopper_(world),
      backoff_(world, 200ms, 10s) {}

void CaptureLoop::run(std::stop_token stop) {
  {
    std::stop_callback interrupt(stop, [this] { source_.interrupt(); });
    run_sessions(stop);
  }
  source_.stop();  // an interruption that came between two sessions is over, too
  os::Lock lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

void CaptureLoop::run_sessions(std::stop_token stop) {
  while (!stop.stop_requested()) {
    if (gap_accepted_.exchange(false))
      if (const auto begun = guarded([&] { return give_up_gap(); }); !begun.ok())
        return callbacks_.journal_failed(begun.error());
    auto result = guarded([&] { return session(stop); });
    source_.stop();
    if (stop.stop_requested() || result.ok()) continue;
    const Error error = std::move(result).error();
    if (error.kind == ErrorKind::io || error.kind == ErrorKind::closed)
      return callbacks_.journal_failed(error);
    if (error.retry == Retry::no) {
      fail(error);
      stopper_.wait(stop, Duration::max());
      continue;
    }
    const Duration pause = backoff_.next();
    board_.retrying(error, world_.now() + pause);
    stopper_.wait(stop, pause);
  }
}

Result<void> CaptureLoop::session(std::stop_token stop) {
  FARSHORE_TRY(open_session(stop));
  while (!stop.stop_requested() && !gap_accepted_) {
    if (!begun_ && note_progress().log_is_known) session_begun();
    FARSHORE_TRY_ASSIGN(std::vector<Record> records,
                        source_.next(world_.after(begun_ ? kSourceWait : kBeginWait)));
    if (!records.empty()) FARSHORE_TRY(write(std::move(records), stop));
    if (preamble_is_due()) FARSHORE_TRY(write_preamble(stop));
    if (note_progress().no_tables != no_tables_) show_working();
  }
  return {};
}

void CaptureLoop::session_begun() {
  begun_ = true;
  show_working();
  board_.worked();
  backoff_.reset();
  os::Lock lock(mutex_);
  log_gone_ = false;
  started_ = true;
  changed_.notify_all();
}

void CaptureLoop::show_working() {
  if (!begun_) return;
  no_tables_ = source_.progress().no_tables;
  board_.set(no_tables_.empty() ? State::streaming : State::degraded, no_tables_);
}

SourceProgress CaptureLoop::note_progress() {
  SourceProgress progress = source_.progress();
  bool joined = false;
  {
    os::Lock lock(mutex_);
    joined = progress.tables_joined != stats_.source.tables_joined;
    stats_.source = progress;
  }
  if (joined) callbacks_.tables_joined();
  return progress;
}

void CaptureLoop::fail(const Error& error) {
  const bool gone = error.kind == ErrorKind::overtaken;
  {
    os::Lock lock(mutex_);
    log_gone_ = gone;
  }
  if (gone)
    board_.fail(error, "copy all tables anew: " + board_.command("resnapshot"));
  else
    board_.fail(error);
}

Result<void> CaptureLoop::open_session(std::stop_token stop) {
  begun_ = false;
  const Sequence written = journal_.status().written.sequence;
  if (written > Sequence(0))
    FARSHORE_TRY(journal_.wait_durable(written, world_.after(kCaptureSettleWait)));
  const journal::Tail tail = journal_.tail();
  FARSHORE_TRY_ASSIGN(const SourceIdentity identity,
                      source_.start(tail.position, [this](const SourceIdentity& found) {
                        return check_identity(found);
                      }));
  FARSHORE_TRY(keep_identity(identity));
  session_ = tail.session + 1;
  {
    os::Lock lock(mutex_);
    open_.clear();
    unsynced_.clear();
    acknowledged_.near_durable = tail.position;
    source_.acknowledge(acknowledged_);
    near_waits_.acknowledged(written, world_.now());
  }
  Record record{.kind = RecordKind::session, .session = session_, .payload = identity.text};
  FARSHORE_TRY(write({std::move(record)}, stop));
  return write_preamble(stop);
}

Result<void> CaptureLoop::check_identity(const SourceIdentity& identity) {
  const std::string& expected = options_.expected_identity;
  os::Lock lock(mutex_);
  const bool accepted =
      expected.empty() || identity.text == expected || identity.text == accepted_identity_;
  refused_identity_ = accepted ? "" : identity.text;
  if (accepted) return {};
  accepted_identity_.clear();
  return permanent(ErrorKind::conflict,
                   "the source is not the one that was captured before: it is {}, it was {}{}",
                   identity.text, expected,
                   to_do("if it was restored or promoted on purpose, accept it with " +
                         board_.command("resume") + ", else repair its address"));
}

Result<void> CaptureLoop::keep_identity(const SourceIdentity& identity) {
  {
    os::Lock lock(mutex_);
    accepted_identity_.clear();
  }
  if (identity.text == options_.expected_identity) return {};
  FARSHORE_TRY(callbacks_.identity_seen(identity.text));
  options_.expected_identity = identity.text;
  return {};
}

Result<void> CaptureLoop::write(std::vector<Record> records, std::stop_token stop) {
  const MonotonicTime received = world_.now();
  for (Record& record : records) record.session = session_;
  for (bool shown = false;;) {
    auto written = journal_.append(records, world_.after(kCaptureAppendWait));
    if (written.ok()) {
      note_written(records, *written, received);
      if (shown) show_working();
      return {};
    }
    const bool full =
        written.error().kind == ErrorKind::disk_full || written.error().kind == ErrorKind::timeout;
    if (!full || stop.stop_requested() || gap_accepted_) return std::move(written).error();
    // What is in our hands is then part of what the source no longer holds.
    if (auto ended = note_progress().ended; ended && ended->retry == Retry::no) return *ended;
    const Told told = split_remedy(written.error().what);
    if (!shown) board_.set(State::degraded, "capture holds: " + told.why, told.remedy);
    shown = true;
  }
}

bool CaptureLoop::preamble_is_due() const {
  if (within_whole_) return false;
  return bytes_since_preamble_ >= options_.preamble_every_bytes ||
         (preamble_wanted_ && stats().open_transactions == 0);
}

Result<void> CaptureLoop::write_preamble(std::stop_token stop) {
  const bool among_open = stats().open_transactions != 0;
  if (!among_open) preamble_wanted_ = false;
  std::vector<Bytes> parts = source_.preamble();
  if (parts.empty()) parts.emplace_back();
  std::vector<Record> records;
  for (Bytes& part : parts)
    records.push_back({.kind = RecordKind::preamble,
                       .flags = {.streamed = among_open},
                       .payload = std::move(part)});
  FARSHORE_TRY(write(std::move(records), stop));
  bytes_since_preamble_ = 0;
  return {};
}

void CaptureLoop::note_written(std::span<const Record> records, Place last_place,
                               MonotonicTime received) {
  const Sequence last = last_place.sequence;
  const WallTime now = world_.clock().wall();
  os::Lock lock(mutex_);
  Sequence sequence = Sequence(last.value() - records.size());
  for (const Record& record : records) {
    sequence = sequence.next();
    unsynced_.add(sequence, record);
    if (record.commit_time != WallTime{}) {
      lag_.advance(record.commit_time, now);
      // A record that carries a place alone repeats the time of a commit before it.
      if (record.kind == RecordKind::heartbeat && record.commit_time > stats_.commit_time)
        stats_.heartbeat_time = record.commit_time;
      stats_.commit_time = std::max(stats_.commit_time, record.commit_time);
    }
    if (record.kind == RecordKind::data && record.flags.streamed && record.flags.first)
      open_[record.xid] = true;
    if (record.kind == RecordKind::session) within_whole_ = false;
    if (record.kind == RecordKind::data && !record.flags.streamed)
      within_whole_ = !record.flags.last;
    if (ends_transaction(record)) {
      open_.erase(record.xid);
      if (record.kind == RecordKind::data) {
        near_waits_.received(sequence, received);
        far_waits_.received(sequence, received);
      }
    }
    add(record, stats_);
    bytes_since_preamble_ += record.payload.size();
  }
  stats_.open_transactions = open_.size();
  stats_.written = last_place;
  meter_.note(last, stats_);
  acknowledge_near_locked();  // the sync may have been faster than we were
}

void CaptureLoop::run_acknowledge(std::stop_token stop) {
  const auto result = guarded([&]() -> Result<void> {
    follow_durable(stop);
    return {};
  });
  if (!result.ok()) callbacks_.journal_failed(result.error());
}

void CaptureLoop::follow_durable(std::stop_token stop) {
  Sequence seen;
  while (!stop.stop_requested()) {
    auto durable = journal_.wait_durable_beyond(seen, world_.after(kSourceWait));
    if (!durable.ok())
      return;  // the journal failed or was closed: run() hears the same and reports it
    if (durable->sequence == seen) continue;
    seen = durable->sequence;
    os::Lock lock(mutex_);
    durable_ = seen;
    acknowledge_near_locked();
  }
}

void CaptureLoop::far_durable(const CommitPosition& commit) {
  os::Lock lock(mutex_);
  if (commit.sequence <= given_up_) return;
  acknowledged_.far_durable = commit.position;
  acknowledged_.released = commit.position;
  source_.acknowledge(acknowledged_);
  far_waits_.acknowledged(commit.sequence, world_.now());
}

void CaptureLoop::acknowledge_near_locked() {
  auto commit = unsynced_.through(durable_);
  if (!commit) return;
  acknowledged_.near_durable = commit->position;
  source_.acknowledge(acknowledged_);
  near_waits_.acknowledged(commit->sequence, world_.now());
}

void CaptureLoop::accept_identity() {
  os::Lock lock(mutex_);
  if (!refused_identity_.empty()) accepted_identity_ = std::exchange(refused_identity_, {});
}

bool CaptureLoop::commits_wait() const {
  os::Lock lock(mutex_);
  return stats_.source.commits_wait;
}

bool CaptureLoop::log_gone() const {
  os::Lock lock(mutex_);
  return log_gone_;
}

Result<void> CaptureLoop::accept_gap() {
  os::Lock lock(mutex_);
  gap_given_up_.reset();
  gap_accepted_ = true;
  stopper_.poke();
  changed_.wait(lock, world_.after(kGapWait), [&] { return gap_given_up_ || ended_; });
  if (gap_given_up_) return *gap_given_up_;
  gap_accepted_ = false;
  return transient(ErrorKind::unavailable, "capture is busy or stopping: give the command again");
}

Result<void> CaptureLoop::give_up_gap() {
  auto begun = begin_journal_anew();
  os::Lock lock(mutex_);
  if (begun.ok()) {
    acknowledged_ = {};
    started_ = false;
  }
  gap_given_up_ = begun;
  changed_.notify_all();
  return begun;
}

// A source that was set back gives the ids of transactions again: next to the copies of its tables,
// those that the journal holds would be taken for new ones. One number is left out: a target that
// holds all before the gap would else go on behind it.
Result<void> CaptureLoop::begin_journal_anew() {
  const Sequence last = journal_.status().written.sequence;
  if (last > Sequence(0))
    FARSHORE_TRY(journal_.wait_durable(last, world_.after(kCaptureSettleWait)));
  FARSHORE_TRY_ASSIGN(const std::uint64_t hash, journal_.hash_at(last));
  const auto history = journal_.history();
  const std::uint32_t session = journal_.tail().session;
  {
    os::Lock lock(mutex_);
    given_up_ = last;
  }
  const Sequence next = last.plus(2);
  FARSHORE_TRY(journal_.clear());
  return journal_.start_at({journal::epoch_at(history, next), next}, hash, history,
                           {.session = session});
}

bool CaptureLoop::wait_started(Deadline deadline) {
  os::Lock lock(mutex_);
  return changed_.wait(lock, deadline, [&] { return started_; });
}

CaptureStats CaptureLoop::stats() const {
  os::Lock lock(mutex_);
  return stats_;
}

}  // namespace farshore::pipeline
