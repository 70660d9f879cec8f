#include "pipeline/copy_receiver.h"

#include <utility>

#include "base/guarded.h"
#include "change/remedy.h"
#include "link/long_message.h"
#include "pipeline/bounded_cursor.h"
#include "pipeline/stopper.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kHoldWait = 60s;      // for the sink's running group
constexpr Duration kChannelWait = 5min;  // of silence within a copy
constexpr Duration kCopyAnswerWait = 30s;
constexpr Duration kIdleWait = 5s;
constexpr Duration kRefuseWait = 5s;
constexpr Duration kAsideWait = 500ms;  // how long a stop may take
constexpr Duration kBehindWait = 10s;
constexpr Duration kBehindLook = 50ms;
constexpr std::uint64_t kJoinRecords = 500;  // so near the leg is held for the rest
const std::string kConsumer = "aside";

}  // namespace

CopyReceiver::CopyReceiver(os::World& world, CopySink& copy_sink, Sink& sink, Sink& aside,
                           StateBoard& board, Callbacks callbacks)
    : world_(world),
      copy_sink_(copy_sink),
      sink_(sink),
      aside_(aside),
      board_(board),
      callbacks_(std::move(callbacks)) {}

void CopyReceiver::serve_copy(link::Channel& channel, std::stop_token stop) {
  os::Lock one(turn_);
  {
    os::Lock lock(mutex_);
    copying_ = true;
  }
  auto result = guarded([&] { return copy(channel, stop); });
  {
    os::Lock lock(mutex_);
    copying_ = false;
    idle_.notify_all();
  }
  if (result.ok()) return;
  if (auto leg = callbacks_.leg(); leg.ok() && leg->copied) release(*leg);
  refuse(channel, result.error());
}

void CopyReceiver::serve_table(link::Channel& channel, std::stop_token stop) {
  std::uint64_t run = 0;
  {
    os::Lock lock(mutex_);
    run = run_;
  }
  auto result = guarded([&] { return receive_table(channel, run, stop); });
  if (!result.ok()) refuse(channel, result.error());
}

void CopyReceiver::refuse(link::Channel& channel, const Error& error) {
  if (error.kind == ErrorKind::unavailable || error.kind == ErrorKind::closed) return;
  if (error.retry == Retry::no) board_.fail(error);
  (void)channel.send(encode(Refuse{error.kind, error.retry, error.what}),
                     world_.after(kRefuseWait));
}

Result<void> CopyReceiver::copy(link::Channel& channel, std::stop_token stop) {
  FARSHORE_TRY_ASSIGN(const Leg leg, callbacks_.leg());
  bool prepared = false;
  while (!stop.stop_requested()) {
    auto next = link::receive_long(channel, world_.after(kChannelWait));
    if (!next.ok() && next.error().kind == ErrorKind::timeout)
      continue;  // tables are under way on their own channels
    if (!next.ok()) return std::move(next).error();
    FARSHORE_TRY_ASSIGN(Message message, decode(*next));
    if (const auto* question = std::get_if<CopyAsk>(&message)) {
      FARSHORE_TRY(answer(channel, *question, leg));
    } else if (const auto* plan = std::get_if<Prepare>(&message)) {
      FARSHORE_TRY(prepare(channel, *plan, leg));
      prepared = true;
    } else if (std::holds_alternative<CopyDone>(message)) {
      FARSHORE_TRY(complete(leg, prepared, stop));
      FARSHORE_TRY(callbacks_.copied(true));
      release(leg);
      return channel.send(encode(Completed{}), world_.after(kCopyAnswerWait));
    } else {
      return permanent(ErrorKind::corrupt, "a copy channel carried a message of type {}",
                       message.index());
    }
  }
  return permanent(ErrorKind::closed, "the leg was stopped");
}

Result<void> CopyReceiver::answer(link::Channel& channel, const CopyAsk& question, const Leg& leg) {
  TablesListed listed{.epoch = leg.epoch, .through = question.through, .tables = {}};
  for (const SourceTable& table : question.tables) listed.tables[table.name] = table.membership;
  aside_.listed(listed);
  sink_.listed(std::move(listed));
  FARSHORE_TRY_ASSIGN(auto names, copy_sink_.missing(leg.stream, question.tables));
  return link::send_long(channel,
                         encode(CopyMissing{.tables = std::move(names), .first = !leg.copied}),
                         world_.after(kCopyAnswerWait));
}

Result<void> CopyReceiver::prepare(link::Channel& channel, const Prepare& prepare, const Leg& leg) {
  FARSHORE_TRY(end_claims());
  FARSHORE_TRY(hold(leg));
  if (!leg.copied) board_.set(State::copying, ApplyLoop::kHeldForCopy);
  std::optional<Epoch> aside;
  if (leg.copied) {
    FARSHORE_TRY(keep_from_here(leg));
    aside = leg.epoch;
  } else {
    FARSHORE_TRY(copy_sink_.lose_aside(leg.stream));
  }
  FARSHORE_TRY_ASSIGN(auto tables, copy_sink_.prepare(leg.stream, aside, prepare.shared_definitions,
                                                      prepare.tables, prepare.existing));
  if (leg.copied) {
    leg.loop->announce(prepare.tables.size() == 1
                           ? fmt::format("table {} is copied", prepare.tables.front().name)
                           : fmt::format("{} tables are copied", prepare.tables.size()));
    leg.loop->hold_for_copy(false, Deadline::passed());
  }
  return link::send_long(channel, encode(Prepared{std::move(tables)}),
                         world_.after(kCopyAnswerWait));
}

// Where nothing was prepared nothing is missing: what the journal was kept for is gone from the
// stream, or was joined before a kill.
Result<void> CopyReceiver::complete(const Leg& leg, bool prepared, std::stop_token stop) {
  FARSHORE_TRY(copy_sink_.complete(leg.stream));
  if (!leg.copied) return {};
  return prepared ? catch_up(leg, stop) : keep_no_longer(leg);
}

// A channel of a run before, which is heard late, would bring a table as it was before that was set
// aside anew.
Result<std::unique_ptr<TableWriter>> CopyReceiver::claim(const TableBegin& begin,
                                                         std::uint64_t run) {
  {
    os::Lock lock(mutex_);
    if (run != run_)
      return transient(ErrorKind::conflict, "table {}: this copy was begun anew meanwhile",
                       begin.table.name);
    ++claiming_;
  }
  std::unique_ptr<TableWriter> writer;
  auto begun = guarded([&]() -> Result<void> {
    FARSHORE_TRY_ASSIGN(writer, copy_sink_.begin(begin.stream, begin.table));
    return {};
  });
  os::Lock lock(mutex_);
  --claiming_;
  idle_.notify_all();
  if (!begun.ok()) return std::move(begun).error();
  return writer;
}

Result<void> CopyReceiver::end_claims() {
  os::Lock lock(mutex_);
  ++run_;
  if (idle_.wait(lock, world_.after(kHoldWait), [&] { return claiming_ == 0; })) return {};
  return transient(ErrorKind::timeout, "the target does not let a table's copy begin or end");
}

Result<void> CopyReceiver::receive_table(link::Channel& channel, std::uint64_t run,
                                         std::stop_token stop) {
  FARSHORE_TRY_ASSIGN(const Bytes bytes, link::receive_long(channel, world_.after(kChannelWait)));
  FARSHORE_TRY_ASSIGN(const Message message, decode(bytes));
  const auto* begin = std::get_if<TableBegin>(&message);
  if (begin == nullptr)
    return permanent(ErrorKind::corrupt, "a table channel must begin with TableBegin");
  FARSHORE_TRY_ASSIGN(auto writer, claim(*begin, run));
  while (!stop.stop_requested()) {
    FARSHORE_TRY_ASSIGN(const Bytes next, channel.receive(world_.after(kChannelWait)));
    FARSHORE_TRY_ASSIGN(const Message part, decode(next));
    if (const auto* chunk = std::get_if<Chunk>(&part)) {
      FARSHORE_TRY(writer->write(chunk->bytes));
    } else if (const auto* end = std::get_if<TableEnd>(&part)) {
      FARSHORE_TRY(writer->finish(end->mark));
      board_.report(Severity::info, "copy.table",
                    fmt::format("{}: {} rows were copied", begin->table.name, end->rows));
      return channel.send(encode(TableCopied{}), world_.after(kCopyAnswerWait));
    } else {
      return permanent(ErrorKind::corrupt, "a table channel carried a message of type {}",
                       part.index());
    }
  }
  return permanent(ErrorKind::closed, "the leg was stopped");
}

// The source asks what is missing each time it connects: that is over soon.
Result<void> CopyReceiver::wait_idle() {
  os::Lock lock(mutex_);
  if (idle_.wait(lock, world_.after(kIdleWait), [&] { return !copying_; })) return {};
  return transient(ErrorKind::conflict,
                   "tables of this leg are being copied: try again when that is done");
}

// The journal goes last. A crash before leaves its end, by which the source still finds the target
// overtaken, and copies nothing until this has been done again. An empty journal beside tables that
// count as copied would take the stream up behind what they lack.
Result<void> CopyReceiver::begin_anew() {
  FARSHORE_TRY(wait_idle());
  os::Lock one(turn_);
  FARSHORE_TRY_ASSIGN(const Leg leg, callbacks_.leg());
  FARSHORE_TRY(end_claims());
  FARSHORE_TRY(hold(leg));  // until all is copied
  FARSHORE_TRY(callbacks_.copied(false));
  FARSHORE_TRY(copy_sink_.begin_anew(leg.stream));
  FARSHORE_TRY(keep_no_longer(leg));
  return leg.journal->clear();
}

bool CopyReceiver::overtaken(const journal::Journal& journal) {
  return journal.overtaken(ApplyLoop::kConsumer) || journal.overtaken(kConsumer);
}

Result<void> CopyReceiver::resnapshot(const std::string& table) {
  FARSHORE_TRY_ASSIGN(const Leg leg, callbacks_.leg());
  FARSHORE_TRY(wait_idle());
  os::Lock one(turn_);
  FARSHORE_TRY(end_claims());
  Result<void> done = hold(leg);
  if (done.ok())
    done = leg.copied ? set_aside(leg, table) : copy_sink_.reset(leg.stream, std::nullopt, table);
  if (leg.copied) leg.loop->hold_for_copy(false, Deadline::passed());
  // What broke off may have marked tables already, and what the journal keeps must be let go.
  if (done.ok() || done.error().retry == Retry::yes) callbacks_.copy_wanted();
  return done;
}

// The journal is kept first: what is set aside needs it from then on.
Result<void> CopyReceiver::set_aside(const Leg& leg, const std::string& table) {
  const bool kept = leg.journal->consumer(kConsumer).has_value();
  FARSHORE_TRY(keep_from_here(leg));
  auto reset = copy_sink_.reset(leg.stream, leg.epoch, table);
  const bool refused = !reset.ok() && reset.error().retry == Retry::no;
  if (refused && !kept) FARSHORE_TRY(keep_no_longer(leg));
  return reset;
}

// The changes of tables that are set aside now lie behind the apply loop's place; those of tables
// that were before may not.
Result<void> CopyReceiver::keep_from_here(const Leg& leg) {
  if (leg.journal->consumer(kConsumer)) return {};
  FARSHORE_TRY(copy_sink_.lose_aside(leg.stream));
  journal::ConsumerPlaces places{.required = leg.required};
  if (const auto apply = leg.journal->consumer(ApplyLoop::kConsumer)) places = *apply;
  return leg.journal->set_consumer(kConsumer, places);
}

Result<void> CopyReceiver::catch_up(const Leg& leg, std::stop_token stop) {
  std::stop_callback interrupt(stop, [this] { aside_.interrupt(); });
  auto through = follow(leg, stop);
  aside_.close();
  if (!through.ok()) return std::move(through).error();
  if (*through) FARSHORE_TRY(copy_sink_.join(leg.stream, leg.epoch, **through));
  return keep_no_longer(leg);
}

// One pass after the other over the same cursor, each to where the leg was when it began; held only
// for the last few records. nullopt: nothing is set aside.
Result<std::optional<Sequence>> CopyReceiver::follow(const Leg& leg, std::stop_token stop) {
  FARSHORE_TRY(expect_kept(leg));
  auto opened = aside_.open(leg.stream, leg.epoch);
  if (!opened.ok() && opened.error().kind == ErrorKind::not_found) return std::optional<Sequence>();
  FARSHORE_TRY_ASSIGN(Sequence through, std::move(opened));
  const auto places = leg.journal->consumer(kConsumer);
  if (places && through < places->applied) return lose_aside(leg);
  const Sequence first = leg.journal->status().first.sequence;
  const Sequence from = places && places->restart >= first ? places->restart : Sequence(0);
  const Sequence whole_after = from == Sequence(0) ? through : Sequence(0);
  FARSHORE_TRY_ASSIGN(auto journaled, leg.journal->cursor(from, Sequence(0), whole_after));
  BoundedCursor cursor(std::move(journaled));
  for (bool held = false;;) {
    const Sequence last = leg.loop->stats().applied;
    if (last < through) {
      if (std::exchange(held, false)) leg.loop->hold_for_copy(false, Deadline::passed());
      FARSHORE_TRY(wait_for_leg(leg, through, stop));
      continue;
    }
    cursor.move_on(last);
    while (through < last) {
      if (stop.stop_requested()) return permanent(ErrorKind::closed, "the leg was stopped");
      FARSHORE_TRY(expect_kept(leg));
      FARSHORE_TRY_ASSIGN(const Applied applied, aside_.apply(cursor, world_.after(kAsideWait)));
      through = applied.through;
    }
    if (held) return std::optional(last);
    if (leg.loop->stats().applied > last.plus(kJoinRecords)) continue;
    FARSHORE_TRY(hold(leg));
    held = true;
  }
}

// The target was set back to a backup in which other tables were set aside than the journal is kept
// for.
Result<std::optional<Sequence>> CopyReceiver::lose_aside(const Leg& leg) {
  aside_.close();
  FARSHORE_TRY(copy_sink_.lose_aside(leg.stream));
  callbacks_.copy_wanted();
  return std::optional<Sequence>();
}

// Of what the leg passed over for these tables it keeps no place: a new session of it comes to
// where they are once more.
Result<void> CopyReceiver::wait_for_leg(const Leg& leg, Sequence through, std::stop_token stop) {
  const Deadline deadline = world_.after(kBehindWait);
  Stopper stopper(world_);
  while (leg.loop->stats().applied < through) {
    if (stop.stop_requested()) return permanent(ErrorKind::closed, "the leg was stopped");
    if (deadline.reached(world_.now()))
      return transient(
          ErrorKind::conflict,
          "copied tables hold everything through {} and join the others once these do, "
          "which a pause delays",
          through);
    stopper.wait(stop, kBehindLook);
  }
  return {};
}

Result<void> CopyReceiver::expect_kept(const Leg& leg) {
  if (!leg.journal->overtaken(kConsumer)) return {};
  return permanent(
      ErrorKind::overtaken,
      "the journal was full, and changes of tables that are being copied were removed{}",
      to_do("copy all tables anew: " + board_.command("resnapshot")));
}

Result<void> CopyReceiver::keep_no_longer(const Leg& leg) {
  if (!leg.journal->consumer(kConsumer)) return {};
  return leg.journal->remove_consumer(kConsumer);
}

Result<void> CopyReceiver::hold(const Leg& leg) {
  if (leg.loop->hold_for_copy(true, world_.after(kHoldWait))) return {};
  if (leg.copied) leg.loop->hold_for_copy(false, Deadline::passed());
  return transient(ErrorKind::timeout, "the sink did not finish its group in time");
}

void CopyReceiver::release(const Leg& leg) {
  leg.loop->announce("");
  leg.loop->hold_for_copy(false, Deadline::passed());
}

}  // namespace farshore::pipeline
