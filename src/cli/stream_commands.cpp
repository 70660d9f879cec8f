#include <istream>
#include <ostream>

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

bool agreed(const Invocation& call, const std::string& question) {
  call.terminal.err << question << "\nGo on? [y/N] " << std::flush;
  std::string answer;
  std::getline(call.terminal.in, answer);
  return answer == "y" || answer == "Y" || answer == "yes";
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
  const std::string question = consequence(call, verb);
  if (!question.empty() && !call.flag("--yes")) {
    if (!call.terminal.in_is_terminal)
      return call.refuse(kRefused, question + " Say --yes to do it.");
    if (!agreed(call, question)) return call.refuse(kRefused, "nothing was done");
  }
  const auto client = connect(call);
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  const Reply reply = (*client)->post("/v1/streams/" + escaped(stream) + "/" + verb, body);
  if (!reply.answered()) return refuse(call, reply);
  if (call.json())
    print_json(call, reply.json);
  else
    call.terminal.out << fmt::format("{}{}: {} is under way; see `farshore status {}`\n", stream,
                                     body.contains("to") ? " to " + text_at(body, "to") : "", verb,
                                     stream);
  return kDone;
}

}  // namespace farshore::cli
