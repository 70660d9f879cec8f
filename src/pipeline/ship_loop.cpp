#include "pipeline/ship_loop.h"

#include <utility>

#include "base/guarded.h"
#include "change/remedy.h"
#include "link/long_message.h"
#include "os/thread.h"
#include "pipeline/fetch.h"
#include "pipeline/resume_point.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kShipFollowWait = 200ms;  // how long a stop or a repair may wait
constexpr Duration kAnswerWait = 15s;        // for Welcome and the like
constexpr Duration kPauseHeardWait = 2s;
constexpr Duration kSendWait =
    1h;  // back pressure of a slow target; a dead link closes the channel
constexpr std::uint64_t kBatchBytes = 512_KiB;  // of payload per message
constexpr std::size_t kFetchesMax = 16;         // of the target's, not yet answered

}  // namespace

Result<Message> ask(link::Channel& channel, const Message& question, Deadline deadline) {
  FARSHORE_TRY(link::send_long(channel, encode(question), deadline));
  FARSHORE_TRY_ASSIGN(const Bytes bytes, link::receive_long(channel, deadline));
  FARSHORE_TRY_ASSIGN(Message answer, decode(bytes));
  if (auto* refuse = std::get_if<Refuse>(&answer))
    return Error{refuse->kind, refuse->retry, refuse->what};
  return answer;
}

ShipLoop::ShipLoop(os::World& world, Dial dial, journal::Journal& journal, StateBoard& board,
                   Options options, Callbacks callbacks)
    : world_(world),
      dial_(std::move(dial)),
      journal_(journal),
      board_(board),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      stopper_(world),
      backoff_(world, 100ms, 3s) {}

void ShipLoop::run(std::stop_token stop) {
  while (!stop.stop_requested()) {
    auto result = guarded([&] { return session(stop); });
    if (stop.stop_requested()) break;
    const Error error = result.ok() ? transient(ErrorKind::unavailable, "the channel ended")
                                    : std::move(result).error();
    disconnected();
    if (error.kind == ErrorKind::io || error.kind == ErrorKind::closed)
      return callbacks_.journal_failed(error);
    // What was trimmed under us: the next session waits for a resnapshot.
    if (error.retry == Retry::no && error.kind != ErrorKind::overtaken) {
      board_.fail(error);
      stopper_.wait(stop, Duration::max());
      continue;
    }
    const Duration pause = backoff_.next();
    board_.retrying(error, world_.now() + pause);
    stopper_.wait(stop, pause);
  }
  disconnected();
  os::Lock lock(mutex_);
  stopped_ = true;
  changed_.notify_all();
}

Result<void> ShipLoop::session(std::stop_token stop) {
  const std::string name = fmt::format("ship/{}/{}", options_.stream_name, options_.site);
  FARSHORE_TRY_ASSIGN(std::unique_ptr<link::Channel> channel, dial_(name, link::Class::stream));
  std::stop_callback close(stop, [&] { channel->close(); });
  FARSHORE_TRY_ASSIGN(const Welcome welcome, greet(*channel));
  const Sequence held = journal_.status().durable.sequence;
  const Result<Begin> begin = resume_point(journal_, welcome);
  const bool overtaken = !begin.ok() && begin.error().kind == ErrorKind::overtaken;
  if (!begin.ok() && begin.error().kind == ErrorKind::unavailable) {
    // Nothing of what is here: it must not fill the journal that the preamble comes to.
    FARSHORE_TRY(journal_.set_consumer(options_.site,
                                       {.restart = held.next(), .required = options_.required}));
    callbacks_.preamble_wanted();
  }
  if (!begin.ok() && !overtaken) return with_remedy(begin.error());
  {
    os::Lock lock(mutex_);
    overtaken_ = overtaken;
    far_.connected = true;
    far_.heard_at = world_.now();
  }
  if (begin.ok()) {
    FARSHORE_TRY(start(*channel, welcome, *begin));
  } else {
    board_.fail(begin.error(), board_.command("resnapshot"));
    FARSHORE_TRY(channel->send(encode(Overtaken{begin.error().what}), world_.after(kAnswerWait)));
  }
  Result<void> received;
  os::Thread receiver("ack-" + options_.site, [&](std::stop_token receiver_stop) {
    auto result = guarded([&] { return receive(*channel, receiver_stop); });
    {
      os::Lock lock(mutex_);
      received = std::move(result);
    }
    channel->close();
  });
  Result<void> shipped = begin.ok() ? ship(*channel, *begin, stop, received)
                                    : wait_for_resnapshot(*channel, stop, received);
  channel->close();
  receiver.request_stop();
  receiver.join();
  // What the receiver hears of our own close says nothing of why the session ended.
  const bool told = !received.ok() && received.error().kind != ErrorKind::closed;
  return told ? std::move(received) : std::move(shipped);
}

// Nobody knows here which of the two journals is right, so neither is changed.
Error ShipLoop::with_remedy(Error error) const {
  if (error.kind != ErrorKind::conflict || error.retry == Retry::yes) return error;
  error.what +=
      to_do(fmt::format("to give up the far one, {} there and start that agent anew, then {}",
                        stream_command({options_.stream_name, options_.site, ""}, "remove"),
                        board_.command("resume")));
  return error;
}

Result<Welcome> ShipLoop::greet(link::Channel& channel) {
  FARSHORE_TRY_ASSIGN(Message answer, ask(channel,
                                          Hello{.stream = options_.stream,
                                                .name = options_.stream_name,
                                                .epoch = options_.epoch,
                                                .definition = options_.definition},
                                          world_.after(kAnswerWait)));
  if (auto* welcome = std::get_if<Welcome>(&answer)) return std::move(*welcome);
  return permanent(ErrorKind::corrupt, "the target answered Hello with something else");
}

Result<void> ShipLoop::start(link::Channel& channel, const Welcome& welcome, const Begin& begin) {
  // Kept from here on, also when it was overtaken before.
  FARSHORE_TRY(journal_.set_consumer(options_.site, {.applied = begin.next.sequence.previous(),
                                                     .restart = begin.next.sequence,
                                                     .required = options_.required}));
  {
    os::Lock lock(mutex_);
    shipped_.clear();
    far_.shipped = begin.next.sequence.previous();
  }
  if (!welcome.position.empty())
    callbacks_.far_durable({welcome.durable.sequence, welcome.position, welcome.commit_time});
  callbacks_.copy_wanted();
  FARSHORE_TRY(channel.send(encode(begin), world_.after(kAnswerWait)));
  board_.worked();
  if (welcome.copied) board_.set(State::streaming);
  backoff_.reset();
  return {};
}

Result<void> ShipLoop::wait_for_resnapshot(link::Channel& channel, std::stop_token stop,
                                           const Result<void>& receiving) {
  while (!stop.stop_requested()) {
    FARSHORE_TRY(answer_fetches(channel));
    os::Lock lock(mutex_);
    if (!receiving.ok()) return {};
    changed_.wait(lock, world_.after(kShipFollowWait));
  }
  return {};
}

Result<void> ShipLoop::ship(link::Channel& channel, const Begin& begin, std::stop_token stop,
                            const Result<void>& receiving) {
  FARSHORE_TRY_ASSIGN(std::unique_ptr<journal::Reader> reader,
                      journal_.reader(begin.next.sequence));
  while (!stop.stop_requested()) {
    {
      os::Lock lock(mutex_);
      if (!receiving.ok()) return {};
    }
    FARSHORE_TRY(answer_fetches(channel));
    FARSHORE_TRY(mend(channel));
    channel.set_class(callbacks_.commits_wait() ? link::Class::waiting : link::Class::stream);
    auto records = reader->next(kBatchBytes, world_.after(kShipFollowWait));
    if (!records.ok() && records.error().kind == ErrorKind::corrupt) {
      FARSHORE_TRY(repair(channel, reader->position()));
      continue;
    }
    if (!records.ok()) return std::move(records).error();
    if (records->empty()) continue;
    FARSHORE_TRY_ASSIGN(const std::uint64_t bytes, send(channel, *std::move(records)));
    if (bytes < kLittle && !callbacks_.commits_wait()) stopper_.wait(stop, kGather);
  }
  return {};
}

Result<std::uint64_t> ShipLoop::send(link::Channel& channel, std::vector<PlacedRecord> records) {
  std::uint64_t bytes = 0;
  {
    os::Lock lock(mutex_);
    for (const PlacedRecord& placed : records) {
      shipped_.add(placed.place.sequence, placed.record);
      bytes += placed.record.payload.size();
      far_.shipped_changes += placed.record.changes;
      if (placed.record.kind == RecordKind::data && placed.record.flags.last)
        ++far_.shipped_transactions;
    }
    far_.shipped = records.back().place.sequence;
    far_.shipped_bytes += bytes;
  }
  FARSHORE_TRY(channel.send(encode(Records{std::move(records)}), world_.after(kSendWait)));
  return bytes;
}

Result<void> ShipLoop::receive(link::Channel& channel, std::stop_token stop) {
  while (!stop.stop_requested()) {
    auto bytes = channel.receive(world_.after(kShipFollowWait));
    if (!bytes.ok() && bytes.error().kind == ErrorKind::timeout) continue;
    if (!bytes.ok()) return std::move(bytes).error();
    FARSHORE_TRY_ASSIGN(Message message, decode(*bytes));
    if (auto* ack = std::get_if<Ack>(&message))
      take(*ack);
    else if (auto* refuse = std::get_if<Refuse>(&message))
      return Error{refuse->kind, refuse->retry, refuse->what};
    else {
      os::Lock lock(mutex_);
      if (auto* fetch = std::get_if<Fetch>(&message)) {
        if (fetches_.size() >= kFetchesMax)
          return permanent(ErrorKind::corrupt, "the target asks on without waiting for {} answers",
                           fetches_.size());
        fetches_.push_back(*fetch);
      } else if (auto* fetched = std::get_if<Fetched>(&message))
        fetched_ = std::move(*fetched);
      else
        return permanent(ErrorKind::corrupt, "the target sent a message of type {}",
                         message.index());
      changed_.notify_all();
    }
  }
  return {};
}

void ShipLoop::take(const Ack& ack) {
  const WallTime now = world_.clock().wall();
  std::optional<CommitPosition> commit;
  bool resumed = false, overtaken = false;
  {
    os::Lock lock(mutex_);
    overtaken = overtaken_;
    far_.heard_at = world_.now();
    resumed = ack.resumes != far_.ack.resumes;
    far_.ack = ack;
    commit = shipped_.through(ack.durable.sequence);
  }
  if (resumed) callbacks_.copy_wanted();
  if (commit) callbacks_.far_durable(*commit);
  durability_.advance(ack.durable_commit_time, now);
  apply_.advance(ack.applied_commit_time, now);
  if (overtaken) return;  // it keeps nothing here, and its state is ours
  const Sequence kept = ack.durable.sequence;
  (void)journal_.set_consumer(
      options_.site, {.applied = kept, .restart = kept.next(), .required = options_.required});
  if (ack.state != State::stopped) board_.hear(ack.state, ack.reason, ack.remedy);
  os::Lock lock(mutex_);
  changed_.notify_all();
}

// So that who asks next hears of it: its acknowledgement comes on another channel.
void ShipLoop::wait_paused(const std::string& at) {
  const auto time = parse_time(at);
  os::Lock lock(mutex_);
  changed_.wait(lock, world_.after(kPauseHeardWait), [&] {
    const State state = board_.state();
    const bool goes_on = state == State::streaming || state == State::config_differs;
    return stopped_ || !goes_on || (time.ok() && far_.ack.pause_at == *time);
  });
}

Result<void> ShipLoop::answer_fetches(link::Channel& channel) {
  std::deque<Fetch> fetches;
  {
    os::Lock lock(mutex_);
    fetches.swap(fetches_);
  }
  for (const Fetch& fetch : fetches)
    FARSHORE_TRY(channel.send(encode(answer_to(fetch, journal_, world_.after(kShipFollowWait))),
                              world_.after(kAnswerWait)));
  return {};
}

Result<std::vector<PlacedRecord>> ShipLoop::fetch(link::Channel& channel, Fetch wanted) {
  {
    os::Lock lock(mutex_);
    fetched_.reset();
  }
  FARSHORE_TRY(channel.send(encode(wanted), world_.after(kAnswerWait)));
  os::Lock lock(mutex_);
  const bool answered =
      changed_.wait(lock, world_.after(kAnswerWait), [&] { return fetched_.has_value(); });
  if (!answered)
    return transient(ErrorKind::timeout, "{} did not answer what it holds of records {} to {}",
                     options_.site, wanted.first, wanted.last);
  return std::move(fetched_->records);
}

// Damage that was found behind the place we ship at, by the scrub or by another reader. A target
// that does not hold it any more has passed it: the leg goes on.
Result<void> ShipLoop::mend(link::Channel& channel) {
  const std::optional<journal::DamagedRun> damaged = journal_.damaged();
  if (!damaged || not_held_ == damaged->first) return {};
  {
    os::Lock lock(mutex_);
    if (damaged->first > far_.ack.durable.sequence) return {};
  }
  FARSHORE_TRY_ASSIGN(const auto records, fetch(channel, {damaged->first, damaged->last}));
  if (!records.empty()) return journal_.repair(records);
  not_held_ = damaged->first;
  board_.report(Severity::warning, "journal.not_repaired",
                fmt::format("{} does not hold the damaged records {} to {} any more", options_.site,
                            damaged->first, damaged->last));
  return {};
}

Result<void> ShipLoop::repair(link::Channel& channel, Sequence at) {
  FARSHORE_TRY_ASSIGN(const auto records, fetch(channel, {at, at.plus(kFetchRecordsMax)}));
  if (records.empty())
    return permanent(
        ErrorKind::corrupt, "the journal is damaged at {} and {} does not hold that place{}", at,
        options_.site,
        to_do("restore the file, or copy the tables anew with " + board_.command("resnapshot")));
  return journal_.repair(records);
}

Result<void> ShipLoop::verb(const std::string& name, const std::string& argument,
                            Deadline deadline) {
  const auto answer = ask_verb({options_.stream, options_.epoch, name, argument}, deadline);
  if (!answer.ok())
    return Error{answer.error().kind, answer.error().retry,
                 fmt::format("{} did not take `{}` ({}): give it to its own region's agent",
                             options_.site, name, answer.error().what)};
  const auto* done = std::get_if<VerbDone>(&*answer);
  if (done == nullptr)
    return permanent(ErrorKind::corrupt, "the target answered a verb with something else");
  if (!done->error.empty()) return permanent(ErrorKind::conflict, "{}", done->error);
  if (name == "pause") wait_paused(argument);
  return {};
}

Result<Message> ShipLoop::ask_verb(const Verb& verb, Deadline deadline) {
  const std::string name = fmt::format("verb/{}/{}", options_.stream_name, options_.site);
  FARSHORE_TRY_ASSIGN(std::unique_ptr<link::Channel> channel, dial_(name, link::Class::control));
  FARSHORE_TRY(channel->send(encode(verb), deadline));
  for (;;) {
    auto answer = channel->receive(earlier(deadline, world_.after(kShipFollowWait)));
    if (answer.ok()) return decode(*answer);
    if (answer.error().kind != ErrorKind::timeout) return std::move(answer).error();
    if (deadline.reached(world_.now()))
      return transient(ErrorKind::timeout, "it did not answer in time");
    os::Lock lock(mutex_);
    if (stopped_) return transient(ErrorKind::closed, "this agent is stopping");
  }
}

bool ShipLoop::overtaken() const {
  os::Lock lock(mutex_);
  return overtaken_;
}

bool ShipLoop::shipping() const {
  os::Lock lock(mutex_);
  return far_.connected && !overtaken_;
}

void ShipLoop::disconnected() {
  os::Lock lock(mutex_);
  far_.connected = false;
}

FarStatus ShipLoop::status() const {
  os::Lock lock(mutex_);
  return far_;
}

}  // namespace farshore::pipeline
