#include "pipeline/receive_loop.h"

#include "base/guarded.h"
#include "link/long_message.h"
#include "os/thread.h"
#include "pipeline/fetch.h"
#include "pipeline/log_counts.h"
#include "pipeline/ship_loop.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kWait = 200ms;  // how long a stop may take
constexpr Duration kHelloWait = 15s;
constexpr Duration kAppendWait = 1s;     // then the full journal is shown in the state
constexpr Duration kAckEvery = 1s;       // also when nothing has changed
constexpr Duration kFollowWait = 50ms;   // how late an applied place or an answer may be sent
constexpr std::size_t kAnswersMax = 16;  // not yet sent: a source waits for one before it asks on

}  // namespace

ReceiveLoop::ReceiveLoop(os::World& world, journal::Journal& journal, StateBoard& board,
                         Callbacks callbacks)
    : world_(world), journal_(journal), board_(board), callbacks_(std::move(callbacks)) {}

void ReceiveLoop::serve(link::Channel& channel, std::stop_token stop) {
  auto result = guarded([&] { return session(channel, stop); });
  {
    os::Lock lock(mutex_);
    stats_.connected = false;
  }
  if (result.ok() || stop.stop_requested()) return;
  const Error& error = result.error();
  if (error.kind == ErrorKind::io || error.kind == ErrorKind::closed)
    return callbacks_.journal_failed(error);
  // The source decides what follows: it hears why, and shows it too.
  (void)channel.send(encode(Refuse{error.kind, error.retry, error.what}), world_.after(kWait));
  if (error.kind != ErrorKind::unavailable)
    board_.report(Severity::warning, "stream.receive", error.what);
}

Result<void> ReceiveLoop::session(link::Channel& channel, std::stop_token stop) {
  FARSHORE_TRY_ASSIGN(const Bytes bytes, link::receive_long(channel, world_.after(kHelloWait)));
  FARSHORE_TRY_ASSIGN(const Message message, decode(bytes));
  const auto* hello = std::get_if<Hello>(&message);
  if (hello == nullptr)
    return permanent(ErrorKind::corrupt, "a ship channel must begin with Hello");
  FARSHORE_TRY_ASSIGN(Welcome welcome, callbacks_.hello(*hello));
  FARSHORE_TRY(channel.send(encode(welcome), world_.after(kHelloWait)));
  if (hello->stream.is_nil()) return {};  // it only asked
  {
    os::Lock lock(mutex_);
    answers_.clear();
    asked_.reset();
    begun_ = false;
    ended_ = false;
    stats_.connected = true;
    stats_.source_lacks.clear();
  }
  channel.set_class(link::Class::waiting);  // acknowledgements only: commits may wait for them
  std::optional<os::Thread> acknowledger;
  Result<void> result;
  while (!stop.stop_requested()) {
    auto received = channel.receive(world_.after(kWait));
    if (!received.ok() && received.error().kind == ErrorKind::timeout) continue;
    if (!received.ok()) {
      // The channel ended: that is how every session ends, not an error of ours.
      break;
    }
    auto next = decode(*received);
    result = next.ok() ? take(*std::move(next), stop) : Result<void>(std::move(next).error());
    if (!result.ok()) break;
    if (!acknowledger)
      acknowledger.emplace("acknowledge",
                           [&](std::stop_token ack_stop) { serve_acks(channel, ack_stop); });
  }
  return result;
}

Result<void> ReceiveLoop::take(Message message, std::stop_token stop) {
  if (auto* records = std::get_if<Records>(&message)) {
    if (!begun_) return permanent(ErrorKind::corrupt, "the source sent records before a Begin");
    return write(records->records, stop);
  }
  if (auto* start = std::get_if<Begin>(&message)) return begin(*start);
  if (auto* overtaken = std::get_if<Overtaken>(&message)) {
    os::Lock lock(mutex_);
    stats_.source_lacks = std::move(overtaken->why);
    return {};
  }
  if (auto* fetch = std::get_if<Fetch>(&message))
    return queue_answer(answer_to(*fetch, journal_, world_.after(kWait)));
  if (auto* fetched = std::get_if<Fetched>(&message)) return repair(*fetched);
  return permanent(ErrorKind::corrupt, "the source sent a message of type {}", message.index());
}

Result<void> ReceiveLoop::queue_answer(Message message) {
  os::Lock lock(mutex_);
  if (answers_.size() >= kAnswersMax)
    return permanent(ErrorKind::corrupt, "the source asks on without waiting for {} answers",
                     answers_.size());
  answers_.push_back(std::move(message));
  return {};
}

Result<void> ReceiveLoop::ask_for_damaged(link::Channel& channel) {
  const std::optional<journal::DamagedRun> damaged = journal_.damaged();
  {
    os::Lock lock(mutex_);
    const auto before =
        std::exchange(asked_, damaged ? std::optional(damaged->first) : std::nullopt);
    if (!asked_ || asked_ == before) return {};
  }
  return channel.send(encode(Fetch{damaged->first, damaged->last}), world_.after(kHelloWait));
}

Result<void> ReceiveLoop::repair(const Fetched& fetched) {
  if (!fetched.records.empty()) {
    FARSHORE_TRY(journal_.repair(fetched.records));
    os::Lock lock(mutex_);
    asked_.reset();  // a part may be left
    return {};
  }
  board_.report(Severity::warning, "journal.not_repaired",
                "the source's region does not hold the damaged records any more");
  return {};
}

Result<void> ReceiveLoop::begin(const Begin& begin) {
  const journal::Status status = journal_.status();
  begun_ = true;
  if (status.written.sequence == Sequence(0)) {
    {
      os::Lock lock(mutex_);
      stats_.began = begin.next;
      stats_.before = stats_.amount();
      stats_.written = {begin.next.epoch, begin.next.sequence.previous()};
    }
    return journal_.start_at(begin.next, begin.hash_before, begin.history, {});
  }
  if (begin.next.sequence != status.durable.sequence.next())
    return transient(ErrorKind::conflict, "the source begins at {}, this journal ends at {}",
                     begin.next, status.durable);
  const auto own = journal_.history();
  for (const journal::EpochEntry& entry : begin.history)
    if (own.empty() || entry.epoch > own.back().epoch) FARSHORE_TRY(journal_.begin_epoch(entry));
  return {};
}

Result<void> ReceiveLoop::write(const std::vector<PlacedRecord>& records, std::stop_token stop) {
  if (records.empty()) return {};
  for (bool shown = false;;) {  // that its disk is slow: a full journal tells that itself
    auto written = journal_.append_shipped(records, world_.after(kAppendWait));
    if (written.ok()) {
      if (shown)
        board_.report(Severity::info, "journal.slow_over", "the far journal takes records again");
      break;
    }
    const bool slow = written.error().kind == ErrorKind::timeout;
    if ((!slow && written.error().kind != ErrorKind::disk_full) || stop.stop_requested())
      return std::move(written).error();
    // The source comes back on another channel, which waits for this one to end.
    if (ended()) return transient(ErrorKind::unavailable, "the channel ended");
    if (slow && !shown) board_.report(Severity::warning, "journal.slow", written.error().what);
    shown |= slow;
  }
  os::Lock lock(mutex_);
  stats_.written = records.back().place;
  for (const PlacedRecord& placed : records) add(placed.record, stats_);
  meter_.note(stats_.written.sequence, stats_);
  return {};
}

void ReceiveLoop::serve_acks(link::Channel& channel, std::stop_token stop) {
  const auto result = guarded([&]() -> Result<void> {
    acknowledge(channel, stop);
    return {};
  });
  {
    os::Lock lock(mutex_);
    ended_ = true;
  }
  if (!result.ok()) callbacks_.journal_failed(result.error());
  channel.close();
}

bool ReceiveLoop::ended() const {
  os::Lock lock(mutex_);
  return ended_;
}

void ReceiveLoop::acknowledge(link::Channel& channel, std::stop_token stop) {
  Sequence durable_sent, applied_sent;
  std::optional<State> state_sent;
  std::uint32_t resumes_sent = 0;
  WallTime pause_sent{};
  MonotonicTime sent_at{};
  while (!stop.stop_requested()) {
    auto durable = journal_.wait_durable_beyond(durable_sent, world_.after(kFollowWait));
    if (!durable.ok()) {
      if (!stop.stop_requested()) callbacks_.journal_failed(durable.error());
      return;
    }
    const journal::Tail tail = journal_.tail();
    lag_.advance(tail.commit_time, world_.clock().wall());
    Ack ack{.durable = *durable, .durable_commit_time = tail.commit_time};
    callbacks_.fill(ack);
    if (!send_answers(channel).ok() || !ask_for_damaged(channel).ok()) return;
    const bool news = ack.durable.sequence != durable_sent || ack.applied != applied_sent ||
                      ack.state != state_sent || ack.resumes != resumes_sent ||
                      ack.pause_at != pause_sent;
    if (!news && world_.now() - sent_at < kAckEvery) continue;
    if (!channel.send(encode(ack), world_.after(kHelloWait)).ok()) return;
    durable_sent = ack.durable.sequence;
    applied_sent = ack.applied;
    state_sent = ack.state;
    resumes_sent = ack.resumes;
    pause_sent = ack.pause_at;
    sent_at = world_.now();
  }
}

Result<void> ReceiveLoop::send_answers(link::Channel& channel) {
  std::vector<Message> answers;
  {
    os::Lock lock(mutex_);
    answers.swap(answers_);
  }
  for (const Message& answer : answers)
    FARSHORE_TRY(channel.send(encode(answer), world_.after(kHelloWait)));
  return {};
}

ReceiveStats ReceiveLoop::stats() const {
  os::Lock lock(mutex_);
  return stats_;
}

}  // namespace farshore::pipeline
