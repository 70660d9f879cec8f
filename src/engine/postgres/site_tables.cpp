#include "engine/postgres/site_tables.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/postgres/copy_sink_survey.h"
#include "engine/postgres/ddl.h"
#include "engine/postgres/publication.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/table_rules.h"

namespace farshore::postgres {
namespace {

using nlohmann::json;

constexpr int kDescriptionVersion = 1;  // of the description

// The tables of `w(schema, name)`, all partitions below and all partitioned tables above them,
// parents first.
constexpr const char* kWithPartitionsSql = R"(
WITH listed AS (
  SELECT c.oid FROM {} JOIN pg_namespace n ON n.nspname = w.schema
    JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name),
every AS (
  SELECT oid FROM listed
  UNION SELECT t.relid FROM listed l, pg_partition_tree(l.oid) t
  UNION SELECT a.relid FROM listed l, pg_partition_ancestors(l.oid) a)
SELECT n.nspname, c.relname
  FROM every e
  JOIN pg_class c ON c.oid = e.oid AND c.relkind IN ('r', 'p')
  JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY (SELECT count(*) FROM pg_partition_ancestors(e.oid)), n.nspname, c.relname)";

constexpr const char* kRightsSql = R"(
SELECT n.nspname, c.relname, quote_ident(current_user), row_security_active(c.oid),
       (SELECT string_agg(p, ', ' ORDER BY place)
          FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE'])
               WITH ORDINALITY r(p, place)
         WHERE NOT has_table_privilege(c.oid, p))
  FROM {} JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
 ORDER BY 1, 2)";

// What takes part although the rows come from elsewhere.
constexpr const char* kFiringSql = R"(
SELECT n.nspname, c.relname, f.kind, quote_ident(f.name), f.enabled
  FROM {} JOIN pg_namespace n ON n.nspname = w.schema
  JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = w.name AND c.relkind IN ('r', 'p')
  JOIN (SELECT tgrelid, 'trigger', tgname, tgenabled FROM pg_trigger WHERE NOT tgisinternal
        UNION ALL SELECT ev_class, 'rule', rulename, ev_enabled FROM pg_rewrite)
       f(relation, kind, name, enabled) ON f.relation = c.oid AND f.enabled IN ('A', 'R')
 ORDER BY 1, 2, 3, 4)";

struct Description {
  SharedDefinitions shared;
  std::vector<TableDefinition> tables;
};

Result<Description> description_from(std::string_view text) {
  const json value = json::parse(text, nullptr, false);
  const auto is = [&](const char* key, const json& wanted) {
    return value.is_object() && value.contains(key) && value[key] == wanted;
  };
  if (!is("engine", "postgres") || !is("version", kDescriptionVersion) ||
      !value.contains("shared") || !value.contains("tables") || !value["tables"].is_array())
    return permanent(ErrorKind::corrupt, "not a description of tables of PostgreSQL, version {}",
                     kDescriptionVersion);
  Description out;
  FARSHORE_TRY_ASSIGN(out.shared, shared_from_json(value["shared"].dump()));
  for (const json& table : value["tables"]) {
    FARSHORE_TRY_ASSIGN(TableDefinition definition, table_from_json(table.dump()));
    out.tables.push_back(std::move(definition));
  }
  return out;
}

class TableComparison {
 public:
  TableComparison(SiteQuestions& ask, const Description& source, const Survey& survey)
      : ask_(ask), source_(source), survey_(survey) {}

  void tell() {
    for (const Refusal& refusal : survey_.refusals)
      // Told below, with what a copy does not mind.
      if (refusal.code != kColumnsDiffer && refusal.code != kNotReadable)
        ask_.add(FindingLevel::error, refusal.code, object(refusal.object), refusal.what,
                 refusal.remedy);
    tell_missing();
    for (const TableDefinition& table : source_.tables) tell_differences(table);
    tell_rows();
    tell_rights();
    tell_firing();
  }

 private:
  std::string object(const std::string& what) const { return ask_.site() + ", " + what; }
  std::string object(const TableDefinition& table) const {
    return object("table " + table.quoted_name());
  }
  bool copied(const TableDefinition& table) const {
    const auto known = survey_.states.find(table.quoted_name());
    return known != survey_.states.end() && is_copied(known->second.state);
  }

  void tell_missing() {
    std::vector<std::string> made_by_copy;
    std::set<std::string> schemas;
    for (const TableDefinition& table : source_.tables) {
      const TableName name{table.schema, table.name};
      if (survey_.existing.contains(name) || survey_.other_relations.contains(name)) continue;
      if (copied(table)) {
        tell_gone(table);
        continue;
      }
      made_by_copy.push_back(table.quoted_name());
      if (std::ranges::find(survey_.missing_schemas, table.schema) == survey_.missing_schemas.end())
        schemas.insert(table.schema);
    }
    if (!made_by_copy.empty())
      ask_.add(
          FindingLevel::note, "table_missing", ask_.site(),
          "tables that are not here yet and that the initial copy makes: " + listed(made_by_copy),
          "");
    for (const std::string& schema : schemas) tell_schema(schema);
  }

  void tell_gone(const TableDefinition& table) {
    std::string lines;
    for (const std::string& sql : create_table(table, false, ask_.server_version()))
      lines += sql + "; ";
    ask_.add(FindingLevel::error, "table_missing", object(table),
             "the table was copied and is no longer here",
             fmt::format("{} -- then: farshore stream resnapshot {} --table {}", lines,
                         ask_.options().stream_name, table.quoted_name()));
  }

  void tell_schema(const std::string& schema) {
    if (ask_.yes(fmt::format("SELECT has_schema_privilege({}, 'CREATE')", quote_literal(schema))))
      return;
    const std::string who = ask_.value("SELECT quote_ident(current_user)");
    const std::string name = quote_identifier(schema);
    ask_.add(FindingLevel::error, "no_schema_privilege", object("schema " + name),
             fmt::format("role {} may not make the tables that are missing in it", who),
             fmt::format("GRANT USAGE, CREATE ON SCHEMA {} TO {};", name, who));
  }

  // Those of one table and code are one finding.
  void tell_differences(const TableDefinition& table) {
    const auto there = survey_.existing.find({table.schema, table.name});
    if (there == survey_.existing.end()) return;
    auto found = column_differences(table, there->second, ask_.server_version());
    for (TableDifference& more : key_differences(table, there->second))
      found.push_back(std::move(more));
    std::map<std::pair<FindingLevel, std::string>, std::pair<std::string, std::string>> joined;
    for (const TableDifference& difference : found) {
      auto& [what, remedy] = joined[{difference.level, difference.code}];
      what += (what.empty() ? "" : ", ") + difference.what;
      remedy += (remedy.empty() || difference.remedy.empty() ? "" : " ") + difference.remedy;
    }
    for (const auto& [key, text] : joined)
      ask_.add(key.first, key.second, object(table), text.first, text.second);
  }

  // Where `existing` refuses them the survey has said so.
  void tell_rows() {
    const ExistingRows existing = ask_.options().existing;
    std::vector<std::string> tables;
    for (const auto& [table, rows] : survey_.holds_rows)
      if (rows) tables.push_back(table);
    if (tables.empty() || existing == ExistingRows::refuse) return;
    const bool kept = existing == ExistingRows::keep;
    ask_.add(kept ? FindingLevel::note : FindingLevel::warning, "holds_rows", ask_.site(),
             fmt::format("tables that hold rows: {}; `existing: {}`: {}", listed(tables),
                         kept ? "keep" : "replace",
                         kept ? "they are taken for the copy, and the source's are not copied"
                              : "their rows are removed before the copy"),
             "");
  }

  void tell_rights() {
    for (const auto& row : ask_.table(fmt::format(fmt::runtime(kRightsSql), existing_sql()))) {
      const std::string table = quote_qualified(row[0], row[1]);
      if (!row[4].empty())
        ask_.add(FindingLevel::error, "no_table_privilege", object("table " + table),
                 fmt::format("role {} lacks {}", row[2], row[4]),
                 fmt::format("GRANT {} ON {} TO {};", row[4], table, row[2]));
      if (row[3] == "t")
        ask_.add(
            FindingLevel::error, "row_security", object("table " + table),
            fmt::format("row level security applies to role {}: changes cannot be written", row[2]),
            fmt::format("ALTER ROLE {} BYPASSRLS;", row[2]));
    }
  }

  void tell_firing() {
    for (const auto& row : ask_.table(fmt::format(fmt::runtime(kFiringSql), existing_sql()))) {
      const std::string table = quote_qualified(row[0], row[1]);
      const bool rule = row[2] == "rule";
      ask_.add(
          FindingLevel::warning, rule ? "rule_acts" : "trigger_fires", object("table " + table),
          fmt::format("{} {} is set to {}: it {} for replicated rows too", row[2], row[3],
                      row[4] == "A" ? "ALWAYS" : "REPLICA", rule ? "acts" : "fires"),
          fmt::format("ALTER TABLE {} ENABLE {} {};", table, rule ? "RULE" : "TRIGGER", row[3]));
    }
  }

  std::string existing_sql() const {
    std::vector<TableName> names;
    names.reserve(survey_.existing.size());
    for (const auto& [name, table] : survey_.existing) names.push_back(name);
    return values_sql(names);
  }

  SiteQuestions& ask_;
  const Description& source_;
  const Survey& survey_;
};

}  // namespace

Result<std::string> describe_tables(Connection& connection, const std::vector<TableRule>& rules,
                                    Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const auto catalog, read_catalog_tables(connection, deadline));
  TableChoice choice = choose_tables(rules, catalog);
  choice.publish.merge(choice.needs_full);
  const std::vector<TableName> chosen(choice.publish.begin(), choice.publish.end());
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query(fmt::format(fmt::runtime(kWithPartitionsSql), values_sql(chosen)),
                       deadline));
  std::vector<TableName> names;
  names.reserve(static_cast<std::size_t>(rows.count()));
  for (int row = 0; row < rows.count(); ++row)
    names.push_back({std::string(rows.text(row, 0)), std::string(rows.text(row, 1))});
  FARSHORE_TRY_ASSIGN(const auto tables, read_tables(connection, names, deadline));
  FARSHORE_TRY_ASSIGN(const SharedDefinitions shared, read_shared(connection, names, deadline));
  json out{{"engine", "postgres"}, {"version", kDescriptionVersion}, {"tables", json::array()}};
  out["shared"] = json::parse(to_json(shared));
  for (const TableDefinition& table : tables) out["tables"].push_back(json::parse(to_json(table)));
  return out.dump();
}

Result<void> compare_tables(SiteQuestions& ask, Connection& connection,
                            std::string_view description, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Description source, description_from(description));
  FARSHORE_TRY_ASSIGN(const Survey survey,
                      survey_target(connection, ask.options().stream, source.shared, {},
                                    source.tables, ask.options().existing, deadline));
  TableComparison(ask, source, survey).tell();
  return {};
}

}  // namespace farshore::postgres
