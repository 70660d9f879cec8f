#include "engine/postgres/copy_sink_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "engine/postgres/ddl.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr std::string_view kVarchar = "character varying";

// "character varying(20)" -> 20; unlimited: -1; another type: nullopt.
std::optional<long> varchar_length(std::string_view type) {
  if (type == kVarchar) return -1;
  if (!type.starts_with(kVarchar) || type.size() <= kVarchar.size() + 2 ||
      type[kVarchar.size()] != '(' || type.back() != ')')
    return std::nullopt;
  return std::strtol(std::string(type.substr(kVarchar.size() + 1)).c_str(), nullptr, 10);
}

bool holds(const std::string& source, const std::string& target) {
  if (source == target) return true;
  const auto from = varchar_length(source), to = varchar_length(target);
  return from && to && (*to == -1 || (*from != -1 && *to >= *from));
}

Result<bool> is_there(Connection& connection, const std::string& sql,
                      const std::vector<Parameter>& values, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT EXISTS (" + sql + ")", values, deadline));
  return rows.text(0, 0) == "t";
}

Result<void> survey_shared(Connection& connection, const SharedDefinitions& shared, Survey& survey,
                           Deadline deadline) {
  for (const std::string& schema : shared.schemas) {
    FARSHORE_TRY_ASSIGN(
        const bool there,
        is_there(connection, "SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1", {schema},
                 deadline));
    if (!there) survey.missing_schemas.push_back(schema);
  }
  for (const std::string& extension : shared.extensions) {
    FARSHORE_TRY_ASSIGN(
        const bool there,
        is_there(connection, "SELECT FROM pg_catalog.pg_extension WHERE extname = $1", {extension},
                 deadline));
    if (!there)
      survey.refusals.push_back(fmt::format("extension {} is missing: CREATE EXTENSION {};",
                                            extension, quote_identifier(extension)));
  }
  for (const TypeDefinition& type : shared.types) {
    FARSHORE_TRY_ASSIGN(
        const bool there,
        is_there(connection,
                 "SELECT FROM pg_catalog.pg_type t JOIN pg_catalog.pg_namespace n"
                 " ON n.oid = t.typnamespace WHERE n.nspname = $1 AND t.typname = $2",
                 {type.schema, type.name}, deadline));
    if (!there) {
      survey.missing_types.push_back(type);
      continue;
    }
    for (const std::string& label : type.labels) {
      FARSHORE_TRY_ASSIGN(
          const bool known,
          is_there(
              connection,
              "SELECT FROM pg_catalog.pg_enum e JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid"
              " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
              " WHERE n.nspname = $1 AND t.typname = $2 AND e.enumlabel = $3",
              {type.schema, type.name, label}, deadline));
      const std::string name = quote_qualified(type.schema, type.name);
      if (!known)
        survey.refusals.push_back(fmt::format("type {} lacks a label: ALTER TYPE {} ADD VALUE {};",
                                              name, name, quote_literal(label)));
    }
  }
  return {};
}

Result<void> survey_states(Connection& connection, const Uuid& stream, Survey& survey,
                           Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query(
          "SELECT table_name, state, replace, coalesce(rows, 0),"
          " coalesce(membership, '') FROM farshore.table_state WHERE stream = $1::uuid",
          {stream.text()}, deadline));
  for (int row = 0; row < rows.count(); ++row)
    survey.states[std::string(rows.text(row, 0))] = {
        .state = table_state_of(rows.text(row, 1)),
        .replace = rows.text(row, 2) == "t",
        .rows = std::strtoull(std::string(rows.text(row, 3)).c_str(), nullptr, 10),
        .membership = StoredMembership::from(rows.text(row, 4))};
  return {};
}

bool done(const Survey& survey, const std::string& table) {
  const auto known = survey.states.find(table);
  return known != survey.states.end() && (known->second.state == TableState::copied ||
                                          known->second.state == TableState::streaming);
}

// What changed while a table was out of the stream is missing here: it is copied again, unless its
// rows are the operator's.
void survey_memberships(const std::vector<SourceTable>& tables, ExistingRows existing,
                        Survey& survey) {
  for (const SourceTable& table : tables) {
    if (!done(survey, table.name)) continue;
    KnownState& known = survey.states[table.name];
    if (known.membership.text == table.membership) continue;
    survey.rejoined.push_back(table.name);
    known.membership.kept = existing == ExistingRows::keep;
    if (known.membership.kept) continue;
    known.state = TableState::pending;
    known.replace = true;
  }
}

Result<void> survey_rows(Connection& connection, const TableDefinition& table,
                         ExistingRows existing, Survey& survey, Deadline deadline) {
  const std::string name = table.quoted_name();
  // Rows of a partitioned table that is published by its leafs are found there.
  if (table.kind == 'p' && table.partitions.empty()) return {};
  const bool only = survey.existing.at({table.schema, table.name}).kind == 'r';
  FARSHORE_TRY_ASSIGN(
      const bool rows,
      is_there(connection, fmt::format("SELECT FROM {}{}", only ? "ONLY " : "", name), {},
               deadline));
  survey.holds_rows[name] = rows;
  const auto known = survey.states.find(name);
  const bool may_replace = known != survey.states.end() && known->second.replace;
  if (rows && existing == ExistingRows::refuse && !may_replace)
    survey.refusals.push_back(
        fmt::format("table {} holds rows: TRUNCATE {}; or set `existing: replace` (its rows are "
                    "removed) or `existing: "
                    "keep` (they are taken for the copy)",
                    name, name));
  return {};
}

std::string column_refusal(const TableDefinition& source, const TableDefinition& target,
                           int server_version, std::string& lines) {
  const std::string table = target.quoted_name();
  std::string why;
  const auto say = [&](const std::string& text) { why += (why.empty() ? "" : ", ") + text; };
  for (const ColumnDefinition& column : source.columns) {
    if (!column.generated.empty()) continue;
    const std::string name = quote_identifier(column.name);
    const ColumnDefinition* have = target.column(column.name);
    if (have == nullptr) {
      say(fmt::format("column {} is missing", name));
      lines += " " + add_column(table, column, server_version) + ";";
    } else if (!have->generated.empty()) {
      say(fmt::format("column {} is generated here and not at the source", name));
      lines += fmt::format(" ALTER TABLE {} ALTER COLUMN {} DROP EXPRESSION;", table, name);
    } else if (!holds(column.type, have->type)) {
      say(fmt::format("column {} is {} here and {} at the source", name, have->type, column.type));
      lines += fmt::format(" ALTER TABLE {} ALTER COLUMN {} TYPE {} USING {}::{};", table, name,
                           column.type, name, column.type);
    }
  }
  for (const ColumnDefinition& have : target.columns) {
    const bool fills_itself =
        !have.not_null || !have.default_expression.empty() || !have.identity.empty();
    if (source.column(have.name) != nullptr || fills_itself) continue;
    const std::string name = quote_identifier(have.name);
    say(fmt::format("column {} is not at the source and must not be NULL", name));
    lines += fmt::format(" ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL;", table, name);
  }
  return why;
}

}  // namespace

std::string shape_refusal(const TableDefinition& source, const TableDefinition& target,
                          int server_version) {
  std::string lines;
  const std::string why = column_refusal(source, target, server_version, lines);
  return why.empty() ? why : fmt::format("table {}: {}:{}", target.quoted_name(), why, lines);
}

TableState table_state_of(std::string_view text) {
  if (text == "pending") return TableState::pending;
  if (text == "copying") return TableState::copying;
  if (text == "copied") return TableState::copied;
  return text == "streaming" ? TableState::streaming : TableState::missing;
}

std::string_view text_of(TableState state) {
  switch (state) {
    case TableState::pending:
      return "pending";
    case TableState::copying:
      return "copying";
    case TableState::copied:
      return "copied";
    case TableState::streaming:
      return "streaming";
    case TableState::missing:
      break;
  }
  return "missing";
}

Result<Survey> survey_target(Connection& connection, const Uuid& stream,
                             const SharedDefinitions& shared,
                             const std::vector<SourceTable>& tables,
                             const std::vector<TableDefinition>& definitions, ExistingRows existing,
                             Deadline deadline) {
  Survey survey;
  FARSHORE_TRY(survey_shared(connection, shared, survey, deadline));
  FARSHORE_TRY(survey_states(connection, stream, survey, deadline));
  survey_memberships(tables, existing, survey);
  std::vector<TableName> names;
  for (const TableDefinition& table : definitions) names.push_back({table.schema, table.name});
  FARSHORE_TRY_ASSIGN(std::vector<TableDefinition> there, read_tables(connection, names, deadline));
  for (TableDefinition& table : there)
    survey.existing[{table.schema, table.name}] = std::move(table);
  for (const TableDefinition& table : definitions) {
    const auto found = survey.existing.find({table.schema, table.name});
    if (found == survey.existing.end()) continue;
    if (done(survey, table.quoted_name())) continue;
    if (std::string why = shape_refusal(table, found->second, connection.server_version());
        !why.empty())
      survey.refusals.push_back(std::move(why));
    FARSHORE_TRY(survey_rows(connection, table, existing, survey, deadline));
  }
  return survey;
}

}  // namespace farshore::postgres
