#include "pipeline/target_leg.h"

#include <atomic>

#include "base/guarded.h"
#include "change/remedy.h"
#include "os/thread.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kSettleWait =
    30s;  // for what was received to become durable before we say what we hold
constexpr Duration kSkipMax = 15s;
constexpr Duration kPauseShownWait = 2s;
constexpr Duration kVerbAnswerWait = 5s;  // for the verb on its channel, and to answer it

}  // namespace

// The journal and the loops over it. The apply loop begins once the stream's identity is known.
struct TargetLeg::Running {
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<LogCounts> counts;
  std::unique_ptr<ReceiveLoop> receive;
  std::unique_ptr<ApplyLoop> apply;
  std::unique_ptr<ChannelServer> ship_channels, copy_channels;
  os::Mutex ship_mutex;  // held by the one ship channel that is served
  os::Mutex current_mutex;
  link::Channel* current_ship = nullptr;
  int emptying = 0;  // who waits to empty the journal: no ship channel goes first
  std::atomic<ApplyLoop*> loop{nullptr};  // `apply` once it is there, for the other threads
  os::Thread apply_thread;
};

TargetLeg::TargetLeg(os::World& world, Options options, Sink& sink, Sink& aside,
                     CopySink& copy_sink, EventSink events)
    : world_(world),
      options_(std::move(options)),
      sink_(sink),
      board_(std::move(events), {options_.stream_name, options_.site, options_.region}),
      stopper_(world),
      copies_(world, copy_sink, sink, aside, board_,
              {.leg = [this] { return leg_for_copy(); },
               .copied =
                   [this](bool copied) {
                     return edit_file([copied](StreamFile& f) { f.copied = copied; });
                   },
               .copy_wanted = [this] { want_copy(); }}),
      verb_channels_("verb", 4) {}

void TargetLeg::run(std::stop_token stop) {
  std::stop_callback interrupt(stop, [this] { copies_.interrupt(); });
  Backoff backoff(world_, kReopenMin, kReopenMax);
  while (!stop.stop_requested()) {
    auto result = guarded([&] { return run_once(stop); });
    if (stop.stop_requested() || result.ok()) break;
    const Error& error = result.error();
    if (error.kind == ErrorKind::corrupt || error.kind == ErrorKind::conflict) {
      board_.fail(error);
      stopper_.wait(stop, Duration::max());
      continue;
    }
    const Duration pause = backoff.next();
    board_.retrying(error, world_.now() + pause);
    stopper_.wait(stop, pause);
  }
  verb_channels_.stop();
  board_.set(State::stopped);
}

Result<void> TargetLeg::run_once(std::stop_token stop) {
  FARSHORE_TRY(world_.files().create_folder(options_.folder));
  bool known = false, required = true;
  {
    os::Lock lock(mutex_);
    FARSHORE_TRY(load_file());
    known = file_.has_value();
    required = terms().required;
  }
  auto running = std::make_shared<Running>();
  EventSink events = [this](const Event& event) {
    board_.report(event.severity, event.name, event.message);
  };
  FARSHORE_TRY_ASSIGN(running->journal, journal::Journal::open(world_, options_.folder + "/journal",
                                                               options_.journal, events));
  // Known before the first trim: what is not applied is kept.
  if (!running->journal->consumer(ApplyLoop::kConsumer))
    FARSHORE_TRY(running->journal->set_consumer(ApplyLoop::kConsumer, {.required = required}));
  running->counts =
      std::make_unique<LogCounts>(world_, options_.folder + "/counts", *running->journal);
  running->receive = std::make_unique<ReceiveLoop>(
      world_, *running->journal, board_,
      ReceiveLoop::Callbacks{.hello = [this](const Hello& hello) { return welcome(hello); },
                             .fill = [this](Ack& ack) { fill(ack); },
                             .journal_failed = [this](Error error) { fatal(std::move(error)); }});
  running->ship_channels = std::make_unique<ChannelServer>("receive", 4);
  running->copy_channels = std::make_unique<ChannelServer>("copy", 20);
  {
    os::Lock lock(mutex_);
    fatal_.reset();
    running_ = running;
  }
  if (!known) board_.set(State::starting, "waits for the source's region");
  std::optional<Error> failed;
  std::stop_callback wake(stop, [this] {
    os::Lock lock(mutex_);
    changed_.notify_all();
  });
  while (!stop.stop_requested() && !failed) {
    os::Lock lock(mutex_);
    if (file_ && !running->apply) start_apply(*running);
    changed_.wait(lock, Deadline::never(),
                  [&] { return stop.stop_requested() || fatal_ || (file_ && !running->apply); });
    failed = fatal_;
  }
  if (stop.stop_requested()) board_.set(State::draining);
  running->ship_channels->stop();
  running->copy_channels->stop();
  running->apply_thread.request_stop();
  running->apply_thread.join();
  {
    os::Lock lock(mutex_);
    running_.reset();
  }
  running->journal->close();
  if (failed) return *failed;
  return {};
}

// Read and written under the lock alone, it is what the disk holds: a verb that comes while the
// journal is being opened is kept, too.
Result<void> TargetLeg::load_file() {
  FARSHORE_TRY_ASSIGN(file_, load_stream_file(world_.files(), options_.folder + "/stream.file"));
  return {};
}

TargetTerms TargetLeg::terms() const {
  return options_.terms(file_ ? file_->definition : "");
}

// Under mutex_.
void TargetLeg::start_apply(Running& running) {
  running.apply =
      std::make_unique<ApplyLoop>(world_, sink_, *running.journal, board_,
                                  ApplyLoop::Options{.stream_name = options_.stream_name,
                                                     .site = options_.site,
                                                     .stream = file_->stream,
                                                     .epoch = file_->epoch,
                                                     .skip_folder = options_.folder + "/skipped",
                                                     .counts_file = options_.folder + "/applied",
                                                     .terms =
                                                         [this] {
                                                           os::Lock lock(mutex_);
                                                           return terms();
                                                         },
                                                     .clock_offset = options_.clock_offset,
                                                     .table_wanted = [this] { want_copy(); }},
                                  [this](Error error) { fatal(std::move(error)); });
  running.apply->hold_for_copy(!file_->copied, Deadline::passed());
  if (file_->pause_at) running.apply->pause(file_->pause_at);
  if (file_->paused) running.apply->pause(std::nullopt);
  running.loop = running.apply.get();
  running.apply_thread =
      os::Thread("apply", [this, apply = running.apply.get()](std::stop_token stop) {
        const auto result = guarded([&]() -> Result<void> {
          apply->run(stop);
          return {};
        });
        if (!result.ok()) fatal(result.error());
      });
}

std::shared_ptr<TargetLeg::Running> TargetLeg::running() const {
  os::Lock lock(mutex_);
  return running_;
}

void TargetLeg::fatal(Error error) {
  os::Lock lock(mutex_);
  if (!fatal_) fatal_ = std::move(error);
  changed_.notify_all();
}

void TargetLeg::accept(const std::string& kind, std::unique_ptr<link::Channel> channel) {
  if (kind == "verb")
    return verb_channels_.accept(std::move(channel),
                                 [this](link::Channel& c, std::stop_token) { serve_verb(c); });
  auto running = this->running();
  if (!running) return channel->close();
  if (kind == "ship")
    return running->ship_channels->accept(
        std::move(channel), [this](link::Channel& c, std::stop_token s) { serve_ship(c, s); });
  if (kind == "copy")
    return running->copy_channels->accept(
        std::move(channel),
        [this](link::Channel& c, std::stop_token s) { copies_.serve_copy(c, s); });
  if (kind == "table")
    return running->copy_channels->accept(
        std::move(channel),
        [this](link::Channel& c, std::stop_token s) { copies_.serve_table(c, s); });
  channel->close();
}

void TargetLeg::serve_ship(link::Channel& channel, std::stop_token stop) {
  auto running = this->running();
  if (!running) return;
  {
    os::Lock lock(running->current_mutex);  // a newer channel replaces the one before
    if (running->emptying > 0) return;
    if (running->current_ship != nullptr) running->current_ship->close();
  }
  os::Lock turn(running->ship_mutex);
  {
    os::Lock lock(running->current_mutex);
    if (running->emptying > 0) return;
    running->current_ship = &channel;
  }
  if (!stop.stop_requested()) running->receive->serve(channel, stop);
  os::Lock lock(running->current_mutex);
  running->current_ship = nullptr;
}

Result<Welcome> TargetLeg::welcome(const Hello& hello) {
  auto running = this->running();
  if (!running) return transient(ErrorKind::unavailable, "the leg is stopping");
  journal::Journal& journal = *running->journal;
  if (!hello.stream.is_nil()) FARSHORE_TRY(adopt(hello));
  if (const Sequence written = journal.status().written.sequence; written > Sequence(0)) {
    // What is not durable in time (a full disk) is asked for again: it counts as not held.
    const auto settled = journal.wait_durable(written, world_.after(kSettleWait));
    if (!settled && settled.error().kind != ErrorKind::timeout) return settled.error();
  }
  const journal::Status status = journal.status();
  const journal::Tail tail = journal.tail();
  Welcome welcome{.durable = status.durable,
                  .hash = status.hash,
                  .position = tail.position,
                  .commit_time = tail.commit_time,
                  .session = tail.session,
                  .promised = journal.promised(),
                  .history = journal.history()};
  os::Lock lock(mutex_);
  if (file_) {
    welcome.stream = file_->stream;
    welcome.copied = file_->copied;
  }
  return welcome;
}

Result<void> TargetLeg::expect_source(const Uuid& stream, Epoch epoch) const {
  if (file_ && file_->stream != stream)
    return permanent(
        ErrorKind::conflict,
        "this region holds stream '{}' with the identity {}, the source announces {}{}",
        options_.stream_name, file_->stream.text(), stream.text(),
        to_do("if the old one is no longer wanted, remove it here with " +
              board_.command("remove")));
  if (file_ && epoch < file_->epoch)
    return permanent(ErrorKind::conflict,
                     "the source is of epoch {}, this region has promised epoch {}", epoch,
                     file_->epoch);
  return {};
}

Result<void> TargetLeg::adopt(const Hello& hello) {
  os::Lock lock(mutex_);
  FARSHORE_TRY(expect_source(hello.stream, hello.epoch));
  StreamFile next = file_.value_or(StreamFile{.stream = hello.stream, .name = hello.name});
  // A source that only takes its journal back from here tells none.
  std::string definition = hello.definition.empty() ? next.definition : hello.definition;
  if (file_ && next.epoch == hello.epoch && next.definition == definition) return {};
  next.epoch = hello.epoch;
  next.definition = std::move(definition);
  FARSHORE_TRY(save_stream_file(world_.files(), options_.folder + "/stream.file", next));
  file_ = std::move(next);
  if (running_ && running_->loop != nullptr) running_->loop.load()->new_session();
  changed_.notify_all();
  return {};
}

// What applies goes on while the journal is full; what comes does not.
LegState TargetLeg::shown_state(const Running* running) const {
  LegState leg = board_.get();
  if (leg.state != State::streaming || running == nullptr) return leg;
  const journal::Status journal = running->journal->status();
  if (journal.health != journal::Health::full) return leg;
  leg.state = State::degraded;
  leg.reason = "the far journal takes no more: " + journal.reason;
  leg.remedy = fmt::format(
      "raise streams.{}.journal.max in the farshore.yaml of region {}, or free space on its disk; "
      "it goes on by itself",
      options_.stream_name, options_.region);
  return leg;
}

void TargetLeg::fill(Ack& ack) {
  auto running = this->running();
  const LegState leg = shown_state(running.get());
  ack.state = leg.state;
  ack.reason = shown_reason(leg);
  ack.remedy = shown_remedy(leg);
  os::Lock lock(mutex_);
  ack.resumes = resumes_;
  if (file_ && file_->pause_at) ack.pause_at = *file_->pause_at;
  if (!running || running->loop == nullptr) return;
  const ApplyStats applied = running->loop.load()->stats();
  ack.applied = applied.applied;
  ack.applied_commit_time = applied.commit_time;
  ack.applied_transactions = applied.counted.amount.transactions;
  ack.applied_changes = applied.counted.amount.changes;
  if (applied.commit_time != WallTime{})
    applied_lag_.advance(applied.commit_time, world_.clock().wall());
}

Result<void> TargetLeg::edit_file(const std::function<void(StreamFile&)>& edit) {
  os::Lock lock(mutex_);
  if (!file_) return permanent(ErrorKind::conflict, "the stream is not known here yet");
  StreamFile next = *file_;
  edit(next);
  FARSHORE_TRY(save_stream_file(world_.files(), options_.folder + "/stream.file", next));
  file_ = std::move(next);
  return {};
}

Result<CopyReceiver::Leg> TargetLeg::leg_for_copy() const {
  os::Lock lock(mutex_);
  if (!running_ || !file_ || running_->loop == nullptr)
    return transient(ErrorKind::unavailable,
                     "the target waits for the stream's ship channel first");
  return CopyReceiver::Leg{.alive = running_,
                           .journal = running_->journal.get(),
                           .loop = running_->loop,
                           .stream = file_->stream,
                           .epoch = file_->epoch,
                           .copied = file_->copied,
                           .required = terms().required};
}

void TargetLeg::serve_verb(link::Channel& channel) {
  const auto bytes = channel.receive(world_.after(kVerbAnswerWait));
  if (!bytes.ok()) return;
  const auto message = decode(*bytes);
  const auto* asked = message.ok() ? std::get_if<Verb>(&*message) : nullptr;
  if (asked == nullptr) return;
  const auto done = guarded([&] { return verb_of_source(*asked); });
  (void)channel.send(encode(VerbDone{done.ok() ? "" : done.error().what}),
                     world_.after(kVerbAnswerWait));
}

Result<void> TargetLeg::verb_of_source(const Verb& asked) {
  {
    os::Lock lock(mutex_);
    FARSHORE_TRY(expect_source(asked.stream, asked.epoch));
  }
  return verb(asked.name, asked.argument);
}

Result<void> TargetLeg::verb(const std::string& name, const std::string& argument) {
  if (name == "resume") return resume();
  if (name == "resnapshot") return resnapshot(argument);
  if (name == kBeginAnew) return begin_anew();
  if (name == "pause") {
    if (argument.empty()) return pause(std::nullopt);
    FARSHORE_TRY_ASSIGN(const WallTime at, parse_time(argument));
    return pause(at);
  }
  if (name == "skip") {
    const auto colon = argument.find(':');
    if (colon == std::string::npos)
      return permanent(ErrorKind::invalid, "'{}' is not a place", argument);
    const Place place{Epoch(std::strtoull(argument.c_str(), nullptr, 10)),
                      Sequence(std::strtoull(argument.c_str() + colon + 1, nullptr, 10))};
    return skip(place, world_.after(kSkipMax));
  }
  return permanent(ErrorKind::invalid, "this version knows no verb '{}'", name);
}

Result<void> TargetLeg::pause(std::optional<WallTime> at) {
  auto running = this->running();
  if (!running || running->loop == nullptr)
    return permanent(ErrorKind::conflict, "nothing is applied here yet");
  FARSHORE_TRY(edit_file([&](StreamFile& file) {
    file.pause_at = at;
    file.paused = !at;
  }));
  ApplyLoop& loop = *running->loop.load();
  loop.pause(at);
  // So that who asks next hears of it. Where it takes longer, it is under way.
  if (!at) loop.wait_shown(world_.after(kPauseShownWait));
  return {};
}

Result<void> TargetLeg::resume() {
  FARSHORE_TRY(keep_resumed());
  stopper_.poke();
  if (auto running = this->running(); running && running->loop != nullptr)
    running->loop.load()->resume();
  return {};
}

// The source hears it with the next acknowledgement, and asks what is missing.
void TargetLeg::want_copy() {
  os::Lock lock(mutex_);
  ++resumes_;
}

Result<void> TargetLeg::keep_resumed() {
  {
    os::Lock lock(mutex_);
    ++resumes_;  // the source hears it: a copy that was refused is asked for again
    if (!file_) FARSHORE_TRY(load_file());
    if (!file_) return {};
  }
  return edit_file([](StreamFile& file) {
    file.paused = false;
    file.pause_at.reset();
  });
}

Result<void> TargetLeg::resnapshot(const std::string& table) {
  const auto running = this->running();
  const ApplyLoop* loop = running ? running->loop.load() : nullptr;
  const bool lacks = running && (!running->receive->stats().source_lacks.empty() ||
                                 CopyReceiver::overtaken(*running->journal) ||
                                 (loop != nullptr && loop->overtaken()));
  if (!lacks) return copies_.resnapshot(table);
  if (table.empty()) return begin_anew();
  return permanent(
      ErrorKind::conflict,
      "this target lacks a part of the changes, which all its tables need: {} without --table",
      board_.command("resnapshot"));
}

// No ship channel is served while the journal is emptied.
Result<void> TargetLeg::begin_anew() {
  auto running = this->running();
  if (!running) return transient(ErrorKind::unavailable, "the leg is starting or stopping");
  {
    os::Lock lock(running->current_mutex);
    ++running->emptying;
    if (running->current_ship != nullptr) running->current_ship->close();
  }
  os::Lock turn(running->ship_mutex);
  {
    os::Lock lock(running->current_mutex);
    --running->emptying;
  }
  return copies_.begin_anew();
}

Result<void> TargetLeg::skip(Place place, Deadline deadline) {
  auto running = this->running();
  if (!running || running->loop == nullptr)
    return permanent(ErrorKind::conflict, "nothing is applied here yet");
  return running->loop.load()->skip(place, deadline);
}

void TargetLeg::keep_counts() {
  const auto running = this->running();
  if (!running) return;
  const ReceiveStats stats = running->receive->stats();
  // Not written: the next time will do; what is missing is counted from the journal.
  (void)running->counts->keep(received_ever(*running, stats),
                              running->journal->status().durable.sequence);
  if (running->loop != nullptr) running->loop.load()->keep_counts();
}

KeptCounts TargetLeg::received_ever(const Running& running, const ReceiveStats& stats) {
  if (!stats.began) return running.counts->plus(stats.written, stats.amount());
  return {.from = *stats.began,
          .through = stats.written,
          .amount = {stats.transactions - stats.before.transactions,
                     stats.changes - stats.before.changes, stats.bytes - stats.before.bytes}};
}

TargetStatus TargetLeg::status() const {
  auto running = this->running();
  TargetStatus status{.leg = shown_state(running.get())};
  const WallTime now = world_.clock().wall();
  const std::optional<Duration> offset = options_.clock_offset();
  os::Lock lock(mutex_);
  if (file_) {
    status.stream = file_->stream;
    status.epoch = file_->epoch;
    status.pause_at = file_->pause_at;
  }
  if (!running) return status;
  status.received = running->receive->stats();
  status.received_ever = received_ever(*running, status.received);
  status.source_connected = status.received.connected;
  if (offset) status.durability = running->receive->lag(now, *offset);
  status.journal = running->journal->status();
  status.received.durable = status.journal.durable;  // also while no source is connected
  status.received.commit_time = running->journal->tail().commit_time;
  if (running->loop != nullptr) status.applied = running->loop.load()->stats();
  if (offset) status.apply = applied_lag_.read(now, *offset);
  status.to_apply = running->receive->backlog(status.applied.applied);
  return status;
}

}  // namespace farshore::pipeline
