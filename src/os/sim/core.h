// Core: the scheduler of a simulation. One baton, virtual time, the trace and its hash. All state
// belongs to the thread that has the baton, so nothing here is locked.
#pragma once

#include <array>
#include <cstdio>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "os/scheduler.h"
#include "os/sim/baton.h"
#include "os/sim/host_clock.h"
#include "os/sim/options.h"
#include "os/sim/random_stream.h"

namespace farshore::os::sim {

// One incarnation of a host, from its start to its crash. Never destroyed: abandoned threads refer
// to it.
struct Life {
  std::string host;
  bool alive = true;
  HostClock clock;
};

// How far a simulation is; in memory that its watchdog shares.
struct Progress {
  std::atomic<std::uint64_t> switch_points = 0;
  char running[64] = {};  // the thread that has the baton
};

class Core : public Scheduler {
 public:
  explicit Core(const Options& options);
  ~Core() override;

  void switch_point(const char* what) override { switch_point_with(what, 0); }
  bool block_on(const void* object, Deadline deadline, const char* what) override;
  void wake(const void* object, bool all) override;
  std::uint64_t spawn(const std::string& name, std::function<void()> body) override;
  void join(std::uint64_t id) override;
  void set_urgent(bool urgent) override;
  void let_urgent_run() override;
  MonotonicTime now() override;

  // The calling thread becomes the simulated thread "main" of this life until leave().
  void enter(const Life& life);
  void leave();

  // `value` goes into the trace: what is done to what.
  void switch_point_with(const char* what, std::uint64_t value);
  std::uint64_t spawn_on(const Life& life, const std::string& name, std::function<void()> body);
  void sleep(Duration d, const char* what);
  // Waits until the simulation has made `count` more switch points and then runs next. One thread
  // at a time.
  void sleep_switch_points(std::uint64_t count);
  // Calls `event` when virtual time gets there, between two threads; it must not block or switch.
  void schedule(Duration virtual_time, std::function<void()> event);
  // No thread of this life runs again.
  void abandon(const Life& life);
  // Does not return when the caller's own life was abandoned; in an event it does, and the thread
  // stops after it.
  void stop_if_abandoned();

  Duration virtual_time() const { return time_; }
  std::uint64_t switch_points() const { return switch_points_; }
  std::uint64_t hash() const { return hash_; }

  // Ends the simulation: gives the text to the sink, which must not return.
  [[noreturn]] void fail(const std::string& why);
  void set_failure_sink(std::function<void(const std::string&)> sink) {
    failure_sink_ = std::move(sink);
  }
  // Where progress is noted, for a watchdog in another process.
  void set_progress(Progress* progress) { progress_ = progress; }

 private:
  struct Thread;
  struct Timer {
    Thread* thread = nullptr;
    std::function<void()> event;
  };
  using Timers = std::map<std::pair<Duration, std::uint64_t>, Timer>;

  enum class State : std::uint8_t { runnable, blocked, ended, abandoned };

  struct Thread {
    std::uint64_t id = 0;
    std::string full_name;  // "host/thread"
    const Life* life = nullptr;
    Core* core = nullptr;
    std::function<void()> body;
    Baton baton;
    State state = State::runnable;
    std::size_t runnable_index = 0;
    bool urgent = false;
    std::uint64_t priority = 0;
    // while blocked
    const void* object = nullptr;
    const char* what = "";
    bool woken = false;
    Timers::iterator timer;
  };

  static constexpr std::size_t kBuckets =
      256;  // by object; the order within one is that of waiting

  static void* thread_main(void* thread);
  Thread& add_thread(const Life& life, const std::string& name);
  void finish(Thread& self);
  void note(const char* what, std::uint64_t value);
  Thread* choose();
  Thread* next_to_run();
  void hand_over(Thread& from);
  void pass_to(Thread& to);
  bool block(const void* object, Duration until, const char* what);
  void advance_time();
  void make_runnable(Thread& thread);
  void remove_runnable(Thread& thread);
  void stop_waiting(Thread& thread);
  void wake_switch_point_waiter();
  std::vector<Thread*>& bucket_of(const void* object);
  std::string waiting_threads() const;

  const Options options_;
  RandomStream random_;
  Mode mode_;
  double stay_probability_ = 0;    // sticky
  double change_probability_ = 0;  // priorities
  std::vector<std::unique_ptr<Thread>> threads_;
  std::vector<Thread*> runnable_;  // with the running one
  std::array<std::vector<Thread*>, kBuckets> waiting_;
  Timers timers_;
  std::uint64_t next_timer_ = 0;
  Thread* running_ = nullptr;
  bool in_event_ = false;
  std::size_t urgent_threads_ = 0;
  Duration time_{};
  std::uint64_t switch_points_ = 0;
  Thread* switch_point_waiter_ = nullptr;
  std::uint64_t switch_point_target_ = 0;
  Thread* forced_next_ = nullptr;
  std::uint64_t hash_ = 0;
  FILE* trace_ = nullptr;
  std::function<void(const std::string&)> failure_sink_;
  Progress* progress_ = nullptr;
};

}  // namespace farshore::os::sim
