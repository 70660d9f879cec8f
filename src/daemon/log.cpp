#include "daemon/log.h"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace farshore::daemon {
namespace {

LogFormat format_of_process = LogFormat::text;

const char* level_text(Severity severity) {
  switch (severity) {
    case Severity::info:
      return "INFO";
    case Severity::warning:
      return "WARN";
    case Severity::error:
      return "ERROR";
  }
  return "INFO";
}

spdlog::level::level_enum level_of(Severity severity) {
  switch (severity) {
    case Severity::info:
      return spdlog::level::info;
    case Severity::warning:
      return spdlog::level::warn;
    case Severity::error:
      return spdlog::level::err;
  }
  return spdlog::level::info;
}

}  // namespace

Result<LogOptions> parse_log_options(const std::string& format, const std::string& level) {
  LogOptions options;
  if (format == "json")
    options.format = LogFormat::json;
  else if (!format.empty() && format != "text")
    return permanent(ErrorKind::invalid, "log format '{}' is not known: text or json", format);
  if (level == "warning")
    options.at_least = Severity::warning;
  else if (level == "error")
    options.at_least = Severity::error;
  else if (!level.empty() && level != "info")
    return permanent(ErrorKind::invalid, "log level '{}' is not known: info, warning or error",
                     level);
  return options;
}

void open_log(const LogOptions& options) {
  format_of_process = options.format;
  auto logger = spdlog::stderr_logger_mt("farshore");
  logger->set_pattern("%v");
  logger->set_level(level_of(options.at_least));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void log_event(const Event& event) {
  spdlog::log(level_of(event.severity), "{}", log_line(event, format_of_process));
}

std::string log_line(const Event& event, LogFormat format) {
  if (format == LogFormat::json) {
    nlohmann::ordered_json line;
    line["at"] = format_time(event.at);
    line["level"] = level_text(event.severity);
    line["event"] = event.name;
    if (!event.stream.empty()) line["stream"] = event.stream;
    if (!event.target.empty()) line["target"] = event.target;
    line["message"] = event.message;
    return line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  std::string where;
  if (!event.stream.empty())
    where = event.stream + (event.target.empty() ? "" : "/" + event.target) + ": ";
  std::string line = fmt::format("{} {:<5} {} {}{}", format_time(event.at),
                                 level_text(event.severity), event.name, where, event.message);
  std::replace(line.begin(), line.end(), '\n', ' ');
  return line;
}

}  // namespace farshore::daemon
