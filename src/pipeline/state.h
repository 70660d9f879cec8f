// States of a leg (capture, or one target) and the status that every leg shows. A stream shows its
// worst leg.
//
//   starting -> copying -> streaming <-> paused, degraded, config-differs
//       |          |           |
//       +----------+-----------+----> failed(reason, remedy)
//   any -> draining -> stopped
//
// degraded: it works, but something that an operator asked for does not hold. config-differs: data
// goes on, verbs that move something are refused. failed: an operator's verb leaves it, or that
// what was missing has come.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "change/event.h"
#include "change/place.h"
#include "change/stream_command.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::pipeline {

enum class State : std::uint8_t {
  stopped,
  draining,
  streaming,
  paused,
  copying,
  starting,
  config_differs,
  degraded,
  failed  // the later, the worse
};

const char* name_of(State state);

struct LegState {
  State state = State::starting;
  std::string reason;                     // why, when not streaming
  std::string remedy;                     // what to do; never empty when failed
  std::optional<MonotonicTime> retry_at;  // a transient error: when it is tried again
  std::uint64_t retries = 0;              // since it last worked
  std::string last_error;                 // newest transient error
  bool failed_here = false;               // it is this end's own failure, not heard of the other
};

// While it tries again after an error: that error, and its remedy. What has failed or is paused
// keeps its own: it waits for an operator, whatever is tried beside.
std::string shown_reason(const LegState& leg);
std::string shown_remedy(const LegState& leg);

// The state of one leg, with an event at each change. Any thread.
class StateBoard {
 public:
  StateBoard(EventSink events, LegName leg);

  void set(State state, const std::string& reason = {}, const std::string& remedy = {});
  // What to do is what the error says (change/remedy.h), else `usual`, else to repair and resume.
  void fail(const Error& error, const std::string& usual = {});
  // The line that gives this leg a verb (change/stream_command.h).
  std::string command(std::string_view verb, const std::vector<std::string>& words = {}) const {
    return stream_command(leg_name_, verb, words);
  }
  // What the leg's other end says of itself. A failure of this end stays until it has worked().
  void hear(State state, const std::string& reason, const std::string& remedy);
  // Keeps the state; shows the error and when it is tried again. An event at the first of a row.
  void retrying(const Error& error, MonotonicTime at);
  void worked();  // forgets the retries, and that this end had failed
  void report(Severity severity, const std::string& name, const std::string& message);

  LegState get() const;
  State state() const { return get().state; }

 private:
  enum class By : std::uint8_t { us, failure_of_ours, other_end };
  void show(By by, State state, const std::string& reason, const std::string& remedy_given);
  std::string usual_remedy(const std::string& reason) const;

  const EventSink events_;
  const LegName leg_name_;
  mutable os::Mutex mutex_;
  LegState leg_;
};

}  // namespace farshore::pipeline
