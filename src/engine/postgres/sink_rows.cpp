#include "engine/postgres/sink_rows.h"

#include <algorithm>

#include "change/remedy.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

constexpr std::size_t kTextKept = 1_MiB;                  // capacity kept after a wide row
constexpr std::size_t kTraceValueMax = kSelectedTextMax;  // longer ones are not compared

// Types whose binary form is their text: no terminator, so no copy.
bool travels_as_is(std::uint32_t type) {
  constexpr std::uint32_t kJson = 114, kXml = 142, kText = 25, kBpchar = 1042, kVarchar = 1043;
  return type == kText || type == kVarchar || type == kBpchar || type == kJson || type == kXml;
}

bool same(const Value& a, const Value& b) {
  if (b.kind == ValueKind::unchanged) return true;
  return a.kind == b.kind && a.bytes == b.bytes;
}

Result<void> check_kinds(const RowChange& change, std::span<const Value> row, bool whole) {
  const SourceRelation& source = change.relation->source;
  if (row.size() != source.columns.size())
    return permanent(ErrorKind::corrupt,
                     "a row of table {} has {} columns, its Relation message {}",
                     change.relation->target.quoted, row.size(), source.columns.size());
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (row[i].kind == ValueKind::binary)
      return permanent(ErrorKind::corrupt,
                       "column {} of table {} came in binary form, which was not asked for",
                       quote_identifier(source.columns[i].name), change.relation->target.quoted);
    if (whole && row[i].kind == ValueKind::unchanged)
      return permanent(ErrorKind::corrupt, "column {} of a row of table {} came without its value",
                       quote_identifier(source.columns[i].name), change.relation->target.quoted);
  }
  return {};
}

void plan_insert(const RowChange& change, RowPlan& plan) {
  plan.shape.form = StatementForm::insert_row;
  for (std::size_t i = 0; i < change.row.size(); ++i)
    if (change.relation->written[i]) plan.shape.written.push_back(i);
}

void plan_key(const RowChange& change, std::span<const Value> old, RowPlan& plan) {
  const MappedRelation& relation = *change.relation;
  if (!relation.whole_row) {
    plan.shape.key = relation.key;
    return;
  }
  for (std::size_t i = 0; i < old.size(); ++i) {
    if (!relation.written[i]) continue;
    plan.shape.key.push_back(i);
    plan.shape.nulls.push_back(old[i].kind == ValueKind::null);
  }
}

bool key_differs(const RowChange& change) {
  if (change.old_kind == OldTuple::key) return true;
  if (change.old_kind == OldTuple::none) return false;
  const auto& key = change.relation->key;
  return std::any_of(key.begin(), key.end(),
                     [&](std::size_t i) { return !same(change.old_row[i], change.row[i]); });
}

// Only its whole row may be written anew, and rows that refer to it would go with it.
Error cascades(const TargetRelation& table) {
  return permanent(
      ErrorKind::rejected,
      "a changed row of table {} can only be deleted and inserted anew, since a column outside its "
      "key is GENERATED ALWAYS AS IDENTITY; ON DELETE of foreign keys that refer to it would "
      "change other rows{}",
      table.quoted,
      to_do(fmt::format("GRANT SET ON PARAMETER session_replication_role TO {}; -- PostgreSQL 15 "
                        "and later",
                        table.role)));
}

Result<void> plan_update(const RowChange& change, RowPlan& plan) {
  const MappedRelation& relation = *change.relation;
  plan.key_from_old = change.old_kind != OldTuple::none;
  plan.key_changed = key_differs(change);
  bool writes_identity = false;
  for (std::size_t i = 0; i < change.row.size(); ++i) {
    if (!relation.written[i] || change.row[i].kind == ValueKind::unchanged) continue;
    if (!plan.key_changed && relation.in_key[i]) continue;
    plan.shape.written.push_back(i);
    writes_identity |= relation.target.columns[relation.target_of[i]].identity_always;
  }
  if (relation.whole_row) {
    plan.shape.form = StatementForm::update_whole_row;
    plan.delete_and_insert = writes_identity;
  } else {
    plan.shape.form = writes_identity ? StatementForm::replace_row : StatementForm::update_row;
  }
  if (writes_identity && relation.target.delete_cascades) return cascades(relation.target);
  plan_key(change, change.old_row, plan);
  return {};
}

}  // namespace

Result<void> plan_row(const RowChange& change, RowPlan& plan) {
  const MappedRelation& relation = *change.relation;
  plan.shape.written.clear();
  plan.shape.key.clear();
  plan.shape.nulls.clear();
  plan.key_changed = plan.key_from_old = plan.delete_and_insert = false;
  if (change.op == RowOp::insert) {
    FARSHORE_TRY(check_kinds(change, change.row, true));
    plan_insert(change, plan);
    return {};
  }
  if (relation.key.empty() && !relation.whole_row)
    return permanent(ErrorKind::rejected,
                     "table {} has no replica identity at the source: its row cannot be found",
                     relation.target.quoted);
  if (change.op == RowOp::update) FARSHORE_TRY(check_kinds(change, change.row, false));
  if (change.op == RowOp::remove || change.old_kind != OldTuple::none)
    FARSHORE_TRY(check_kinds(change, change.old_row, true));
  if (relation.whole_row && change.old_kind != OldTuple::full)
    return permanent(ErrorKind::corrupt,
                     "a change of table {} with REPLICA IDENTITY FULL came without its old row",
                     relation.target.quoted);
  if (change.op == RowOp::update) return plan_update(change, plan);
  plan.key_from_old = true;
  plan.shape.form =
      relation.whole_row ? StatementForm::delete_whole_row : StatementForm::delete_row;
  plan_key(change, change.old_row, plan);
  return {};
}

std::size_t room_for(const TargetColumn& column, const Value& value) {
  return value.kind == ValueKind::null || travels_as_is(column.type) ? 0 : value.bytes.size() + 1;
}

void add_parameter(const TargetColumn& column, const Value& value, std::string& text,
                   ParameterList& parameters) {
  if (value.kind == ValueKind::null) {
    parameters.values.push_back(nullptr);
    parameters.lengths.push_back(0);
    parameters.formats.push_back(0);
    return;
  }
  const bool as_is = travels_as_is(column.type);
  if (as_is) {
    parameters.values.push_back(value.bytes.empty() ? "" : value.bytes.data());
  } else {
    const std::size_t at = text.size();
    text.append(value.bytes);
    text += '\0';
    parameters.values.push_back(text.data() + at);
  }
  parameters.lengths.push_back(static_cast<int>(value.bytes.size()));
  parameters.formats.push_back(as_is ? 1 : 0);
}

Result<void> RowWriter::write(const RowChange& change, bool traced) {
  FARSHORE_TRY(plan_row(change, plan_));
  if (plan_.delete_and_insert) return delete_and_insert(change, traced);
  auto trace = std::make_shared<RowTrace>(RowTrace{.op = change.op, .relation = change.relation});
  if (traced) {
    const std::size_t columns = change.relation->target.columns.size();
    const auto keep = [&](std::span<const Value> row, std::size_t max) {
      std::vector<std::optional<std::string>> kept(columns);
      for (std::size_t i = 0; i < row.size(); ++i)
        if (row[i].kind == ValueKind::text && row[i].bytes.size() <= max)
          kept[change.relation->target_of[i]] = row[i].bytes;
      return kept;
    };
    trace->values = keep(change.row, kTraceValueMax);
    trace->key = keep(plan_.key_from_old ? change.old_row : change.row, kTraceValueMax);
  }
  return execute(change, plan_, std::move(trace));
}

Result<void> RowWriter::execute(const RowChange& change, const RowPlan& plan,
                                std::shared_ptr<const RowTrace> trace) {
  FARSHORE_TRY_ASSIGN(const std::string* name, statements_.name_of(change.relation, plan.shape));
  add_parameters(change, plan.shape, change.row, plan.key_from_old ? change.old_row : change.row);
  return pipeline_.execute(*name, parameters_, 1, std::move(trace));
}

void RowWriter::add_parameters(const RowChange& change, const StatementShape& shape,
                               std::span<const Value> written, std::span<const Value> key) {
  const MappedRelation& relation = *change.relation;
  const auto column = [&](std::size_t i) -> const TargetColumn& {
    return relation.target.columns[relation.target_of[i]];
  };
  parameters_.clear();
  text_.clear();
  if (text_.capacity() > kTextKept) text_.shrink_to_fit();
  std::size_t room = 0;
  for (const std::size_t i : shape.written) room += room_for(column(i), written[i]);
  for (const std::size_t i : shape.key) room += room_for(column(i), key[i]);
  text_.reserve(room);
  for (const std::size_t i : shape.written)
    add_parameter(column(i), written[i], text_, parameters_);
  for (std::size_t n = 0; n < shape.key.size(); ++n)
    if (shape.nulls.empty() || !shape.nulls[n])
      add_parameter(column(shape.key[n]), key[shape.key[n]], text_, parameters_);
}

Result<void> RowWriter::delete_and_insert(const RowChange& change, bool traced) {
  // The old row of FULL is whole: it also has what the new one leaves out as unchanged.
  std::vector<Value> row(change.row.begin(), change.row.end());
  for (std::size_t i = 0; i < row.size(); ++i)
    if (row[i].kind == ValueKind::unchanged) row[i] = change.old_row[i];
  RowChange part = change;
  part.op = RowOp::remove;
  FARSHORE_TRY(write(part, traced));
  part.op = RowOp::insert;
  part.row = row;
  return write(part, traced);
}

}  // namespace farshore::postgres
