#include "api/views_json.h"

#include <cmath>
#include <nlohmann/json.hpp>

namespace farshore::api {
namespace {

using Json = nlohmann::ordered_json;

Json seconds(const std::optional<Duration>& d) {
  if (!d) return nullptr;
  return std::round(static_cast<double>(d->count()) / 1e3) / 1e6;  // whole microseconds
}

Json time_text(const std::optional<WallTime>& t) {
  return t ? Json(format_time(*t)) : Json(nullptr);
}

Json text_or_null(const std::string& text) {
  return text.empty() ? Json(nullptr) : Json(text);
}

template <class Number>
Json number(const std::optional<Number>& n) {
  if constexpr (std::is_floating_point_v<Number>)
    if (n && !std::isfinite(*n)) return nullptr;
  return n ? Json(*n) : Json(nullptr);
}

Json json_of(const LagView& lag) {
  return {{"age_seconds", seconds(lag.age)}, {"transit_seconds", seconds(lag.transit)}};
}

Json json_of(const BacklogView& backlog) {
  return {{"bytes", number(backlog.bytes)},
          {"transactions", number(backlog.transactions)},
          {"changes", number(backlog.changes)}};
}

Json json_of(const RatesView& rates) {
  return {{"transactions", number(rates.transactions)},
          {"changes", number(rates.changes)},
          {"bytes", number(rates.bytes)}};
}

Json json_of(const TotalsView& totals) {
  return {{"transactions", number(totals.transactions)},
          {"changes", number(totals.changes)},
          {"bytes", number(totals.bytes)},
          {"from_place", text_or_null(totals.from_place)}};
}

void add_leg(Json& json, const LegStateView& leg) {
  json["state"] = name_of(leg.state);
  json["reason"] = text_or_null(leg.reason);
  json["remedy"] = text_or_null(leg.remedy);
  json["retry_in_seconds"] = seconds(leg.retry_in);
}

Json json_of(const CaptureView& capture) {
  Json json;
  add_leg(json, capture.leg);
  json["lag"] = json_of(capture.lag);
  json["position"] = text_or_null(capture.position);
  json["retained_bytes"] = number(capture.retained_bytes);
  json["behind_bytes"] = number(capture.behind_bytes);
  json["hours_to_retain_max"] = number(capture.hours_to_retain_max);
  json["hours_to_wal_max"] = number(capture.hours_to_wal_max);
  json["open_transactions"] = number(capture.open_transactions);
  json["heartbeat_at"] = time_text(capture.heartbeat_at);
  json["per_second"] = json_of(capture.rates);
  json["totals"] = json_of(capture.totals);
  return json;
}

Json json_of(const CopyView& copy) {
  Json tables = Json::array();
  for (const CopyTableView& table : copy.tables)
    tables.push_back({{"table", table.table},
                      {"rows", table.rows},
                      {"rows_total", number(table.rows_total)},
                      {"bytes", table.bytes},
                      {"bytes_total", number(table.bytes_total)},
                      {"eta_seconds", seconds(table.eta)}});
  return {{"tables_done", copy.tables_done},
          {"tables_total", copy.tables_total},
          {"eta_seconds", seconds(copy.eta)},
          {"tables", tables}};
}

Json json_of(const LegView& target) {
  Json json{{"site", target.site}, {"region", target.region}};
  add_leg(json, target.leg);
  json["lag"] = {{"capture", json_of(target.capture)},
                 {"durability", json_of(target.durability)},
                 {"apply", json_of(target.apply)}};
  json["backlog"] = {{"to_ship", json_of(target.to_ship)}, {"to_apply", json_of(target.to_apply)}};
  json["durable_place"] = text_or_null(target.durable_place);
  json["applied_place"] = text_or_null(target.applied_place);
  json["durable_commit_time"] = time_text(target.durable_commit_time);
  json["applied_commit_time"] = time_text(target.applied_commit_time);
  json["paused_until"] = time_text(target.paused_until);
  json["per_second"] = json_of(target.rates);
  json["totals"] = {{"shipped", json_of(target.shipped)}, {"applied", json_of(target.applied)}};
  json["copy"] = target.copy ? json_of(*target.copy) : Json(nullptr);
  return json;
}

Json json_of(const JournalView& journal) {
  return {{"health", journal.health},
          {"reason", text_or_null(journal.reason)},
          {"bytes", journal.bytes},
          {"bytes_max", journal.bytes_max},
          {"first_place", text_or_null(journal.first_place)},
          {"durable_place", text_or_null(journal.durable_place)},
          {"hours_to_bytes_max", number(journal.hours_to_bytes_max)},
          {"hours_to_disk_full", number(journal.hours_to_disk_full)}};
}

Json json_of(const BytesView& bytes, const std::optional<double>& wire_per_second) {
  return {{"wire_bytes", bytes.wire},
          {"plain_bytes", bytes.plain},
          {"wire_bytes_per_second", number(wire_per_second)}};
}

Json json_of(const LinkView& link) {
  return {{"peer", link.peer},
          {"connected", link.connected},
          {"state", link.state},
          {"version", text_or_null(link.version)},
          {"incarnation", text_or_null(link.incarnation)},
          {"rtt_seconds", seconds(link.rtt)},
          {"clock_offset_seconds", seconds(link.clock_offset)},
          {"clock_offset_bound_seconds", seconds(link.clock_offset_bound)},
          {"heard_seconds_ago", seconds(link.heard_ago)},
          {"connections", link.connections},
          {"sent", json_of(link.sent, link.sent_wire_per_second)},
          {"received", json_of(link.received, link.received_wire_per_second)},
          {"compression",
           {{"level", link.compression_level}, {"why", text_or_null(link.compression_why)}}}};
}

}  // namespace

Json to_json(const StreamView& stream) {
  Json targets = Json::array();
  for (const LegView& target : stream.targets) targets.push_back(json_of(target));
  return {{"name", stream.name},
          {"id", stream.id},
          {"engine", stream.engine},
          {"from", stream.from},
          {"from_region", text_or_null(stream.from_region)},
          {"state", name_of(stream.state)},
          {"capture", stream.capture ? json_of(*stream.capture) : Json(nullptr)},
          {"targets", targets},
          {"journal", stream.journal ? json_of(*stream.journal) : Json(nullptr)}};
}

Json to_json(const AgentView& agent) {
  Json links = Json::array(), streams = Json::array();
  for (const LinkView& link : agent.peers) links.push_back(json_of(link));
  for (const StreamView& stream : agent.streams) streams.push_back(to_json(stream));
  return {{"now", format_time(agent.now)},
          {"agent",
           {{"cluster", agent.cluster},
            {"region", agent.region},
            {"version", agent.version},
            {"incarnation", agent.incarnation},
            {"started_at", format_time(agent.started_at)},
            {"uptime_seconds", seconds(agent.uptime)},
            {"ready", agent.ready},
            {"not_ready_why", text_or_null(agent.not_ready_why)},
            {"certificate_expires_at", time_text(agent.certificate_expires_at)},
            {"events_lost", agent.events_lost}}},
          {"links", links},
          {"streams", streams}};
}

Json to_json(const std::vector<FindingView>& findings) {
  Json list = Json::array();
  std::size_t errors = 0, warnings = 0, notes = 0;
  for (const FindingView& finding : findings) {
    list.push_back({{"level", name_of(finding.level)},
                    {"code", finding.code},
                    {"stream", text_or_null(finding.stream)},
                    {"object", finding.object},
                    {"message", finding.message},
                    {"remedy", text_or_null(finding.remedy)}});
    std::size_t& count = finding.level == FindingView::Level::error     ? errors
                         : finding.level == FindingView::Level::warning ? warnings
                                                                        : notes;
    ++count;
  }
  return {{"errors", errors}, {"warnings", warnings}, {"notes", notes}, {"findings", list}};
}

Json to_json(const Error& error) {
  return {{"error", {{"kind", name_of(error.kind)}, {"what", error.what}}}};
}

std::string json_text(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace farshore::api
