#include "os/sim/core.h"

#include <pthread.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "base/check.h"

namespace farshore::os::sim {
namespace {

constexpr std::size_t kStackBytes = 1_MiB;
constexpr Duration kNever = Duration::max();

}  // namespace

Core::Core(const Options& options) : options_(options), random_(options.seed, "schedule") {
  mode_ = options.mode;
  if (mode_ == Mode::by_seed) {
    const std::uint64_t chosen = random_.below(10);
    mode_ = chosen < 4 ? Mode::uniform : chosen < 7 ? Mode::sticky : Mode::priorities;
  }
  stay_probability_ = 0.5 + 0.05 * static_cast<double>(random_.below(10));
  change_probability_ = 1.0 / static_cast<double>(random_.between(10, 1000));
  if (!options.trace_path.empty()) trace_ = std::fopen(options.trace_path.c_str(), "w");
}

Core::~Core() {
  if (trace_ != nullptr) std::fclose(trace_);
}

// --- threads

Core::Thread& Core::add_thread(const Life& life, const std::string& name) {
  auto thread = std::make_unique<Thread>();
  thread->id = threads_.size();
  thread->full_name = life.host + "/" + name;
  thread->life = &life;
  thread->core = this;
  thread->priority = random_.next();
  thread->timer = timers_.end();
  threads_.push_back(std::move(thread));
  make_runnable(*threads_.back());
  return *threads_.back();
}

void Core::enter(const Life& life) {
  FARSHORE_CHECK(running_ == nullptr, "a simulation runs once");
  running_ = &add_thread(life, "main");
  set_current_scheduler(this);
}

void Core::leave() {
  note("end", 0);
  set_current_scheduler(nullptr);
  if (trace_ != nullptr) std::fflush(trace_);
}

std::uint64_t Core::spawn(const std::string& name, std::function<void()> body) {
  return spawn_on(*running_->life, name, std::move(body));
}

std::uint64_t Core::spawn_on(const Life& life, const std::string& name,
                             std::function<void()> body) {
  FARSHORE_CHECK(life.alive, "thread '{}' starts on host '{}', which is down", name, life.host);
  Thread& thread = add_thread(life, name);
  thread.body = std::move(body);
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  pthread_t ignored{};
  const int code = pthread_create(&ignored, &attributes, thread_main, &thread);
  pthread_attr_destroy(&attributes);
  FARSHORE_CHECK(code == 0, "no thread for '{}': {}", thread.full_name, std::strerror(code));
  switch_point_with("spawn", thread.id);
  return thread.id;
}

void* Core::thread_main(void* argument) {
  Thread& self = *static_cast<Thread*>(argument);
  self.baton.take();
  set_current_scheduler(self.core);
  try {
    self.body();
    self.body = nullptr;
  } catch (const std::exception& escaped) {
    self.core->fail(fmt::format("thread '{}': {}", self.full_name, escaped.what()));
  }
  set_current_scheduler(nullptr);
  self.core->finish(self);
  return nullptr;
}

void Core::finish(Thread& self) {
  note("end", 0);
  self.state = State::ended;
  remove_runnable(self);
  wake(&self, true);
  pass_to(*next_to_run());
}

void Core::join(std::uint64_t id) {
  Thread& thread = *threads_.at(id);
  while (thread.state != State::ended) block_on(&thread, Deadline::never(), "join");
}

void Core::abandon(const Life& life) {
  for (const std::unique_ptr<Thread>& thread : threads_) {
    if (thread->life != &life) continue;
    if (thread->state == State::runnable) remove_runnable(*thread);
    if (thread->state == State::blocked) stop_waiting(*thread);
    if (thread->urgent) thread->urgent = false, --urgent_threads_;
    if (thread.get() == switch_point_waiter_) switch_point_waiter_ = nullptr;
    if (thread.get() == forced_next_) forced_next_ = nullptr;
    if (thread->state != State::ended) thread->state = State::abandoned;
  }
}

void Core::stop_if_abandoned() {
  if (running_->state == State::abandoned && !in_event_) hand_over(*running_);
}

// --- choosing

void Core::note(const char* what, std::uint64_t value) {
  ++switch_points_;
  if (progress_ != nullptr) {
    progress_->switch_points.store(switch_points_, std::memory_order_relaxed);
  }
  const std::uint64_t event[] = {running_->id, static_cast<std::uint64_t>(time_.count()), value};
  hash_ = chain_hash(chain_hash(hash_, what), {reinterpret_cast<const char*>(event), sizeof event});
  if (trace_ != nullptr) {
    fmt::print(trace_, "{} {:.6f} {} {} {:x}\n", switch_points_, seconds_of(time_),
               running_->full_name, what, value);
  }
  if (switch_points_ > options_.switch_points_max) {
    fail(fmt::format(
        "more than {} switch points, at virtual time {}: does '{}' loop without waiting, at '{}'?",
        options_.switch_points_max, format_duration(time_), running_->full_name, what));
  }
  if (switch_point_waiter_ != nullptr && switch_points_ >= switch_point_target_)
    wake_switch_point_waiter();
}

void Core::wake_switch_point_waiter() {
  forced_next_ = std::exchange(switch_point_waiter_, nullptr);
  stop_waiting(*forced_next_);
  forced_next_->woken = true;
  make_runnable(*forced_next_);
}

Core::Thread* Core::choose() {
  if (forced_next_ != nullptr) return std::exchange(forced_next_, nullptr);
  if (urgent_threads_ > 0) {
    for (Thread* thread : runnable_)
      if (thread->urgent) return thread;
  }
  const bool may_stay = running_->state == State::runnable;
  switch (mode_) {
    case Mode::priorities:
      if (may_stay && random_.chance(change_probability_)) running_->priority = random_.next() >> 8;
      return *std::max_element(runnable_.begin(), runnable_.end(),
                               [](Thread* a, Thread* b) { return a->priority < b->priority; });
    case Mode::sticky:
      if (may_stay && random_.chance(stay_probability_)) return running_;
      break;
    default:
      break;
  }
  return runnable_.size() == 1 ? runnable_.front() : runnable_[random_.below(runnable_.size())];
}

Core::Thread* Core::next_to_run() {
  while (runnable_.empty()) advance_time();
  return choose();
}

void Core::switch_point_with(const char* what, std::uint64_t value) {
  note(what, value);
  if (running_->urgent) return;
  hand_over(*running_);
}

void Core::pass_to(Thread& to) {
  running_ = &to;
  if (progress_ != nullptr) {
    const std::size_t size = std::min(to.full_name.size(), sizeof progress_->running - 1);
    std::memcpy(progress_->running, to.full_name.data(), size);
    progress_->running[size] = '\0';
  }
  to.baton.give();
}

// The baton goes from `from` to whom chance says; returns when `from` has it again.
void Core::hand_over(Thread& from) {
  Thread* next = next_to_run();
  if (next == &from) return;
  pass_to(*next);
  from.baton.take();
}

void Core::set_urgent(bool urgent) {
  if (running_->urgent == urgent) return;
  running_->urgent = urgent;
  urgent ? ++urgent_threads_ : --urgent_threads_;
}

void Core::let_urgent_run() {
  if (urgent_threads_ == 0 || running_->urgent) return;
  const bool any = std::any_of(runnable_.begin(), runnable_.end(),
                               [](Thread* thread) { return thread->urgent; });
  if (any) switch_point("urgent");
}

// --- waiting

bool Core::block_on(const void* object, Deadline deadline, const char* what) {
  if (deadline.is_never()) return block(object, kNever, what);
  if (deadline.reached(now())) {
    switch_point(what);
    return false;
  }
  return block(object, running_->life->clock.virtual_time_of(deadline.time()), what);
}

bool Core::block(const void* object, Duration until, const char* what) {
  Thread& self = *running_;
  note(what, 1);
  self.state = State::blocked;
  self.object = object;
  self.what = what;
  self.woken = false;
  remove_runnable(self);
  bucket_of(object).push_back(&self);
  if (until != kNever)
    self.timer = timers_.emplace(std::pair(until, next_timer_++), Timer{&self, nullptr}).first;
  hand_over(self);
  return self.woken;
}

void Core::wake(const void* object, bool all) {
  std::vector<Thread*>& bucket = bucket_of(object);
  if (bucket.empty()) return;
  std::vector<Thread*> waiters;
  std::copy_if(bucket.begin(), bucket.end(), std::back_inserter(waiters),
               [&](Thread* thread) { return thread->object == object; });
  if (!all && waiters.size() > 1) waiters = {waiters[random_.below(waiters.size())]};
  for (Thread* thread : waiters) {
    stop_waiting(*thread);
    thread->woken = true;
    make_runnable(*thread);
  }
}

void Core::sleep(Duration d, const char* what) {
  const char unique = 0;
  if (d > Duration::zero()) block(&unique, time_ + d, what);
}

void Core::sleep_switch_points(std::uint64_t count) {
  FARSHORE_CHECK(switch_point_waiter_ == nullptr, "two threads wait for switch points");
  const char unique = 0;
  switch_point_target_ = switch_points_ + 1 + count;
  switch_point_waiter_ = running_;
  if (count > 0) {
    block(&unique, kNever, "sleep");
  } else {
    switch_point_waiter_ = nullptr;
  }
}

void Core::schedule(Duration virtual_time, std::function<void()> event) {
  timers_.emplace(std::pair(std::max(virtual_time, time_), next_timer_++),
                  Timer{nullptr, std::move(event)});
}

void Core::advance_time() {
  if (timers_.empty()) {
    if (switch_point_waiter_ != nullptr) return wake_switch_point_waiter();
    fail(fmt::format(
        "deadlock at virtual time {}, after {} switch points: every thread waits for ever: {}",
        format_duration(time_), switch_points_, waiting_threads()));
  }
  time_ = std::max(time_, timers_.begin()->first.first);
  if (time_ > options_.virtual_time_max) {
    fail(fmt::format(
        "more than {} of virtual time passed: is a deadline of another host's clock? {}",
        format_duration(options_.virtual_time_max), waiting_threads()));
  }
  while (!timers_.empty() && timers_.begin()->first.first <= time_) {
    Timer timer = std::move(timers_.begin()->second);
    if (timer.thread != nullptr) {
      stop_waiting(*timer.thread);
      make_runnable(*timer.thread);
    } else {
      timers_.erase(timers_.begin());
      in_event_ = true;
      timer.event();
      in_event_ = false;
    }
  }
}

void Core::make_runnable(Thread& thread) {
  thread.state = State::runnable;
  thread.runnable_index = runnable_.size();
  runnable_.push_back(&thread);
}

void Core::remove_runnable(Thread& thread) {
  runnable_.back()->runnable_index = thread.runnable_index;
  runnable_[thread.runnable_index] = runnable_.back();
  runnable_.pop_back();
}

void Core::stop_waiting(Thread& thread) {
  std::vector<Thread*>& bucket = bucket_of(thread.object);
  bucket.erase(std::find(bucket.begin(), bucket.end(), &thread));
  if (thread.timer != timers_.end()) timers_.erase(std::exchange(thread.timer, timers_.end()));
}

std::vector<Core::Thread*>& Core::bucket_of(const void* object) {
  return waiting_[(reinterpret_cast<std::uintptr_t>(object) >> 4) % kBuckets];
}

MonotonicTime Core::now() {
  return running_->life->clock.monotonic(time_);
}

// --- the end

std::string Core::waiting_threads() const {
  std::string text;
  for (const std::unique_ptr<Thread>& thread : threads_) {
    if (thread->state != State::blocked) continue;
    text += fmt::format("{}'{}' in {}", text.empty() ? "" : ", ", thread->full_name, thread->what);
    if (thread->timer != timers_.end()) {
      text += fmt::format(" until {}", format_duration(thread->timer->first.first));
    }
  }
  return text.empty() ? "no thread waits" : text;
}

void Core::fail(const std::string& why) {
  if (trace_ != nullptr) std::fflush(trace_);
  if (failure_sink_) failure_sink_(why);
  fmt::print(stderr, "simulation of seed {} failed: {}\n", options_.seed, why);
  std::_Exit(1);
}

}  // namespace farshore::os::sim
