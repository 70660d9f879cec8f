#include "pipeline/state.h"

#include "change/remedy.h"

namespace farshore::pipeline {

const char* name_of(State state) {
  switch (state) {
    case State::stopped:
      return "stopped";
    case State::draining:
      return "draining";
    case State::streaming:
      return "streaming";
    case State::paused:
      return "paused";
    case State::copying:
      return "copying";
    case State::starting:
      return "starting";
    case State::config_differs:
      return "config-differs";
    case State::degraded:
      return "degraded";
    case State::failed:
      return "failed";
  }
  return "unknown";
}

namespace {

bool shows_error(const LegState& leg) {
  const bool waits = leg.state == State::failed || leg.state == State::paused;
  return leg.retry_at && !(waits && !leg.reason.empty());
}

// What this end shows itself in these states does not say that it no longer tries.
bool may_try(State state) {
  return state == State::starting || state == State::streaming || state == State::config_differs;
}

}  // namespace

StateBoard::StateBoard(EventSink events, LegName leg)
    : events_(std::move(events)), leg_name_(std::move(leg)) {}

void StateBoard::set(State state, const std::string& reason, const std::string& remedy) {
  show(By::us, state, reason, remedy);
}

void StateBoard::fail(const Error& error, const std::string& usual) {
  const Told told = split_remedy(error.what);
  show(By::failure_of_ours, State::failed, told.why, told.remedy.empty() ? usual : told.remedy);
}

void StateBoard::hear(State state, const std::string& reason, const std::string& remedy) {
  show(By::other_end, state, reason, remedy);
}

// The state and whose failure it is change together: what is heard between them would stay for
// good.
void StateBoard::show(By by, State state, const std::string& reason,
                      const std::string& remedy_given) {
  const bool lacks_remedy = state == State::failed && remedy_given.empty();
  const std::string remedy = lacks_remedy ? usual_remedy(reason) : remedy_given;
  bool changed = false;
  {
    os::Lock lock(mutex_);
    if (by == By::other_end && leg_.failed_here) return;
    // Why it is degraded changes as it goes on, in figures.
    changed = leg_.state != state || (state != State::degraded && leg_.reason != reason);
    leg_.state = state;
    leg_.reason = reason;
    leg_.remedy = remedy;
    leg_.failed_here = by == By::failure_of_ours;
    const bool rests = state == State::failed || state == State::paused;
    if (rests || (by == By::us && !may_try(state))) leg_.retry_at.reset();
  }
  if (!changed) return;
  const Severity severity = state == State::failed     ? Severity::error
                            : state == State::degraded ? Severity::warning
                                                       : Severity::info;
  std::string message = name_of(state);
  if (!reason.empty()) message += ": " + reason;
  if (!remedy.empty()) message += (message.ends_with(';') ? " " : "; ") + remedy;
  report(severity, "stream.state", message);
}

// What the other end or an older release says may name its way on within the reason.
std::string StateBoard::usual_remedy(const std::string& reason) const {
  if (names_stream_command(reason)) return "as the reason says";
  return "repair the cause, then " + command("resume");
}

void StateBoard::retrying(const Error& error, MonotonicTime at) {
  bool first = false;
  {
    os::Lock lock(mutex_);
    first = leg_.retries == 0 || leg_.last_error != error.what;
    ++leg_.retries;
    leg_.retry_at = at;
    leg_.last_error = error.what;
  }
  if (first) report(Severity::warning, "stream.retry", error.what);
}

void StateBoard::worked() {
  os::Lock lock(mutex_);
  leg_.failed_here = false;
  leg_.retries = 0;
  leg_.retry_at.reset();
  leg_.last_error.clear();
}

void StateBoard::report(Severity severity, const std::string& name, const std::string& message) {
  if (events_)
    events_({.severity = severity,
             .name = name,
             .stream = leg_name_.stream,
             .target = leg_name_.target,
             .message = message});
}

std::string shown_reason(const LegState& leg) {
  return shows_error(leg) ? split_remedy(leg.last_error).why : leg.reason;
}

std::string shown_remedy(const LegState& leg) {
  return shows_error(leg) ? split_remedy(leg.last_error).remedy : leg.remedy;
}

LegState StateBoard::get() const {
  os::Lock lock(mutex_);
  return leg_;
}

}  // namespace farshore::pipeline
