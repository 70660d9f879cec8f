#include <charconv>
#include <ostream>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/connect.h"
#include "cli/figures.h"
#include "cli/json_read.h"
#include "cli/wait.h"
#include "os/real/real_world.h"

namespace farshore::cli {
namespace {

constexpr Duration kReconnectEvery = 1s;

std::string event_text(const Json& event, const Terminal& terminal) {
  const std::string severity = text_at(event, "severity"), stream = text_at(event, "stream");
  const std::string target = text_at(event, "target");
  std::string time = text_at(event, "at");
  if (time.size() >= 23) time = time.substr(0, 10) + " " + time.substr(11, 12);
  const std::string about =
      stream.empty() ? "agent" : stream + (target.empty() ? "" : arrow(terminal) + target);
  return painted(terminal, Colour::dim, time) + "  " +
         painted(terminal, severity == "info" ? Colour::none : colour_of_state(severity),
                 fmt::format("{:<7}", severity)) +
         "  " + painted(terminal, Colour::bold, about) + "  " +
         painted(terminal, Colour::dim, text_at(event, "name")) + "  " + text_at(event, "message") +
         "\n";
}

void print(const Invocation& call, const Json& event) {
  if (call.json())
    call.terminal.out << event.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n";
  else
    call.terminal.out << event_text(event, call.terminal);
}

// Until interrupted. When the connection ends (the agent restarted) it goes on after the last event
// seen.
int follow(const Invocation& call, ApiClient& client, ApiClient::Query query) {
  query.emplace("follow", "1");
  bool ever = false, told = false;
  while (true) {
    const Reply reply = client.follow("/v1/events", query, [&](const std::string& line) {
      const auto event = Json::parse(line, nullptr, false);
      if (!event.is_object()) return true;
      ever = true;
      told = false;
      print(call, event);
      call.terminal.out.flush();
      if (const auto id = number_at(event, "id")) {
        query.erase("since");
        query.emplace("since", fmt::format("{:.0f}", *id));
      }
      return bool(call.terminal.out);
    });
    if (!call.terminal.out) return kDone;
    if (reply.outcome == Reply::Outcome::refused || (!ever && !reply.answered()))
      return refuse(call, reply);
    ever = true;
    if (!told && !reply.answered())
      call.terminal.err << "farshore: the agent is gone; waiting for it\n";
    told = told || !reply.answered();
    wait_until(os::real_monotonic_now() + kReconnectEvery);
  }
}

constexpr std::uint64_t kLimitMax = 1000;  // of one answer (api/routes.cpp)

bool is_limit(const std::string& text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  return failure == std::errc() && end == text.data() + text.size() && number > 0 &&
         number <= kLimitMax;
}

}  // namespace

int run_events(const Invocation& call) {
  ApiClient::Query query;
  for (const auto& [field, name] :
       {std::pair("stream", "--stream"), {"severity", "--severity"}, {"limit", "--limit"}})
    if (const std::string value = call.value(name); !value.empty()) query.emplace(field, value);
  if (const std::string limit = call.value("--limit"); !limit.empty() && !is_limit(limit))
    return call.refuse(kUsage,
                       fmt::format("--limit '{}' is not a number from 1 to {}", limit, kLimitMax));
  if (std::string since = call.value("--since"); !since.empty()) {
    if (const auto age = parse_duration(since); age.ok())
      since = format_time(os::real_wall_now() - *age);
    query.emplace("since", since);
  }
  const auto client = connect(call);
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  if (call.flag("--follow")) return follow(call, **client, query);
  const Reply reply = (*client)->get("/v1/events", query);
  if (!reply.answered()) return refuse(call, reply);
  for (const Json& event : at(reply.json, "events")) print(call, event);
  return kDone;
}

}  // namespace farshore::cli
