// What logical replication carries not at all, and the initial copy does not make: named, each with
// the line that prints it for the target.
#include <set>

#include "engine/postgres/quoting.h"
#include "engine/postgres/site_question.h"

namespace farshore::postgres {
namespace {

constexpr std::int64_t kLargeObjectsMax = 1000;  // that are counted
constexpr const char* kRunAtTarget = "  -- here; what it prints is for the target";

// What an extension brought is made by CREATE EXTENSION.
std::string no_extension(const std::string& catalog, const std::string& alias) {
  return fmt::format(
      "NOT EXISTS (SELECT FROM pg_depend e WHERE e.classid = '{}'::regclass AND e.objid = {}.oid "
      "AND e.deptype = 'e')",
      catalog, alias);
}

// The tables of the stream, and the schemas that they are in, as lists for IN.
struct Taken {
  std::string tables;   // oids
  std::string schemas;  // names
};

Taken taken_tables(SiteQuestions& ask) {
  Taken taken{.tables = "0", .schemas = ""};
  std::set<std::string> schemas;
  for (const auto& row :
       ask.table("SELECT n.nspname, c.relname, c.oid "
                 "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
                 "c.relkind IN ('r','p') AND c.relpersistence = 'p' AND n.nspname NOT IN "
                 "('pg_catalog','information_schema','farshore') AND n.nspname NOT LIKE 'pg\\_%' "
                 "ORDER BY 1, 2")) {
    if (!ask.takes({row[0], row[1]})) continue;
    taken.tables += ", " + row[2];
    schemas.insert(row[0]);
  }
  for (const std::string& schema : schemas)
    taken.schemas += (taken.schemas.empty() ? "" : ", ") + quote_literal(schema);
  if (schemas.empty()) taken.schemas = "NULL";
  return taken;
}

// pg_dump of some tables and views; shell, so with quotes around names.
std::string dump_of(const std::vector<std::string>& names, const std::string& section) {
  std::string line = "pg_dump --schema-only" + section;
  if (names.size() <= kNamesMax)
    for (std::string name : names) {
      for (std::size_t at = 0; (at = name.find('\'', at)) != std::string::npos; at += 4)
        name.replace(at, 1, "'\\''");
      line += " -t '" + name + "'";
    }
  return line + "  # of this database; what it prints is for the target";
}

void check_large_objects(SiteQuestions& ask) {
  const std::int64_t large = ask.number(fmt::format(
      "SELECT count(*) FROM (SELECT FROM pg_largeobject_metadata LIMIT {}) l", kLargeObjectsMax));
  if (large > 0)
    ask.add(FindingLevel::warning, "large_objects", ask.site(),
            fmt::format("large objects are not replicated: {}{}",
                        large == kLargeObjectsMax ? "more than " : "", large),
            "move their contents into bytea columns");
}

// Relations of the kinds in the schemas of the stream's tables.
std::vector<std::string> relations(SiteQuestions& ask, const Taken& taken,
                                   const std::string& kinds) {
  return ask.list(
      fmt::format("SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace "
                  "n ON n.oid = c.relnamespace WHERE c.relkind IN ({}) AND c.relpersistence <> 't' "
                  "AND n.nspname IN ({}) AND {} ORDER BY 1",
                  kinds, taken.schemas, no_extension("pg_class", "c")));
}

void check_relations(SiteQuestions& ask, const Taken& taken) {
  if (const auto names = relations(ask, taken, "'S'"); !names.empty())
    ask.add(FindingLevel::note, "sequences", ask.site(),
            fmt::format("sequences have values that are not in the log: {}; set them on the target "
                        "before you move there",
                        listed(names)),
            fmt::format("SELECT format('SELECT setval(%L, %s);', format('%I.%I', schemaname, "
                        "sequencename), last_value) FROM pg_sequences WHERE last_value IS NOT "
                        "NULL;{}, once nothing writes here any more",
                        kRunAtTarget));
  if (const auto names = relations(ask, taken, "'v','m'"); !names.empty())
    ask.add(FindingLevel::note, "views", ask.site(),
            "views and materialized views are not made on the target: " + listed(names),
            dump_of(names, ""));
  if (const auto names = relations(ask, taken, "'f'"); !names.empty())
    ask.add(FindingLevel::note, "foreign_tables", ask.site(),
            "foreign tables are not replicated: " + listed(names),
            dump_of(names, "") + ", which needs their servers");
}

// What hangs on the stream's tables and is not made: `plural` names it, `name` and `definition` are
// its SQL in `from`, where c is the table.
struct OfTables {
  const char *plural, *name, *definition, *from;
};
constexpr OfTables kOfTables[] = {
    {"triggers", "t.tgname", "pg_get_triggerdef(t.oid) || ';'",
     "FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = "
     "c.relnamespace WHERE NOT t.tgisinternal AND t.tgparentid = 0"},
    // A view's own rule comes with the view.
    {"rules", "r.rulename", "pg_get_ruledef(r.oid)",
     "FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = "
     "c.relnamespace WHERE c.relkind IN ('r','p')"}};

void check_parts_of_tables(SiteQuestions& ask, const Taken& taken) {
  for (const OfTables& of : kOfTables) {
    const auto names =
        ask.list(fmt::format("SELECT format('%I of %I.%I', {0}, n.nspname, c.relname) {1} AND "
                             "c.oid IN ({2}) ORDER BY n.nspname, c.relname, {0}",
                             of.name, of.from, taken.tables));
    if (names.empty()) continue;
    ask.add(FindingLevel::note, of.plural, ask.site(),
            fmt::format("{} are not made on the target: {}", of.plural, listed(names)),
            fmt::format("SELECT {} {} AND n.nspname IN ({});{}", of.definition, of.from,
                        taken.schemas, kRunAtTarget));
  }
}

void check_policies(SiteQuestions& ask, const Taken& taken) {
  std::set<std::string> tables;
  std::vector<std::string> names;
  for (const auto& row : ask.table(fmt::format(
           "SELECT format('%I of %I.%I', p.polname, n.nspname, c.relname), format('%I.%I', "
           "n.nspname, c.relname) FROM pg_policy p JOIN pg_class c ON c.oid = p.polrelid JOIN "
           "pg_namespace n ON n.oid = c.relnamespace WHERE c.oid IN ({}) ORDER BY 2, 1",
           taken.tables))) {
    names.push_back(row[0]);
    tables.insert(row[1]);
  }
  if (!names.empty())
    ask.add(FindingLevel::note, "policies", ask.site(),
            "policies of row level security are not made on the target: " + listed(names),
            dump_of({tables.begin(), tables.end()}, " --section=post-data"));
}

void check_functions(SiteQuestions& ask, const Taken& taken) {
  const std::string from = fmt::format(
      "FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ({}) AND {}",
      taken.schemas, no_extension("pg_proc", "p"));
  std::vector<std::string> names;
  bool aggregates = false;
  for (const auto& row : ask.table(fmt::format(
           "SELECT format('%I.%I(%s)', n.nspname, p.proname, pg_get_function_identity_arguments("
           "p.oid)), p.prokind = 'a' {} ORDER BY 1",
           from))) {
    names.push_back(row[0]);
    aggregates |= row[1] == "t";
  }
  if (!names.empty())
    ask.add(
        FindingLevel::note, "functions", ask.site(),
        "functions are not made on the target: " + listed(names),
        fmt::format("SELECT pg_get_functiondef(p.oid) || ';' {} AND p.prokind <> 'a';{}{}", from,
                    kRunAtTarget, aggregates ? "; aggregates: pg_dump --schema-only" : ""));
}

void check_grants(SiteQuestions& ask, const Taken& taken) {
  const std::string from =
      "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace, aclexplode(c.relacl) a WHERE "
      "c.relkind IN ('r','p') AND a.grantee <> c.relowner AND pg_get_userbyid(a.grantee) <> "
      "current_user";
  const std::string grantee =
      "CASE WHEN a.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END";
  if (const auto names = ask.list(fmt::format(
          "SELECT format('%s on %I.%I', {0}, n.nspname, c.relname) {1} AND c.oid IN ({2}) GROUP BY "
          "n.nspname, c.relname, {0} ORDER BY n.nspname, c.relname, 1",
          grantee, from, taken.tables));
      !names.empty())
    ask.add(FindingLevel::note, "grants", ask.site(),
            "roles and grants are not made on the target: " + listed(names),
            fmt::format("SELECT format('GRANT %s ON %I.%I TO %s;', a.privilege_type, n.nspname, "
                        "c.relname, {}) {} AND n.nspname IN ({});{}, after pg_dumpall --roles-only",
                        grantee, from, taken.schemas, kRunAtTarget));
}

}  // namespace

void check_left_out(SiteQuestions& ask) {
  const Taken taken = taken_tables(ask);
  check_large_objects(ask);
  check_relations(ask, taken);
  check_parts_of_tables(ask, taken);
  check_policies(ask, taken);
  check_functions(ask, taken);
  check_grants(ask, taken);
}

}  // namespace farshore::postgres
