#include "api/routes.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <span>

#include "api/metrics.h"
#include "api/views_json.h"
#include "base/nearest.h"

namespace farshore::api {
namespace {

using Json = nlohmann::ordered_json;

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid:
      return 400;
    case ErrorKind::denied:
      return 403;
    case ErrorKind::not_found:
      return 404;
    case ErrorKind::conflict:
    case ErrorKind::overtaken:
      return 409;
    case ErrorKind::rejected:
      return 422;
    case ErrorKind::unavailable:
    case ErrorKind::timeout:
    case ErrorKind::closed:
      return 503;
    case ErrorKind::io:
    case ErrorKind::disk_full:
    case ErrorKind::corrupt:
      return 500;
  }
  return 500;
}

Answer json_answer(const Json& json) {
  return {.body = json_text(json) + "\n"};
}

Answer text_answer(int status, std::string text) {
  return {.status = status, .content_type = "text/plain; charset=utf-8", .body = std::move(text)};
}

template <class T, class Write>
Answer answer_of(const Result<T>& result, Write write) {
  return result.ok() ? write(*result) : refusal(result.error());
}

Result<void> only(const std::map<std::string, std::string>& given,
                  std::span<const std::string_view> known, std::string_view what) {
  for (const auto& [name, value] : given) {
    if (std::find(known.begin(), known.end(), name) != known.end()) continue;
    const std::string nearest = nearest_word(name, known);
    return permanent(ErrorKind::invalid, "{} '{}' is not known here{}", what, name,
                     nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
  }
  return {};
}

std::string value_of(const std::map<std::string, std::string>& values, const std::string& name) {
  const auto found = values.find(name);
  return found == values.end() ? std::string() : found->second;
}

std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (failure != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// --- GET

Answer get_status(Agent& agent, const Request&, const std::string&) {
  return json_answer(to_json(agent.view()));
}

Result<StreamView> stream_of(Agent& agent, const std::string& name) {
  std::string names;
  for (const StreamView& stream : agent.view().streams) {
    if (stream.name == name) return stream;
    names += (names.empty() ? "" : ", ") + stream.name;
  }
  return permanent(ErrorKind::not_found, "no stream '{}' here: there is {}", name,
                   names.empty() ? "none" : names);
}

Answer get_stream(Agent& agent, const Request&, const std::string& name) {
  return answer_of(stream_of(agent, name),
                   [](const StreamView& stream) { return json_answer(to_json(stream)); });
}

Answer get_check(Agent& agent, const Request& request, const std::string&) {
  constexpr std::array<std::string_view, 1> known{"stream"};
  if (const auto fine = only(request.query, known, "parameter"); !fine.ok())
    return refusal(fine.error());
  return answer_of(
      agent.check(value_of(request.query, "stream")),
      [](const std::vector<FindingView>& findings) { return json_answer(to_json(findings)); });
}

Answer get_grants(Agent& agent, const Request& request, const std::string& site) {
  constexpr std::array<std::string_view, 1> known{"role"};
  if (const auto fine = only(request.query, known, "parameter"); !fine.ok())
    return refusal(fine.error());
  const std::string role = value_of(request.query, "role");
  if (role != "source" && role != "target")
    return refusal(
        permanent(ErrorKind::invalid, "role '{}' is not known: role=source or role=target", role));
  return answer_of(agent.grants(site, role == "source" ? GrantRole::source : GrantRole::target),
                   [&](const std::string& sql) {
                     return json_answer({{"site", site}, {"role", role}, {"sql", sql}});
                   });
}

Result<events::EventQuery> parse_event_query(const std::map<std::string, std::string>& query) {
  constexpr std::array<std::string_view, 5> known{"since", "stream", "severity", "limit", "follow"};
  FARSHORE_TRY(only(query, known, "parameter"));
  events::EventQuery parsed{.stream = value_of(query, "stream")};
  if (const std::string since = value_of(query, "since"); !since.empty()) {
    parsed.after = parse_number(since);
    if (!parsed.after) {
      FARSHORE_TRY_ASSIGN(const WallTime time, parse_time(since));
      parsed.since = time;
    }
  }
  if (const std::string severity = value_of(query, "severity"); !severity.empty()) {
    FARSHORE_TRY_ASSIGN(parsed.at_least, events::parse_severity(severity));
  }
  if (const std::string limit = value_of(query, "limit"); !limit.empty()) {
    const auto number = parse_number(limit);
    if (!number || *number == 0 || *number > events::kQueryLimitMax)
      return permanent(ErrorKind::invalid, "limit '{}' is not a number from 1 to {}", limit,
                       events::kQueryLimitMax);
    parsed.limit = *number;
  }
  return parsed;
}

Result<events::EventQuery> query_of(Agent& agent, const std::map<std::string, std::string>& query) {
  FARSHORE_TRY_ASSIGN(events::EventQuery parsed, parse_event_query(query));
  if (parsed.stream.empty()) return parsed;
  auto stream = stream_of(agent, parsed.stream);
  if (stream.ok()) return parsed;
  // One that was removed has left events.
  const auto left = agent.events({.stream = parsed.stream, .limit = 1}, Deadline::passed());
  if (!left.ok() || left->empty()) return std::move(stream).error();
  return parsed;
}

Answer get_events(Agent& agent, const Request& request, const std::string&) {
  const auto query = query_of(agent, request.query);
  if (!query.ok()) return refusal(query.error());
  return answer_of(agent.events(*query, Deadline::passed()),
                   [](const std::vector<events::StoredEvent>& events) {
                     Json list = Json::array();
                     for (const events::StoredEvent& stored : events)
                       list.push_back(Json::parse(event_line(stored)));
                     return json_answer({{"events", list}});
                   });
}

Answer get_health(Agent&, const Request&, const std::string&) {
  return text_answer(200, "ok\n");
}

Answer get_ready(Agent& agent, const Request&, const std::string&) {
  const AgentView view = agent.view();
  return view.ready ? text_answer(200, "ready\n")
                    : text_answer(503, "not ready: " + view.not_ready_why + "\n");
}

Answer get_metrics(Agent& agent, const Request&, const std::string&) {
  return {.content_type = kMetricsContentType, .body = metrics_of(agent.view())};
}

// --- POST /v1/streams/{name}/{verb}

Result<std::map<std::string, std::string>> parse_body(const Request& request) {
  std::map<std::string, std::string> fields;
  // A page in a browser can send a form to a loopback address, but not this type without asking us
  // first.
  if (!request.content_type.starts_with("application/json"))
    return permanent(ErrorKind::invalid, "Content-Type '{}': send application/json",
                     request.content_type);
  const auto json = Json::parse(request.body.empty() ? "{}" : request.body, nullptr, false);
  if (!json.is_object()) return permanent(ErrorKind::invalid, "the body is no JSON object");
  for (const auto& [name, value] : json.items()) {
    if (value.is_null()) continue;
    if (!value.is_string()) return permanent(ErrorKind::invalid, "field '{}' is no text", name);
    // Left out it would mean another thing: all targets, all tables.
    if (value.get_ref<const std::string&>().empty())
      return permanent(ErrorKind::invalid, "field '{}' is empty: give a value, or leave it out",
                       name);
    fields[name] = value;
  }
  return fields;
}

Result<StreamAction> parse_action(const Request& request, const std::string& stream,
                                  const std::string& verb) {
  FARSHORE_TRY_ASSIGN(const Verb parsed_verb, parse_verb(verb));
  FARSHORE_TRY_ASSIGN(const auto fields, parse_body(request));
  std::vector<std::string_view> known{"to"};
  if (parsed_verb == Verb::pause) known.push_back("at");
  if (parsed_verb == Verb::resnapshot) known.push_back("table");
  if (parsed_verb == Verb::skip) known.push_back("place");
  FARSHORE_TRY(only(fields, known, fmt::format("verb '{}': field", verb)));
  StreamAction action{.verb = parsed_verb,
                      .stream = stream,
                      .to = value_of(fields, "to"),
                      .table = value_of(fields, "table"),
                      .place = value_of(fields, "place"),
                      .by = request.by};
  if (fields.contains("at")) {
    FARSHORE_TRY_ASSIGN(const WallTime at, parse_time(fields.at("at")));
    action.at = at;
  }
  const auto colon = action.place.find(':');
  const bool is_place = colon != std::string::npos && parse_number(action.place.substr(0, colon)) &&
                        parse_number(action.place.substr(colon + 1));
  if (parsed_verb == Verb::skip && !is_place)
    return permanent(ErrorKind::invalid,
                     "place '{}' is not understood: give epoch:sequence as the failed leg shows it",
                     action.place);
  return action;
}

Answer post_verb(Agent& agent, const Request& request, const std::string& rest) {
  const auto slash = rest.rfind('/');
  if (slash == std::string::npos)
    return refusal(permanent(ErrorKind::invalid, "no verb after the stream's name"));
  const std::string stream = rest.substr(0, slash), verb = rest.substr(slash + 1);
  const auto action = parse_action(request, stream, verb);
  if (!action.ok()) return refusal(action.error());
  return answer_of(agent.act(*action), [&](Outcome outcome) {
    return json_answer(
        {{"done", verb}, {"stream", stream}, {"already", outcome == Outcome::already}});
  });
}

struct Route {
  const char* method;
  const char* path;         // as docs/openapi.yaml writes it
  std::string_view prefix;  // what the path begins with; the rest is the parameter
  bool exact;
  Answer (*serve)(Agent&, const Request&, const std::string& rest);
};

constexpr Route kRoutes[] = {
    {"GET", "/v1/status", "/v1/status", true, get_status},
    {"GET", "/v1/streams/{name}", "/v1/streams/", false, get_stream},
    {"POST", "/v1/streams/{name}/{verb}", "/v1/streams/", false, post_verb},
    {"GET", "/v1/check", "/v1/check", true, get_check},
    {"GET", "/v1/grants/{site}", "/v1/grants/", false, get_grants},
    {"GET", "/v1/events", "/v1/events", true, get_events},
    {"GET", "/healthz", "/healthz", true, get_health},
    {"GET", "/readyz", "/readyz", true, get_ready},
    {"GET", "/metrics", "/metrics", true, get_metrics},
};

}  // namespace

Answer refusal(const Error& error) {
  Answer refused = json_answer(to_json(error));
  refused.status = status_of(error.kind);
  return refused;
}

Answer answer(Agent& agent, const Request& request) {
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const std::string_view path = request.path;
  bool path_known = false;
  for (const Route& route : kRoutes) {
    const bool fits = route.exact
                          ? path == route.prefix
                          : path.starts_with(route.prefix) && path.size() > route.prefix.size();
    if (fits && method == route.method)
      return route.serve(agent, request, std::string(path.substr(route.prefix.size())));
    path_known = path_known || fits;
  }
  Answer refused =
      refusal(permanent(ErrorKind::not_found, "{} {} is not known; see docs/openapi.yaml",
                        request.method, request.path));
  if (path_known) refused.status = 405;
  return refused;
}

Result<events::EventQuery> event_query_of(Agent& agent,
                                          const std::map<std::string, std::string>& query) {
  return query_of(agent, query);
}

bool wants_follow(const Request& request) {
  if (request.path != "/v1/events" || request.method != "GET") return false;
  const auto follow = request.query.find("follow");
  return follow != request.query.end() && follow->second != "0" && follow->second != "false";
}

std::vector<std::string> route_names() {
  std::vector<std::string> names;
  for (const Route& route : kRoutes)
    names.push_back(fmt::format("{} {}", route.method, route.path));
  return names;
}

}  // namespace farshore::api
