// Event: something that happened and that an operator may ask about later: a transition, a degrade,
// a skip, a limit. Modules report events to the EventSink they were given; the daemon keeps them
// (`farshore events`).
#pragma once

#include <functional>
#include <string>

#include "base/units.h"

namespace farshore {

enum class Severity : std::uint8_t { info, warning, error };

struct Event {
  Severity severity = Severity::info;
  std::string name;     // dotted, stable: "journal.tail_cut", "stream.state"
  std::string stream;   // empty: the agent
  std::string target;   // empty: the stream as a whole
  std::string message;  // object, value, remedy; no row data, no secrets
  WallTime at{};        // set by the keeper
};

using EventSink = std::function<void(Event)>;  // any thread; must not block

}  // namespace farshore
