#include <algorithm>
#include <array>

#include "api/agent.h"
#include "api/views.h"
#include "base/nearest.h"

namespace farshore::api {

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

const char* name_of(FindingView::Level level) {
  switch (level) {
    case FindingView::Level::note:
      return "note";
    case FindingView::Level::warning:
      return "warning";
    case FindingView::Level::error:
      return "error";
  }
  return "unknown";
}

const char* name_of(Verb verb) {
  switch (verb) {
    case Verb::pause:
      return "pause";
    case Verb::resume:
      return "resume";
    case Verb::resnapshot:
      return "resnapshot";
    case Verb::skip:
      return "skip";
    case Verb::remove:
      return "remove";
  }
  return "unknown";
}

Result<Verb> parse_verb(std::string_view text) {
  constexpr std::array verbs{Verb::pause, Verb::resume, Verb::resnapshot, Verb::skip, Verb::remove};
  std::array<std::string_view, verbs.size()> names;
  std::transform(verbs.begin(), verbs.end(), names.begin(),
                 [](Verb verb) { return name_of(verb); });
  for (Verb verb : verbs)
    if (text == name_of(verb)) return verb;
  const std::string nearest = nearest_word(text, names);
  return permanent(ErrorKind::invalid,
                   "'{}' is no verb of a stream{}: pause, resume, resnapshot, skip, remove", text,
                   nearest.empty() ? "" : fmt::format(" (did you mean '{}'?)", nearest));
}

}  // namespace farshore::api
