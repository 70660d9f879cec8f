// Log: the agent's structured log on stderr, one line an event, as text or JSON. Never row data or
// secrets: an event's message is made of names, places and counts.
#pragma once

#include <string>

#include "base/result.h"
#include "change/event.h"

namespace farshore::daemon {

enum class LogFormat : std::uint8_t { text, json };

struct LogOptions {
  LogFormat format = LogFormat::text;
  Severity at_least = Severity::info;
};

// invalid: names the word and those that are known; empty is the default.
Result<LogOptions> parse_log_options(const std::string& format, const std::string& level);
// Sets up the process's one logger; call once before any log_event.
void open_log(const LogOptions& options);
void log_event(const Event& event);  // any thread; `at` must be set

// Without line end. A line break within the message becomes a space in text, `\n` in JSON; what is
// no UTF-8 becomes U+FFFD in JSON.
std::string log_line(const Event& event, LogFormat format);

}  // namespace farshore::daemon
