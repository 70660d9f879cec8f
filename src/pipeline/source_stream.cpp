#include "pipeline/source_stream.h"

#include <algorithm>

#include "base/guarded.h"
#include "change/remedy.h"
#include "os/thread.h"

namespace farshore::pipeline {
namespace {

constexpr Duration kVerbWait = 60s;
// A far journal keeps the preamble before the oldest place that is needed: one in each segment lets
// it work by segments.
std::uint64_t preamble_every(const journal::Options& options) {
  return std::min(options.preamble_every_bytes, options.segment_bytes);
}

constexpr Duration kBoundEvery = 3s;

}  // namespace

// One target's near end.
struct SourceStream::Leg {
  const Target& target;
  StateBoard board;
  std::unique_ptr<ShipLoop> ship;
  std::unique_ptr<CopySender> copy;
  Stopper copy_wanted_changed;
  os::Mutex mutex;
  bool copy_wanted = false;
  std::optional<CommitPosition> far;  // newest commit its journal holds
  os::Thread ship_thread, copy_thread;

  Leg(os::World& world, const Target& t, EventSink events, const Options& options)
      : target(t),
        board(std::move(events), {options.name, t.site, options.region}),
        copy_wanted_changed(world) {}

  void want_copy() {
    still_wanted();
    copy_wanted_changed.poke();
  }
  void still_wanted() {
    os::Lock lock(mutex);
    copy_wanted = true;
  }
  bool take_wanted() {
    os::Lock lock(mutex);
    return std::exchange(copy_wanted, false);
  }
};

struct SourceStream::Running {
  std::unique_ptr<journal::Journal> journal;
  std::unique_ptr<LogCounts> counts;
  SourceParts parts;
  std::unique_ptr<CaptureLoop> capture;
  std::vector<std::unique_ptr<Leg>> legs;
  os::Mutex far_mutex;
  os::Thread capture_thread, acknowledge_thread;
};

SourceStream::SourceStream(os::World& world, Options options, MakeParts make_parts,
                           EventSink events)
    : world_(world),
      options_(std::move(options)),
      make_parts_(std::move(make_parts)),
      events_(events),
      board_(std::move(events), {options_.name, "", options_.region}),
      stopper_(world),
      bound_stopper_(world) {}

SourceStream::~SourceStream() = default;

void SourceStream::run(std::stop_token stop) {
  os::Thread bound("bound-log", [this](std::stop_token s) { bound_log(s); });
  std::stop_callback also(stop, [&bound] { bound.request_stop(); });
  Backoff backoff(world_, kReopenMin, kReopenMax);
  while (!stop.stop_requested()) {
    auto result = guarded([&] { return run_once(stop); });
    if (stop.stop_requested() || result.ok()) break;
    const Error& error = result.error();
    if (error.retry == Retry::no && error.kind != ErrorKind::io &&
        error.kind != ErrorKind::closed) {
      board_.fail(error);
      stopper_.wait(stop, Duration::max());
      continue;
    }
    const Duration pause = backoff.next();
    board_.retrying(error, world_.now() + pause);
    stopper_.wait(stop, pause);
  }
  board_.set(State::stopped);
}

Result<void> SourceStream::run_once(std::stop_token stop) {
  FARSHORE_TRY(world_.files().create_folder(options_.folder));
  EventSink events = [this](const Event& event) {
    board_.report(event.severity, event.name, event.message);
  };
  journal::Options journal_options = options_.journal;
  journal_options.keep_preambles = false;  // its consumers only ship
  FARSHORE_TRY_ASSIGN(auto journal, journal::Journal::open(world_, options_.folder + "/journal",
                                                           journal_options, events));
  if (os::read_file(world_.files(), options_.folder + kRebuilding).ok())
    FARSHORE_TRY(journal->clear());  // a crash came between
  std::vector<Held> held;
  FARSHORE_TRY_ASSIGN(const StreamFile file, identify(*journal, held, stop));
  FARSHORE_TRY(prepare_journal(*journal, held));
  FARSHORE_TRY_ASSIGN(SourceParts parts, parts_of(file.stream));
  auto running = start(std::move(journal), std::move(parts), file);
  std::stop_callback wake(stop, [this] {
    os::Lock lock(mutex_);
    changed_.notify_all();
  });
  std::optional<Error> failed;
  {
    os::Lock lock(mutex_);
    changed_.wait(lock, Deadline::never(), [&] { return stop.stop_requested() || fatal_; });
    failed = fatal_;
  }
  if (stop.stop_requested()) board_.set(State::draining);
  for (auto& leg : running->legs) {
    leg->ship_thread.request_stop();
    leg->copy_thread.request_stop();
  }
  running->capture_thread.request_stop();
  running->acknowledge_thread.request_stop();
  running->parts.snapshot->interrupt();
  for (auto& leg : running->legs) {
    leg->ship_thread.join();
    leg->copy_thread.join();
  }
  running->capture_thread.join();
  running->acknowledge_thread.join();
  {
    os::Lock lock(mutex_);
    running_.reset();
  }
  running->journal->close();
  if (failed) return *failed;
  return {};
}

// A source that cannot be reached is looked at again: capture says so, if that is due.
void SourceStream::bound_log(std::stop_token stop) {
  do {
    (void)guarded([&]() -> Result<void> {
      const std::shared_ptr<Source> source = source_to_bound();
      if (!source) return {};
      std::stop_callback interrupt(stop, [&] { source->interrupt(); });
      return source->bound_log();
    });
  } while (bound_stopper_.wait(stop, kBoundEvery));
}

std::shared_ptr<Source> SourceStream::source_to_bound() {
  {
    os::Lock lock(mutex_);
    if (source_) return source_;
  }
  const auto file = load_stream_file(world_.files(), options_.folder + "/stream.file");
  auto parts = parts_of(file.ok() && *file ? (*file)->stream : Uuid{});
  return parts.ok() ? parts->source : nullptr;
}

Result<SourceParts> SourceStream::parts_of(const Uuid& stream) {
  FARSHORE_TRY_ASSIGN(SourceParts parts, make_parts_(stream));
  os::Lock lock(mutex_);
  if (!source_ || (source_stream_ != stream && !stream.is_nil())) {
    source_ = parts.source;
    source_stream_ = stream;
  }
  parts.source = source_;
  return parts;
}

std::shared_ptr<SourceStream::Running> SourceStream::start(
    std::unique_ptr<journal::Journal> journal, SourceParts parts, const StreamFile& file) {
  auto running = std::make_shared<Running>();
  running->journal = std::move(journal);
  running->counts =
      std::make_unique<LogCounts>(world_, options_.folder + "/counts", *running->journal);
  running->parts = std::move(parts);
  running->capture = std::make_unique<CaptureLoop>(
      world_, *running->parts.source, *running->journal, board_,
      CaptureLoop::Options{.preamble_every_bytes = preamble_every(options_.journal),
                           .expected_identity = file.identity},
      CaptureLoop::Callbacks{
          .identity_seen = [this](const std::string& id) { return keep_identity(id); },
          .tables_joined =
              [legs = &running->legs] {
                for (auto& leg : *legs) leg->want_copy();
              },
          .journal_failed = [this](Error error) { fatal(std::move(error)); }});
  keep_for_targets(*running->journal);
  for (const Target& target : options_.targets) {
    running->legs.push_back(std::make_unique<Leg>(world_, target, events_, options_));
    make_loops(*running, *running->legs.back(), file);
  }
  {
    os::Lock lock(mutex_);
    fatal_.reset();
    running_ = running;  // status() and the verbs use it from here on: it is whole
  }
  CaptureLoop* capture = running->capture.get();
  running->capture_thread =
      os::Thread("capture", [capture](std::stop_token s) { capture->run(s); });
  running->acknowledge_thread =
      os::Thread("acknowledge", [capture](std::stop_token s) { capture->run_acknowledge(s); });
  for (auto& leg : running->legs) start_leg(*running, *leg);
  return running;
}

// The journal keeps what the targets of the definition have not got, as the definition says now,
// and for nobody else: one that was taken out of it never comes back for its part.
void SourceStream::keep_for_targets(journal::Journal& journal) {
  for (const Target& target : options_.targets) {
    journal::ConsumerPlaces places =
        journal.consumer(target.site).value_or(journal::ConsumerPlaces{});
    places.required = target.required;
    if (!journal.overtaken(target.site)) (void)journal.set_consumer(target.site, places);
  }
  for (const auto& [name, places] : journal.consumers()) {
    const auto is_it = [&name = name](const Target& target) { return target.site == name; };
    if (std::any_of(options_.targets.begin(), options_.targets.end(), is_it)) continue;
    if (!journal.remove_consumer(name).ok()) continue;
    board_.report(Severity::warning, "stream.target_forgotten",
                  fmt::format("'{}' is no target of the stream any more: what it had not got from "
                              "sequence {} on is no longer kept for it",
                              name, places.restart));
  }
}

void SourceStream::make_loops(Running& running, Leg& leg, const StreamFile& file) {
  leg.ship = std::make_unique<ShipLoop>(
      world_, leg.target.dial, *running.journal, leg.board,
      ShipLoop::Options{.stream = file.stream,
                        .stream_name = options_.name,
                        .site = leg.target.site,
                        .definition = options_.definition,
                        .epoch = file.epoch,
                        .required = leg.target.required},
      ShipLoop::Callbacks{
          .far_durable = [this, &running, &leg](
                             const CommitPosition& commit) { far_durable(running, leg, commit); },
          .commits_wait = [&running] { return running.capture->commits_wait(); },
          .copy_wanted = [&leg] { leg.want_copy(); },
          .preamble_wanted = [&running] { running.capture->want_preamble(); },
          .journal_failed = [this](Error error) { fatal(std::move(error)); }});
  leg.copy = std::make_unique<CopySender>(
      world_, leg.target.dial, *running.parts.snapshot, leg.board,
      CopySender::Options{
          .stream = file.stream,
          .stream_name = options_.name,
          .site = leg.target.site,
          .existing = leg.target.existing,
          .tables_at_once = options_.tables_at_once,
          .captured = [&running] { return running.journal->status().written.sequence; }});
}

void SourceStream::start_leg(Running& running, Leg& leg) {
  leg.ship_thread =
      os::Thread("ship-" + leg.target.site, [&leg](std::stop_token s) { leg.ship->run(s); });
  leg.copy_thread =
      os::Thread("copy-" + leg.target.site,
                 [this, &leg, &running](std::stop_token s) { copy_loop(leg, running, s); });
}

void SourceStream::copy_loop(Leg& leg, Running& running, std::stop_token stop) {
  Backoff backoff(world_, 500ms, 15s);
  while (!stop.stop_requested()) {
    // Slot and publication come first: what commits after the snapshot must be in the stream.
    if (!running.capture->wait_started(world_.after(200ms))) continue;
    // A target that lacks a part of the log must begin anew first, else that part would be missing
    // between its old changes and the new ones. The ship loop asks again when it ships.
    if (!leg.ship->shipping() || !leg.take_wanted()) {
      leg.copy_wanted_changed.wait(stop, Duration::max());
      continue;
    }
    auto copied = guarded([&] { return leg.copy->run_once(stop); });
    if (stop.stop_requested()) return;
    if (copied.ok()) {
      backoff.reset();
      if (leg.ship->shipping()) leg.board.worked();
      continue;
    }
    leg.still_wanted();
    if (!leg.ship->shipping()) continue;  // why not is what the leg shows
    const Error& error = copied.error();
    if (error.retry == Retry::no && error.kind != ErrorKind::closed) {
      leg.board.fail(error);
      leg.copy_wanted_changed.wait(stop, Duration::max());
      if (leg.ship->shipping()) leg.board.worked();  // as far as is known: it is tried again
      continue;
    }
    const Duration pause = backoff.next();
    leg.board.retrying(error, world_.now() + pause);
    leg.copy_wanted_changed.wait(stop, pause);
  }
}

// What all required targets hold decides; with none required, what the slowest of all holds.
void SourceStream::far_durable(Running& running, Leg& leg, const CommitPosition& commit) {
  os::Lock lock(running.far_mutex);
  leg.far = commit;
  const bool any_required = std::any_of(running.legs.begin(), running.legs.end(),
                                        [](const auto& l) { return l->target.required; });
  const CommitPosition* slowest = nullptr;
  for (const auto& other : running.legs) {
    if (any_required && !other->target.required) continue;
    if (!other->far) return;
    if (slowest == nullptr || other->far->sequence < slowest->sequence) slowest = &*other->far;
  }
  if (slowest != nullptr) running.capture->far_durable(*slowest);
}

Result<void> SourceStream::keep_identity(const std::string& identity) {
  os::Lock lock(mutex_);
  StreamFile next = file_;
  next.identity = identity;
  FARSHORE_TRY(save_stream_file(world_.files(), options_.folder + "/stream.file", next));
  file_ = std::move(next);
  return {};
}

void SourceStream::fatal(Error error) {
  os::Lock lock(mutex_);
  if (!fatal_) fatal_ = std::move(error);
  changed_.notify_all();
}

std::shared_ptr<SourceStream::Running> SourceStream::running() const {
  os::Lock lock(mutex_);
  return running_;
}

Result<void> SourceStream::resume(const std::string& site) {
  stopper_.poke();
  auto running = this->running();
  if (!running) return {};
  if (site.empty()) running->capture->accept_identity();
  running->capture->poke();
  Result<void> first_error;
  for (auto& leg : running->legs) {
    if (!site.empty() && leg->target.site != site) continue;
    leg->ship->poke();
    leg->copy_wanted_changed.poke();
    auto resumed = leg->ship->verb("resume", "", world_.after(kVerbWait));
    if (!resumed.ok() && first_error.ok()) first_error = std::move(resumed);
  }
  return first_error;
}

Result<void> SourceStream::forward(const std::string& site, const std::string& verb,
                                   const std::string& argument) {
  auto running = this->running();
  if (!running) return transient(ErrorKind::unavailable, "stream '{}' is starting", options_.name);
  bool found = false;
  Result<void> first_error;  // the others hear it all the same
  for (auto& leg : running->legs) {
    if (!site.empty() && leg->target.site != site) continue;
    found = true;
    auto done = leg->ship->verb(verb, argument, world_.after(kVerbWait));
    if (!done.ok() && first_error.ok()) first_error = std::move(done);
  }
  if (!found)
    return permanent(ErrorKind::not_found, "stream '{}' has no target '{}'", options_.name, site);
  return first_error;
}

Result<void> SourceStream::resnapshot(const std::string& site, const std::string& table) {
  auto running = this->running();
  const bool gap = running && running->capture->log_gone();
  if (!gap) FARSHORE_TRY(capture_goes_on());
  if (!running) return transient(ErrorKind::unavailable, "stream '{}' is starting", options_.name);
  if (gap && !(site.empty() && table.empty()))
    return permanent(ErrorKind::conflict,
                     "a part of the source's log is gone, which all tables of all targets need: "
                     "`farshore stream resnapshot {}` without --to and --table",
                     options_.name);
  if (gap) FARSHORE_TRY(running->capture->accept_gap());
  return copy_anew(*running, site, table, gap);
}

Result<void> SourceStream::copy_anew(Running& running, const std::string& site,
                                     const std::string& table, bool gap) {
  Result<void> first_error;  // the others hear it all the same
  for (auto& leg : running.legs) {
    if (!site.empty() && leg->target.site != site) continue;
    auto done = copy_leg_anew(*leg, table, gap);
    // One that rests looks again where it stands: also at a target that cannot be reached now.
    leg->ship->poke();
    if (!done.ok() && first_error.ok()) first_error = std::move(done);
  }
  return first_error;
}

Result<void> SourceStream::copy_leg_anew(Leg& leg, const std::string& table, bool gap) {
  const bool anew = gap || leg.ship->overtaken();
  if (anew && !table.empty())
    return permanent(ErrorKind::conflict,
                     "target {} lacks a part of the log, which all its tables need: `farshore "
                     "stream resnapshot {} --to {}` without --table",
                     leg.target.site, options_.name, leg.target.site);
  return leg.ship->verb(anew ? kBeginAnew : "resnapshot", table, world_.after(kVerbWait));
}

// What is copied without it never becomes current.
Result<void> SourceStream::capture_goes_on() const {
  const LegState capture = board_.get();
  if (capture.state != State::failed) return {};
  return permanent(ErrorKind::conflict,
                   "nothing is copied anew: capture of stream '{}' has failed: {}{}", options_.name,
                   capture.reason, to_do(capture.remedy));
}

void SourceStream::keep_counts() {
  const auto running = this->running();
  if (!running) return;
  const CaptureStats stats = running->capture->stats();
  // Not written: the next time will do; what is missing is counted from the journal.
  (void)running->counts->keep(running->counts->plus(stats.written, stats.amount()),
                              running->journal->status().durable.sequence);
}

SourceStatus SourceStream::status() const {
  SourceStatus status{.capture = board_.get()};
  const WallTime now = world_.clock().wall();
  std::shared_ptr<Running> running;
  {
    os::Lock lock(mutex_);
    status.stream = file_.stream;
    status.epoch = file_.epoch;
    status.identity = file_.identity;
    running = running_;
  }
  if (!running) {
    // Nothing goes to the targets before the journal is open, and after the end.
    const State idle = status.capture.state == State::stopped ? State::stopped : State::starting;
    for (const Target& target : options_.targets)
      status.targets.push_back(
          {.site = target.site, .region = target.region, .leg = {.state = idle}});
    return status;
  }
  status.captured = running->capture->stats();
  status.captured_ever = running->counts->plus(status.captured.written, status.captured.amount());
  status.capture_lag = running->capture->lag(now);
  status.near_waits = running->capture->near_waits();
  status.far_waits = running->capture->far_waits();
  status.journal = running->journal->status();
  for (const auto& leg : running->legs) {
    const FarStatus far = leg->ship->status();
    const bool heard = far.heard_at != MonotonicTime{};
    status.targets.push_back(
        {.site = leg->target.site,
         .region = leg->target.region,
         .leg = leg->board.get(),
         .far = far,
         .durability = leg->ship->durability(now),
         .apply = leg->ship->apply(now),
         .to_ship = heard ? running->capture->backlog(far.ack.durable.sequence) : std::nullopt,
         .to_apply = heard ? running->capture->backlog(far.ack.applied) : std::nullopt,
         .copy = leg->copy->progress()});
  }
  return status;
}

}  // namespace farshore::pipeline
