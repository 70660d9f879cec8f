#include "events/event_json.h"

#include <nlohmann/json.hpp>

namespace farshore::events {

const char* name_of(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
  }
  return "info";
}

Result<Severity> parse_severity(std::string_view text) {
  for (Severity severity : {Severity::info, Severity::warning, Severity::error})
    if (text == name_of(severity)) return severity;
  return permanent(ErrorKind::invalid, "'{}' is not a severity: info, warning or error", text);
}

std::string event_line(const StoredEvent& stored) {
  const nlohmann::ordered_json line{
      {"id", stored.id},
      {"at", format_time(stored.event.at)},
      {"severity", name_of(stored.event.severity)},
      {"name", stored.event.name},
      {"stream", stored.event.stream},
      {"target", stored.event.target},
      {"message", stored.event.message},
  };
  return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Result<StoredEvent> parse_event_line(std::string_view line) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  if (!json.is_object()) return permanent(ErrorKind::corrupt, "an event line is no JSON object");
  for (const char* field : {"at", "severity", "name", "stream", "target", "message"})
    if (!json.contains(field) || !json[field].is_string())
      return permanent(ErrorKind::corrupt, "an event line has no text '{}'", field);
  if (!json.contains("id") || !json["id"].is_number_unsigned() || json["id"] == 0)
    return permanent(ErrorKind::corrupt, "an event line has no positive number 'id'");
  FARSHORE_TRY_ASSIGN(const WallTime at, parse_time(json["at"].get<std::string>()));
  FARSHORE_TRY_ASSIGN(const Severity severity, parse_severity(json["severity"].get<std::string>()));
  return StoredEvent{.id = json["id"],
                     .event = {.severity = severity,
                               .name = json["name"],
                               .stream = json["stream"],
                               .target = json["target"],
                               .message = json["message"],
                               .at = at}};
}

}  // namespace farshore::events
