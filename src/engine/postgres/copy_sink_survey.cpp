#include "engine/postgres/copy_sink_survey.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "engine/postgres/ddl.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

using Names = std::set<std::string>;

// The first columns of all rows, quoted and joined by dots.
Result<Names> names(Connection& connection, const std::string& sql, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(sql, deadline));
  Names out;
  for (int row = 0; row < rows.count(); ++row) {
    std::string name;
    for (int column = 0; column < rows.columns(); ++column)
      name += (column == 0 ? "" : ".") + quote_identifier(rows.text(row, column));
    out.insert(std::move(name));
  }
  return out;
}

Result<void> survey_types(Connection& connection, const SharedDefinitions& shared, Survey& survey,
                          Deadline deadline) {
  if (shared.types.empty()) return {};
  FARSHORE_TRY_ASSIGN(const Names types,
                      names(connection,
                            "SELECT n.nspname, t.typname FROM pg_catalog.pg_type t JOIN"
                            " pg_catalog.pg_namespace n ON n.oid = t.typnamespace"
                            " WHERE t.oid >= 16384",
                            deadline));
  FARSHORE_TRY_ASSIGN(const Names labels,
                      names(connection,
                            "SELECT n.nspname, t.typname, e.enumlabel FROM pg_catalog.pg_enum e"
                            " JOIN pg_catalog.pg_type t ON t.oid = e.enumtypid"
                            " JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace",
                            deadline));
  for (const TypeDefinition& type : shared.types) {
    const std::string name = quote_qualified(type.schema, type.name);
    if (!types.contains(name)) {
      survey.missing_types.push_back(type);
      continue;
    }
    for (const std::string& label : type.labels)
      if (!labels.contains(name + "." + quote_identifier(label)))
        survey.refusals.push_back(
            {.code = "type_label_missing",
             .object = "type " + name,
             .what = fmt::format("lacks the label {}", quote_literal(label)),
             .remedy = fmt::format("ALTER TYPE {} ADD VALUE {};", name, quote_literal(label))});
  }
  return {};
}

Result<void> survey_shared(Connection& connection, const SharedDefinitions& shared, Survey& survey,
                           Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Names schemas,
                      names(connection, "SELECT nspname FROM pg_catalog.pg_namespace", deadline));
  FARSHORE_TRY_ASSIGN(const Names extensions,
                      names(connection, "SELECT extname FROM pg_catalog.pg_extension", deadline));
  for (const std::string& schema : shared.schemas)
    if (!schemas.contains(quote_identifier(schema))) survey.missing_schemas.push_back(schema);
  for (const std::string& extension : shared.extensions)
    if (const std::string name = quote_identifier(extension); !extensions.contains(name))
      survey.refusals.push_back({.code = "extension_missing",
                                 .object = "extension " + name,
                                 .what = "is missing",
                                 .remedy = fmt::format("CREATE EXTENSION {};", name)});
  return survey_types(connection, shared, survey, deadline);
}

Result<void> survey_states(Connection& connection, const Uuid& stream, Survey& survey,
                           Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows known,
      connection.query("SELECT pg_catalog.to_regclass('farshore.table_state') IS NOT NULL",
                       deadline));
  if (known.text(0, 0) != "t") return {};
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query("SELECT table_name, state, replace, coalesce(rows, 0),"
                       " coalesce(membership, '')"
                       " FROM farshore.table_state WHERE stream::text = $1 OR $1 = ''",
                       {stream.is_nil() ? std::string() : stream.text()}, deadline));
  for (int row = 0; row < rows.count(); ++row)
    survey.states[std::string(rows.text(row, 0))] = {
        .state = table_state_of(rows.text(row, 1)),
        .replace = rows.text(row, 2) == "t",
        .rows = std::strtoull(std::string(rows.text(row, 3)).c_str(), nullptr, 10),
        .membership = StoredMembership::from(rows.text(row, 4))};
  return {};
}

Refusal rows_refusal(const std::string& table) {
  return {.code = "holds_rows",
          .object = "table " + table,
          .what = "holds rows",
          .remedy = fmt::format("TRUNCATE {}; or set `existing: replace` (its rows are removed) or "
                                "`existing: keep` (they are taken for the copy)",
                                table)};
}

// Tables that this stream copied under another name, which the source no longer lists.
void survey_renamed(const std::vector<SourceTable>& tables, Survey& survey) {
  std::map<std::string, std::string> before;  // by membership
  for (const auto& [name, known] : survey.states)
    if (is_copied(known.state) && !known.membership.kept && !known.membership.text.empty())
      before[known.membership.text] = name;
  for (const SourceTable& table : tables)
    if (const auto known = survey.states.find(table.name); known != survey.states.end())
      before.erase(known->second.membership.text);
  for (const SourceTable& table : tables)
    if (const auto found = before.find(table.membership); found != before.end())
      survey.renamed[table.name] = found->second;
}

// The operator renamed the target's table as well, whose rows may lack changes: under its old name
// it is out of the way of the copy, and nothing is lost.
Result<void> offer_old_name(Connection& connection, const TableName& table, Survey& survey,
                            Refusal& refusal, Deadline deadline) {
  const auto renamed = survey.renamed.find(table.quoted());
  const std::string schema = quote_identifier(table.schema) + ".";
  if (renamed == survey.renamed.end() || !renamed->second.starts_with(schema)) return {};
  FARSHORE_TRY_ASSIGN(const Rows free, connection.query("SELECT pg_catalog.to_regclass($1) IS NULL",
                                                        {renamed->second}, deadline));
  if (free.text(0, 0) != "t") return {};
  refusal.what +=
      fmt::format(" (as {} was renamed at the source, it is copied again)", renamed->second);
  refusal.remedy =
      fmt::format("ALTER TABLE {} RENAME TO {}; to keep them beside the copy, or {}",
                  table.quoted(), renamed->second.substr(schema.size()), refusal.remedy);
  return {};
}

// What changed while a table was out of the stream is missing here: it is copied again, unless its
// rows are the operator's.
void survey_memberships(const std::vector<SourceTable>& tables, ExistingRows existing,
                        Survey& survey) {
  for (const SourceTable& table : tables) {
    const auto found = survey.states.find(table.name);
    if (found == survey.states.end() || !is_copied(found->second.state)) continue;
    KnownState& known = found->second;
    if (known.membership.text == table.membership) continue;
    survey.rejoined.push_back(table.name);
    known.membership.kept = existing == ExistingRows::keep;
    if (known.membership.kept) continue;
    known.state = TableState::pending;
    known.replace = true;
  }
}

// Which of the tables this role may read, by SourceTable::name.
Result<Names> readable(Connection& connection, const std::vector<TableName>& tables,
                       Deadline deadline) {
  return names(connection,
               "SELECT n.nspname, c.relname FROM " + values_sql(tables) +
                   " JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema"
                   " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relname = w.name"
                   " WHERE pg_catalog.has_table_privilege(c.oid, 'SELECT')",
               deadline);
}

// Of tables that are there and not copied. One question for all: the target may be far away.
Result<void> survey_rows(Connection& connection, const std::vector<TableName>& tables,
                         ExistingRows existing, Survey& survey, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Names may_read, readable(connection, tables, deadline));
  std::string sql;
  std::vector<TableName> asked;
  for (const TableName& table : tables) {
    const std::string name = table.quoted();
    if (!may_read.contains(name)) {
      survey.refusals.push_back(
          {.code = kNotReadable,
           .object = "table " + name,
           .what = "cannot be read: whether it holds rows is not known",
           .remedy = fmt::format("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON {} TO {};",
                                 name, connection.role())});
      continue;
    }
    sql += fmt::format("{}EXISTS (SELECT FROM {}{})", sql.empty() ? "SELECT ARRAY[" : ", ",
                       survey.existing.at(table).kind == 'r' ? "ONLY " : "", name);
    asked.push_back(table);
  }
  if (asked.empty()) return {};
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT * FROM unnest((" + sql + "])::bool[])", deadline));
  for (int row = 0; row < rows.count(); ++row) {
    const TableName& table = asked[static_cast<std::size_t>(row)];
    const std::string name = table.quoted();
    const bool holds = survey.holds_rows[name] = rows.text(row, 0) == "t";
    const auto known = survey.states.find(name);
    const bool may_replace = known != survey.states.end() && known->second.replace;
    if (!holds || existing != ExistingRows::refuse || may_replace) continue;
    Refusal refusal = rows_refusal(name);
    FARSHORE_TRY(offer_old_name(connection, table, survey, refusal, deadline));
    survey.refusals.push_back(std::move(refusal));
  }
  return {};
}

const char* kind_text(char relation) {
  switch (relation) {
    case 'v':
      return "VIEW";
    case 'm':
      return "MATERIALIZED VIEW";
    case 'f':
      return "FOREIGN TABLE";
    case 'S':
      return "SEQUENCE";
    case 'c':
      return "TYPE";
    default:
      return "INDEX";
  }
}

// It takes the name, so the table can neither be made nor written.
Result<void> survey_other_relations(Connection& connection, const std::vector<TableName>& tables,
                                    Survey& survey, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query("SELECT n.nspname, c.relname, c.relkind FROM " + values_sql(tables) +
                           " JOIN pg_catalog.pg_namespace n ON n.nspname = w.schema"
                           " JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid"
                           " AND c.relname = w.name AND c.relkind NOT IN ('r', 'p')",
                       deadline));
  for (int row = 0; row < rows.count(); ++row) {
    const TableName table{std::string(rows.text(row, 0)), std::string(rows.text(row, 1))};
    const char* kind = kind_text(rows.text(row, 2).front());
    survey.other_relations.insert(table);
    survey.refusals.push_back(
        {.code = "not_a_table",
         .object = "table " + table.quoted(),
         .what = fmt::format("is no table here: a {} has its name", kind),
         .remedy = fmt::format("ALTER {} {} RENAME TO {};", kind, table.quoted(),
                               quote_identifier(name_ending(table.name, "_before")))});
  }
  return {};
}

void survey_columns(const TableDefinition& source, const TableDefinition& target,
                    int server_version, Survey& survey) {
  Refusal refusal{.code = kColumnsDiffer, .object = "table " + target.quoted_name() + ":"};
  for (const TableDifference& found : column_differences(source, target, server_version)) {
    if (found.level != FindingLevel::error) continue;
    refusal.what += (refusal.what.empty() ? "" : ", ") + found.what;
    refusal.remedy += (refusal.remedy.empty() ? "" : " ") + found.remedy;
  }
  if (!refusal.what.empty()) survey.refusals.push_back(std::move(refusal));
}

}  // namespace

bool is_copied(TableState state) {
  return state == TableState::copied || state == TableState::streaming;
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
  survey_renamed(tables, survey);
  survey_memberships(tables, existing, survey);
  std::vector<TableName> listed, to_copy;
  for (const TableDefinition& table : definitions) listed.push_back({table.schema, table.name});
  FARSHORE_TRY_ASSIGN(std::vector<TableDefinition> there,
                      read_tables(connection, listed, deadline));
  for (TableDefinition& table : there)
    survey.existing[{table.schema, table.name}] = std::move(table);
  FARSHORE_TRY(survey_other_relations(connection, listed, survey, deadline));
  for (const TableDefinition& table : definitions) {
    const TableName name{table.schema, table.name};
    const auto found = survey.existing.find(name);
    const auto known = survey.states.find(table.quoted_name());
    const bool copied = known != survey.states.end() && is_copied(known->second.state);
    if (found == survey.existing.end() || copied) continue;
    survey_columns(table, found->second, connection.server_version(), survey);
    // Rows of a partitioned table that is published by its leafs are found there.
    if (table.kind == 'r' || !table.partitions.empty()) to_copy.push_back(name);
  }
  FARSHORE_TRY(survey_rows(connection, to_copy, existing, survey, deadline));
  return survey;
}

}  // namespace farshore::postgres
