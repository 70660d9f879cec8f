#include <algorithm>
#include <ostream>
#include <variant>

#include "base/plural.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/connect.h"
#include "cli/figures.h"
#include "cli/json_read.h"
#include "cli/leg_notes.h"

namespace farshore::cli {
namespace {

std::string findings_text(const Json& answer, const Terminal& terminal) {
  std::string text;
  for (const char* level : {"error", "warning", "note"}) {
    for (const Json& finding : at(answer, "findings")) {
      if (text_at(finding, "level") != level) continue;
      const std::string stream = text_at(finding, "stream");
      text += painted(terminal, colour_of_state(level), level) + "  " +
              painted(terminal, Colour::bold, text_at(finding, "object")) +
              painted(terminal, Colour::dim,
                      fmt::format("  {}{}", text_at(finding, "code"),
                                  stream.empty() ? "" : ", stream " + stream)) +
              "\n";
      text += "    " +
              wrapped(text_at(finding, "message"), static_cast<std::size_t>(terminal.columns) - 8,
                      "    ") +
              "\n";
      if (const std::string remedy = text_at(finding, "remedy"); !remedy.empty())
        text += pasteable({terminal}, "do", remedy);
      text += "\n";
    }
  }
  const auto count = [&](const char* field) {
    return static_cast<std::uint64_t>(number_at(answer, field).value_or(0));
  };
  if (count("errors") + count("warnings") + count("notes") == 0)
    return painted(terminal, Colour::green, "nothing found") + "\n";
  return text + counted(count("errors"), "error") + ", " + counted(count("warnings"), "warning") +
         ", " + counted(count("notes"), "note") + "\n";
}

int give(const Invocation& call, const Json& answer) {
  if (call.json())
    print_json(call, answer);
  else
    call.terminal.out << findings_text(answer, call.terminal);
  const bool found =
      number_at(answer, "errors").value_or(0) + number_at(answer, "warnings").value_or(0) > 0;
  return found ? kRefused : kDone;
}

// Findings, or the exit code when there are none and why was said.
using Checked = std::variant<Json, int>;

Checked look_from_here(const Invocation& call, const std::string& region) {
  const std::string config = call.config();
  if (config.empty()) return call.refuse_without_config();
  const auto text = call.hooks.check({config, region, call.value("STREAM")});
  if (!text.ok())
    return call.refuse(text.error().kind == ErrorKind::invalid ? kUsage : kRefused,
                       text.error().what);
  auto answer = Json::parse(*text, nullptr, false);
  if (!answer.is_object()) return call.refuse(kRefused, "check gave no answer that can be read");
  return answer;
}

// Where the file may be looked at instead of asking an agent that does not answer. One that may not
// be trusted is said.
bool looks_from_here(const Invocation& call, const Reply& reply, const std::string& url) {
  if (reply.outcome != Reply::Outcome::unreachable || api_is_given(call)) return false;
  if (reply.error.kind == ErrorKind::denied) return false;
  if (!call.config().empty())
    call.terminal.err << "farshore: no agent answers at " << url << ": looking from here\n";
  return true;
}

Checked ask_agent(const Invocation& call, const std::string& region) {
  const auto client = connect(call, {.region = region});
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  ApiClient::Query query;
  if (const std::string stream = call.value("STREAM"); !stream.empty())
    query.emplace("stream", stream);
  const Reply reply = (*client)->get("/v1/check", query, Patience::for_others);
  if (reply.answered()) return reply.json;
  if (!call.hooks.check || !looks_from_here(call, reply, (*client)->url()))
    return refuse(call, reply);
  return look_from_here(call, region);
}

// Where this machine runs the agents of several regions, all of them are asked.
Result<std::vector<std::string>> regions_to_ask(const Invocation& call) {
  const std::string given = call.value("--region"), config = call.config();
  if (!given.empty() || call.flag("--offline") || api_is_given(call) || config.empty() ||
      !call.hooks.regions_here)
    return std::vector{given};
  FARSHORE_TRY_ASSIGN(auto regions, call.hooks.regions_here(config));
  return regions.size() > 1 ? std::move(regions) : std::vector{given};
}

// What both ends of a stream find is said once.
void add_findings(Json& all, const Json& more) {
  for (const Json& finding : at(more, "findings")) {
    Json& findings = all["findings"];
    if (std::find(findings.begin(), findings.end(), finding) != findings.end()) continue;
    findings.push_back(finding);
    Json& count = all[text_at(finding, "level") + "s"];
    count = count.is_number() ? count.get<int>() + 1 : 1;
  }
}

// Once no agent answered, `from_here` is set: it is not asked again.
Result<std::string> grants_of(const Invocation& call, ApiClient& client, const std::string& role,
                              bool& from_here, int& code) {
  const std::string site = call.value("SITE"), config = call.config();
  if (!from_here) {
    const Reply reply =
        client.get("/v1/grants/" + escaped(site), {{"role", role}}, Patience::for_others);
    if (reply.answered()) return text_at(reply.json, "sql");
    from_here = call.hooks.grants && !config.empty() && looks_from_here(call, reply, client.url());
    code = reply.exit_code();
    if (!from_here) return reply.error;
  }
  auto sql = call.hooks.grants({config, site, role});
  code = sql.ok() ? kDone : sql.error().kind == ErrorKind::invalid ? kUsage : kRefused;
  return sql;
}

}  // namespace

int run_check(const Invocation& call) {
  const auto regions = regions_to_ask(call);
  if (!regions.ok()) return call.refuse(kUsage, regions.error().what);
  Json all = {{"errors", 0}, {"warnings", 0}, {"notes", 0}, {"findings", Json::array()}};
  for (const std::string& region : *regions) {
    const Checked checked =
        call.flag("--offline") ? look_from_here(call, region) : ask_agent(call, region);
    if (const int* code = std::get_if<int>(&checked)) return *code;
    add_findings(all, std::get<Json>(checked));
  }
  return give(call, all);
}

int run_grants(const Invocation& call) {
  const auto client = connect(call, {.site = call.value("SITE")});
  if (!client.ok()) return call.refuse(kUsage, client.error().what);
  std::vector<std::string> roles{"source", "target"};
  if (const std::string role = call.value("--role"); !role.empty()) roles = {role};
  Json answers = Json::array();
  bool from_here = false;
  for (const std::string& role : roles) {
    int code = kDone;
    const auto sql = grants_of(call, **client, role, from_here, code);
    if (!sql.ok()) return call.refuse(code, sql.error().what);
    answers.push_back({{"site", call.value("SITE")}, {"role", role}, {"sql", *sql}});
  }
  if (call.json()) {
    print_json(call, answers);
    return kDone;
  }
  for (const Json& answer : answers) {
    const std::string sql = text_at(answer, "sql");
    call.terminal.out << fmt::format("-- {} as {}\n{}{}", text_at(answer, "site"),
                                     text_at(answer, "role"), sql, sql.ends_with('\n') ? "" : "\n");
  }
  return kDone;
}

}  // namespace farshore::cli
