#include "engine/postgres/sink_tables.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "engine/postgres/membership.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {

Result<CopyMark> copy_mark_from(std::string_view json) {
  const auto value = nlohmann::json::parse(json, nullptr, false);
  const auto text = [&](const char* key) -> std::string {
    if (!value.is_object()) return {};
    const auto found = value.find(key);
    return found != value.end() && found->is_string() ? found->get<std::string>() : std::string();
  };
  CopyMark mark{.snapshot = text("snapshot")};
  FARSHORE_TRY(RowVisibility::parse(mark.snapshot));
  FARSHORE_TRY_ASSIGN(mark.lsn, Lsn::parse(text("lsn")));
  return mark;
}

Result<void> TableGates::load(Pipeline& pipeline, const Uuid& stream, const SinkOptions& options,
                              TablesListed listed) {
  stream_ = stream;
  listed_ = std::move(listed);
  listed_names_.clear();
  for (const auto& [name, membership] : listed_.tables)
    if (const std::uint32_t oid = StoredMembership::from(membership).oid(); oid != 0)
      listed_names_[oid] = name;
  gates_.clear();
  by_name_.clear();
  joined_.clear();
  copied_ = 0;
  unknown_ = options.aside ? kDrop : options.unknown_waits ? kHold : kOpen;
  FARSHORE_TRY_ASSIGN(
      const Answer answer,
      pipeline.query(fmt::format("SELECT table_name, state, aside_from, snapshot, snapshot_lsn,"
                                 " coalesce(membership, '')"
                                 " FROM farshore.table_state WHERE stream = '{}'",
                                 stream.text())));
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    FARSHORE_TRY_ASSIGN(const int gate, gate_of(answer, row, options.aside));
    by_name_[PQgetvalue(answer.get(), row, 0)] = {
        gate, StoredMembership::from(PQgetvalue(answer.get(), row, 5)).oid()};
  }
  return {};
}

Result<int> TableGates::gate_of(const Answer& answer, int row, bool aside) {
  const std::string_view state = PQgetvalue(answer.get(), row, 1);
  const bool is_aside = PQgetisnull(answer.get(), row, 2) == 0;
  if (is_aside != aside) return kDrop;
  if (state != "copied" && state != "streaming") return aside ? kDrop : kHold;
  Gate gate{.table = PQgetvalue(answer.get(), row, 0), .copied = state == "copied"};
  if (!gate.copied && !aside) return kOpen;
  if (aside) gate.from = Sequence(std::strtoull(PQgetvalue(answer.get(), row, 2), nullptr, 10));
  if (gate.copied) {
    FARSHORE_TRY_ASSIGN(gate.visible, RowVisibility::parse(PQgetvalue(answer.get(), row, 3)));
    FARSHORE_TRY_ASSIGN(gate.lsn, Lsn::parse(PQgetvalue(answer.get(), row, 4)));
    ++copied_;
  }
  gates_.push_back(std::move(gate));
  return static_cast<int>(gates_.size()) - 1;
}

GateKey TableGates::find(const std::string& table, std::uint32_t oid) const {
  const auto found = by_name_.find(table);
  const Named named = found != by_name_.end() ? found->second : Named{.gate = unknown_};
  const bool fits = found != by_name_.end() && (named.oid == 0 || named.oid == oid);
  const bool gone = !listed_.tables.contains(table);
  if (gone && !fits)
    if (const auto now = by_name_.find(name_now(oid)); now != by_name_.end())
      return {.known = true, .gate = now->second.gate, .other_name = true};
  return {.known = true,
          .gate = named.gate,
          .other_table = named.oid != 0 && named.oid != oid,
          .gone = gone};
}

std::string TableGates::name_now(std::uint32_t oid) const {
  const auto found = listed_names_.find(oid);
  return found != listed_names_.end() ? found->second : std::string();
}

GateAnswer TableGates::ask(GateKey key, std::uint64_t xid, Sequence at) const {
  GateAnswer answer = ask_gate(key.gate, xid, at);
  if (key.other_name) {
    if (at > listed_.through) return GateAnswer::hold;
    return answer == GateAnswer::apply ? GateAnswer::other_name : answer;
  }
  // What was done to another table of that name before the copy is in the snapshot, too: dropped.
  if (key.other_table && answer == GateAnswer::apply) answer = GateAnswer::other_table;
  const bool waits = answer == GateAnswer::hold || answer == GateAnswer::other_table;
  return waits && key.gone && at <= listed_.through ? GateAnswer::drop : answer;
}

GateAnswer TableGates::ask_gate(int gate, std::uint64_t xid, Sequence at) const {
  if (gate == kOpen) return GateAnswer::apply;
  if (gate == kDrop) return GateAnswer::drop;
  if (gate == kHold) return GateAnswer::hold;
  const Gate& table = gates_[static_cast<std::size_t>(gate)];
  if (at <= table.from) return GateAnswer::drop;
  return table.copied && table.visible.shows(xid) ? GateAnswer::drop : GateAnswer::apply;
}

void TableGates::reach(Lsn commit) {
  if (copied_ == 0) return;
  for (Gate& gate : gates_) {
    if (!gate.copied || commit <= gate.lsn) continue;
    gate.copied = false;
    --copied_;
    joined_.push_back(gate.table);
  }
}

Result<void> TableGates::write_joined(Pipeline& pipeline) {
  for (const std::string& table : joined_)
    FARSHORE_TRY(
        pipeline.run(fmt::format("UPDATE farshore.table_state SET state = 'streaming', at = now()"
                                 " WHERE stream = '{}' AND table_name = {} AND state = 'copied'",
                                 stream_.text(), quote_literal(table))));
  return {};
}

}  // namespace farshore::postgres
