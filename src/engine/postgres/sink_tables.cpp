#include "engine/postgres/sink_tables.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

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

Result<void> TableGates::load(Pipeline& pipeline, const Uuid& stream) {
  stream_ = stream;
  gates_.clear();
  by_name_.clear();
  joined_.clear();
  copied_ = 0;
  FARSHORE_TRY_ASSIGN(
      const Answer answer,
      pipeline.query(
          fmt::format("SELECT table_name, state, snapshot, snapshot_lsn FROM farshore.table_state"
                      " WHERE stream = '{}' AND state <> 'streaming'",
                      stream.text())));
  for (int row = 0; row < PQntuples(answer.get()); ++row) {
    const std::string_view state = PQgetvalue(answer.get(), row, 1);
    Gate gate{.table = PQgetvalue(answer.get(), row, 0),
              .held = state != "copied",
              .copied = state == "copied"};
    if (gate.copied) {
      FARSHORE_TRY_ASSIGN(gate.visible, RowVisibility::parse(PQgetvalue(answer.get(), row, 2)));
      FARSHORE_TRY_ASSIGN(gate.lsn, Lsn::parse(PQgetvalue(answer.get(), row, 3)));
      ++copied_;
    }
    by_name_[gate.table] = static_cast<int>(gates_.size());
    gates_.push_back(std::move(gate));
  }
  return {};
}

int TableGates::find(const std::string& table) const {
  const auto found = by_name_.find(table);
  return found == by_name_.end() ? kOpen : found->second;
}

GateAnswer TableGates::ask(int gate, std::uint64_t xid) const {
  if (gate == kOpen) return GateAnswer::apply;
  const Gate& table = gates_[static_cast<std::size_t>(gate)];
  if (table.held) return GateAnswer::hold;
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
