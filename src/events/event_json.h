// The line of one event in the events file, and its object in the API: one JSON object without line
// breaks. Format: docs/formats/events.md. Twins: event_line and parse_event_line.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"
#include "change/event.h"

namespace farshore::events {

// An event as it is kept: ids are dense from 1 and go on over restarts of the agent.
struct StoredEvent {
  std::uint64_t id = 0;
  Event event;
};

const char* name_of(Severity severity);
Result<Severity> parse_severity(std::string_view text);  // invalid: names the three words

std::string event_line(
    const StoredEvent& stored);  // no line end; bytes that are not UTF-8 become U+FFFD
Result<StoredEvent> parse_event_line(
    std::string_view line);  // corrupt: names the field; unknown fields are passed over

}  // namespace farshore::events
