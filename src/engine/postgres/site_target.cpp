// What a target must be and have: privileges and origins now, and what a failover to it would need.
#include <algorithm>

#include "engine/postgres/quoting.h"
#include "engine/postgres/sink_session.h"
#include "engine/postgres/site_question.h"

namespace farshore::postgres {
namespace {

void check_recovery(SiteQuestions& ask) {
  if (ask.yes("SELECT pg_is_in_recovery()"))
    ask.add(FindingLevel::error, "in_recovery", ask.site(),
            "the server is a standby: nothing can be written there",
            "name the primary of that cluster in the site's dsn (target_session_attrs=read-write)");
}

void check_origins(SiteQuestions& ask) {
  const bool newer = ask.server_version() >= 180000;
  const std::string name = newer ? "max_active_replication_origins" : "max_replication_slots";
  const std::int64_t most = std::atoll(ask.setting(name).c_str());
  // Every origin that has progress is active; pg_replication_origin_status is for superusers only.
  const std::int64_t used = ask.number(
      "SELECT count(*) FROM pg_replication_origin WHERE NOT starts_with(roname, " +
      quote_literal(origin_prefix(ask.options().stream, ask.value(kDatabaseOidSql))) + ")");
  if (most < 4 || used >= most)
    ask.add(
        used >= most ? FindingLevel::error : FindingLevel::warning, "no_origin_left", ask.site(),
        fmt::format("{} is {} and there are {} replication origins of others: each stream needs "
                    "one, and each table that is being copied one more",
                    name, most, used),
        fmt::format("ALTER SYSTEM SET {} = {};  -- and restart the server", name, most + 10));
}

void check_privileges(SiteQuestions& ask) {
  if (ask.yes("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")) return;
  const std::string who = ask.value("SELECT quote_ident(current_user)");
  if (!ask.yes("SELECT has_database_privilege(current_database(), 'CREATE')"))
    ask.add(FindingLevel::error, "no_create_privilege", ask.site(),
            fmt::format("role {} may not make the schema farshore, where progress is kept", who),
            fmt::format("GRANT CREATE ON DATABASE {} TO {};",
                        ask.value("SELECT quote_ident(current_database())"), who));
  if (!ask.yes("SELECT has_function_privilege('pg_replication_origin_create(text)', 'EXECUTE')"))
    ask.add(
        FindingLevel::error, "no_origin_privilege", ask.site(),
        fmt::format(
            "role {} may not use replication origins, by which each change is applied exactly once",
            who),
        fmt::format("farshore grants {} --role target", ask.options().name));
  if (ask.server_version() < 150000 ||
      !ask.yes("SELECT has_parameter_privilege('session_replication_role', 'SET')"))
    ask.add(
        FindingLevel::warning, "triggers_fire", ask.site(),
        fmt::format("role {} may not set session_replication_role: triggers and foreign keys "
                    "of the target fire for "
                    "replicated rows too",
                    who),
        ask.server_version() >= 150000
            ? fmt::format("GRANT SET ON PARAMETER session_replication_role TO {};", who)
            : fmt::format("ALTER ROLE {} SUPERUSER;  -- before PostgreSQL 15 nobody else may; or "
                          "upgrade the server",
                          who));
}

// The first remedies of many, as one line.
std::string joined(const std::vector<std::string>& lines) {
  std::string out;
  for (std::size_t i = 0; i < std::min(lines.size(), kNamesMax); ++i)
    out += (i == 0 ? "" : " ") + lines[i];
  if (lines.size() > kNamesMax) out += "  -- run check again for the others";
  return out;
}

void check_foreign_keys(SiteQuestions& ask) {
  const auto open = ask.table(fmt::format(
      "SELECT quote_ident(c.conname) || ' of ' || quote_ident(n.nspname) || '.' || "
      "quote_ident(t.relname), format('ALTER TABLE %I.%I VALIDATE CONSTRAINT %I;', n.nspname, "
      "t.relname, c.conname) FROM pg_constraint c JOIN pg_class t ON t.oid = c.conrelid "
      "JOIN pg_namespace n ON n.oid = t.relnamespace WHERE c.contype = 'f' AND NOT c.convalidated "
      "AND c.conparentid = 0{} ORDER BY 1",
      ask.server_version() >= 180000 ? " AND c.conenforced" : ""));
  std::vector<std::string> names, lines;
  for (const auto& row : open) names.push_back(row[0]), lines.push_back(row[1]);
  if (!names.empty())
    ask.add(FindingLevel::warning, "foreign_keys_not_valid", ask.site(),
            "foreign keys that are not validated: " + listed(names), joined(lines));
}

// A sequence that a column owns is set above what the column holds.
void check_sequences(SiteQuestions& ask) {
  const auto rows = ask.table(
      "SELECT format('%I.%I', n.nspname, s.relname), CASE WHEN a.attname IS NOT NULL THEN "
      "format('SELECT setval(%L, (SELECT max(%I) FROM %I.%I));', format('%I.%I', n.nspname, "
      "s.relname), a.attname, tn.nspname, t.relname) END FROM pg_class s JOIN pg_namespace n ON "
      "n.oid = s.relnamespace LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND "
      "d.objid = s.oid AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype "
      "IN ('a', 'i') LEFT JOIN pg_class t ON t.oid = d.refobjid LEFT JOIN pg_namespace tn ON "
      "tn.oid = t.relnamespace LEFT JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = "
      "d.refobjsubid WHERE s.relkind = 'S' AND s.relpersistence <> 't' AND n.nspname <> 'farshore' "
      "ORDER BY 1");
  std::vector<std::string> owned, free, lines;
  for (const auto& row : rows) {
    (row[1].empty() ? free : owned).push_back(row[0]);
    if (!row[1].empty()) lines.push_back(row[1]);
  }
  if (!owned.empty())
    ask.add(FindingLevel::note, "failover_sequences", ask.site(),
            fmt::format("sequences stand where they were made: {}; set them above the keys in use "
                        "before the application writes here",
                        listed(owned)),
            joined(lines));
  if (!free.empty())
    ask.add(FindingLevel::note, "failover_sequences", ask.site(),
            fmt::format("sequences of no column stand where they were made: {}", listed(free)),
            "set each with setval() above the last value that the source gave out, which "
            "pg_sequences shows there, before the application writes here");
}

// Not needed to replicate, but on the day of a failover.
void check_failover(SiteQuestions& ask) {
  if (const std::string level = ask.setting("wal_level"); level != "logical")
    ask.add(FindingLevel::warning, "failover_wal_level", ask.site(),
            fmt::format("wal_level is '{}': after a failover to this site nothing can be captured "
                        "from it without a restart",
                        level),
            "ALTER SYSTEM SET wal_level = 'logical';  -- and restart the server");
  const std::int64_t slots = std::atoll(ask.setting("max_replication_slots").c_str());
  if (ask.number("SELECT count(*) FROM pg_replication_slots") >= slots)
    ask.add(FindingLevel::warning, "failover_no_slot", ask.site(),
            fmt::format("all {} replication slots are taken: a failover needs one", slots),
            fmt::format("ALTER SYSTEM SET max_replication_slots = {};  -- and restart the server",
                        slots + 5));
  check_foreign_keys(ask);
  check_sequences(ask);
}

}  // namespace

void check_target(SiteQuestions& ask) {
  check_recovery(ask);
  check_origins(ask);
  check_privileges(ask);
  check_failover(ask);
}

}  // namespace farshore::postgres
