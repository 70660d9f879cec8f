#include <istream>
#include <ostream>
#include <set>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/connect.h"
#include "cli/json_read.h"

namespace farshore::cli {
namespace {

// What a verb would do to data, for the question; empty: it asks nothing.
std::string consequence(const Invocation& call, const std::string& verb) {
  const std::string stream = call.value("STREAM"), to = call.value("--to"),
                    table = call.value("--table");
  const std::string where = to.empty() ? "all targets" : "target " + to;
  if (verb == "remove")
    return fmt::format(
        "This ends stream {} for {} and deletes its slot, journal and progress; tables and rows "
        "stay.",
        stream, where);
  if (verb == "skip")
    return fmt::format(
        "This passes over transaction {} of stream {} at {}: from then on the target differs from "
        "the "
        "source.",
        call.value("PLACE"), stream, where);
  if (verb == "resnapshot")
    return fmt::format("This copies {} of stream {} again: their rows at {} are replaced.",
                       table.empty() ? "all tables" : table, stream, where);
  return "";
}

// epoch:sequence
bool is_place(const std::string& text) {
  const auto digits = [](std::string_view part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string_view::npos;
  };
  const auto colon = text.find(':');
  return colon != std::string::npos && digits(std::string_view(text).substr(0, colon)) &&
         digits(std::string_view(text).substr(colon + 1));
}

bool agreed(const Invocation& call, const std::string& question) {
  call.terminal.err << question << "\nGo on? [y/N] " << std::flush;
  std::string answer;
  std::getline(call.terminal.in, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
}

// What a verb finds nothing to do for, as the agent shows the stream before it; empty: something.
std::string nothing_to_do(ApiClient& client, const Invocation& call, const std::string& verb) {
  if ((verb != "pause" && verb != "resume") || !call.value("--at").empty()) return "";
  const Reply before = client.get("/v1/status");
  const std::string to = call.value("--to");
  std::set<std::string> states;
  bool retries = false, is_to_pause = false;
  const auto look = [&](const Json& leg) {
    states.insert(text_at(leg, "state"));
    retries |= seconds_at(leg, "retry_in_seconds").has_value();
    is_to_pause |= !text_at(leg, "paused_until").empty();
  };
  for (const Json& stream : at(before.json, "streams")) {
    if (text_at(stream, "name") != call.value("STREAM")) continue;
    if (to.empty() && verb == "resume") look(at(stream, "capture"));
    for (const Json& target : at(stream, "targets"))
      if (to.empty() || text_at(target, "site") == to) look(target);
  }
  const bool pauses = states.contains("paused");
  if (verb == "pause") return pauses && states.size() == 1 ? "was paused already" : "";
  const bool streams = states == std::set<std::string>{"streaming"};
  return streams && !retries && !is_to_pause ? "was not paused, and nothing had failed" : "";
}

std::string outcome(const Invocation& call, const std::string& verb, const std::string& nothing,
                    bool already) {
  if (!nothing.empty()) return nothing;
  if (verb == "remove")
    return fmt::format(
        "{}; take it out of farshore.yaml, else it begins anew when the agent starts",
        already ? "was removed here already" : "removed here");
  if (const std::string at = call.value("--at"); !at.empty())
    return fmt::format("commits up to {} are applied, then it pauses; see `farshore status {}{}`",
                       format_time(*parse_time(at)), call.value("STREAM"), same_agent(call));
  return fmt::format("{} is under way; see `farshore status {}{}`", verb, call.value("STREAM"),
                     same_agent(call));
}

}  // namespace

int run_stream_verb(const Invocation& call) {
  const std::string verb = call.command.path.back(), stream = call.value("STREAM");
  Json body = Json::object();
  for (const auto& [field, name] :
       {std::pair("to", "--to"), {"at", "--at"}, {"table", "--table"}, {"place", "PLACE"}})
    if (const std::string value = call.value(name); !value.empty()) body[field] = value;
  if (body.contains("at")) {
    const auto time = parse_time(text_at(body, "at"));
    if (!time.ok()) return call.refuse(kUsage, "--at " + time.error().what);
    body["at"] = format_time(*time);
  }
  if (const std::string place = call.value("PLACE"); verb == "skip" && !is_place(place))
    return call.refuse(kUsage, fmt::format("PLACE '{}' is not understood: give epoch:sequence as "
                                           "the failed leg shows it",
                                           place));
  const std::string question = consequence(call, verb);
  if (!question.empty() && !call.flag("--yes")) {
    if (!call.terminal.in_is_terminal)
      return call.refuse(kRefused, question + " Say --yes to do it.");
    if (!agreed(call, question)) return call.refuse(kRefused, "nothing was done");
  }
  const auto client = connect(call);
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  const std::string nothing = nothing_to_do(**client, call, verb);
  const Reply reply = (*client)->post("/v1/streams/" + escaped(stream) + "/" + verb, body);
  if (!reply.answered()) return refuse(call, reply);
  if (call.json())
    print_json(call, reply.json);
  else
    call.terminal.out << fmt::format("{}{}: {}\n", stream,
                                     body.contains("to") ? " to " + text_at(body, "to") : "",
                                     outcome(call, verb, nothing, true_at(reply.json, "already")));
  return kDone;
}

}  // namespace farshore::cli
