// What a source must be and have: log, slots, senders, privileges, keys, and what logical
// replication leaves out.
#include <algorithm>
#include <set>

#include "engine/postgres/quoting.h"
#include "engine/postgres/site_question.h"
#include "engine/postgres/slot.h"
#include "engine/postgres/standby_names.h"

namespace farshore::postgres {
namespace {

// Logical decoding told what a DDL statement changes only to transactions that began after it
// (repaired by commit 4909b38af0 of PostgreSQL): one that wrote to a table before ALTER PUBLICATION
// ADD and after it leaves the walsender with the word that the table is not published.
void check_minor_release(SiteQuestions& ask) {
  const int version = ask.server_version(), minor = minor_needed(version);
  if (minor == 0) return;
  ask.add(FindingLevel::error, "minor_release", ask.site(),
          fmt::format("the server is PostgreSQL {0}.{1}: before {0}.{2} a table that joins the "
                      "stream while a transaction writes to it can lose its later changes, and "
                      "nothing tells so",
                      version / 10000, version % 10000, minor),
          fmt::format("update PostgreSQL to {}.{} or newer, best the newest minor release, and "
                      "restart the server",
                      version / 10000, minor));
}

// The tables of the database, and what the publication would list of them: by the same rules.
struct Judged {
  std::vector<CatalogTable> tables;
  TableChoice choice;
  bool takes_none() const { return choice.publish.empty() && choice.needs_full.empty(); }

  bool listed(const TableName& table) const {
    return choice.publish.contains(table) || choice.needs_full.contains(table);
  }
  // Those, and what is published through their topmost table.
  std::set<TableName> captured() const {
    std::set<TableName> out;
    for (const CatalogTable& table : tables)
      if (listed(table.name) || choice.publish.contains(table.root)) out.insert(table.name);
    return out;
  }
};

Judged judge_tables(const std::vector<TableRule>& rules, std::vector<CatalogTable> tables) {
  static const std::vector<TableRule> kAny = {{.match = "*"}};
  TableChoice choice = choose_tables(rules.empty() ? kAny : rules, tables);
  return {.tables = std::move(tables), .choice = std::move(choice)};
}

void check_log(SiteQuestions& ask) {
  if (const std::string level = ask.setting("wal_level"); level != "logical")
    ask.add(FindingLevel::error, "wal_level", ask.site(),
            fmt::format("wal_level is '{}': nothing can be captured", level),
            "ALTER SYSTEM SET wal_level = 'logical';  -- and restart the server");
  const std::int64_t slots = std::atoll(ask.setting("max_replication_slots").c_str());
  const std::int64_t used = ask.number("SELECT count(*) FROM pg_replication_slots");
  const Uuid& stream = ask.options().stream;
  const auto own = ask.table("SELECT active FROM pg_replication_slots WHERE slot_name = " +
                             quote_literal(stream.is_nil() ? "" : slot_name(stream)));
  if (own.empty() && used >= slots)
    ask.add(FindingLevel::error, "no_slot_left", ask.site(),
            fmt::format("all {} replication slots are taken", slots),
            fmt::format("ALTER SYSTEM SET max_replication_slots = {};  -- and restart the server",
                        slots + 5));
  const std::int64_t senders = std::atoll(ask.setting("max_wal_senders").c_str());
  const std::int64_t sending = ask.number("SELECT count(*) FROM pg_stat_replication");
  const bool streams = !own.empty() && own[0][0] == "t";  // through a sender that it has
  if (!streams && sending >= senders)
    ask.add(FindingLevel::error, "no_sender_left", ask.site(),
            fmt::format("all {} WAL senders are taken", senders),
            fmt::format("ALTER SYSTEM SET max_wal_senders = {};  -- and restart the server",
                        senders + 5));
  const std::string keep = ask.setting("max_slot_wal_keep_size");
  if (keep != "-1" && !keep.empty())
    ask.add(FindingLevel::note, "slot_wal_limit", ask.site(),
            fmt::format("max_slot_wal_keep_size is {}: past it the server drops our place, and "
                        "tables are copied anew",
                        keep),
            "keep it above the stream's source.wal_max");
}

// Whether a commit can wait for a WAL sender of ours. Where the stream is not known here, each name
// that Farshore gives is taken for ours.
bool waits_for_us(const std::string& names, const std::string& own) {
  if (!own.empty()) return names_standby(names, own);
  return std::ranges::any_of(standby_names(names), [](const std::string& name) {
    return name == "*" || name.starts_with("farshore_");
  });
}

// A set name acts on every session of the server, in every database.
void check_synchronous(SiteQuestions& ask) {
  const std::string names = ask.setting("synchronous_standby_names");
  const Uuid& stream = ask.options().stream;
  const std::string own = stream.is_nil() ? "" : application_name(stream);
  if (!waits_for_us(names, own)) return;
  // What is set for our role says nothing of others.
  const std::string level = ask.value(
      "SELECT CASE WHEN source IN ('user', 'database user') THEN 'on' ELSE setting END FROM "
      "pg_settings WHERE name = 'synchronous_commit'");
  if (level != "local" && level != "off")
    ask.add(FindingLevel::warning, "synchronous_standby", ask.site(),
            fmt::format("synchronous_standby_names = '{}' and synchronous_commit is '{}': every "
                        "session of every database "
                        "waits for us at commit, for ever when our agent is away",
                        names, level),
            "ALTER SYSTEM SET synchronous_commit = 'local'; SELECT pg_reload_conf();  -- then "
            "raise it per role or "
            "transaction: remote_write = near, remote_apply = far");
  if (!own.empty() &&
      ask.number("SELECT count(*) FROM pg_stat_replication WHERE lower(application_name) = " +
                 quote_literal(own)) > 1)
    ask.add(
        FindingLevel::error, "synchronous_name_twice", ask.site(),
        fmt::format("two WAL senders are named '{}': they acknowledge each other's commits", own),
        fmt::format("SELECT pid, usename, client_addr, client_port FROM pg_stat_replication WHERE "
                    "lower(application_name) = {};  -- and stop the client that is not this agent",
                    quote_literal(own)));
}

void check_statistics(SiteQuestions& ask) {
  if (ask.yes("SELECT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE')")) return;
  const std::string who = ask.value("SELECT quote_ident(current_user)");
  ask.add(FindingLevel::note, "senders_hidden", ask.site(),
          fmt::format("role {} does not see which standby commits wait for, nor since when others' "
                      "transactions run: a stream that synchronous_standby_names lists goes before "
                      "other streams on the link even while another standby is chosen, and of a "
                      "transaction that a new slot waits for only its number is said",
                      who),
          fmt::format("GRANT pg_read_all_stats TO {};", who));
}

// What the role lacks at one table that is captured.
void check_table_privileges(SiteQuestions& ask, const std::string& who, const std::string& table,
                            bool listed, const std::vector<std::string>& row) {
  const std::string object = ask.site() + ", table " + table;
  const bool in_schema = row[7] == "t";
  if (row[2] != "t" || !in_schema)
    ask.add(FindingLevel::error, "no_select", object,
            fmt::format("role {} may not read the table", who),
            (in_schema ? "" : fmt::format("GRANT USAGE ON SCHEMA {} TO {}; ", row[8], who)) +
                fmt::format("GRANT SELECT ON {} TO {};", table, who));
  const bool published = row[9] == "t";  // by hand, as the grants offer
  if (row[3] != "t" && listed && !published)
    ask.add(FindingLevel::error, "not_owner", object,
            fmt::format("only its owner may publish the table; role {} is not a member of {}{}",
                        who, row[4], row[5] == "t" ? ", which is a superuser" : ""),
            row[5] == "t" ? fmt::format("ALTER TABLE {0} OWNER TO {1};  -- or to a role that is no "
                                        "superuser, and is granted to {1}: membership in {2} "
                                        "would make it one",
                                        table, who, row[4])
                          : fmt::format("GRANT {} TO {};", row[4], who));
  if (row[6] == "t")
    ask.add(FindingLevel::error, "row_security", object,
            fmt::format("row level security applies to role {}: the table cannot be copied", who),
            fmt::format("ALTER ROLE {} BYPASSRLS;", who));
}

// The function that the heartbeat calls, as this version declares it.
void check_heartbeat_privilege(SiteQuestions& ask, const std::string& who) {
  const auto refused = ask.list(
      "SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message' AND "
      "pronamespace = 'pg_catalog'::regnamespace AND proargtypes[2] = 'text'::regtype AND "
      "NOT has_function_privilege(oid, 'EXECUTE')");
  if (refused.empty()) return;
  ask.add(FindingLevel::warning, "no_heartbeat_privilege", ask.site(),
          fmt::format("role {} may not execute {}: no heartbeat is written, so lag grows while the "
                      "application commits nothing",
                      who, refused[0]),
          fmt::format("GRANT EXECUTE ON FUNCTION {} TO {};", refused[0], who));
}

void check_privileges(SiteQuestions& ask, const Judged& judged) {
  if (ask.yes("SELECT rolsuper FROM pg_roles WHERE rolname = current_user")) return;
  const std::string who = ask.value("SELECT quote_ident(current_user)");
  if (!ask.yes("SELECT rolreplication FROM pg_roles WHERE rolname = current_user"))
    ask.add(FindingLevel::error, "no_replication_privilege", ask.site(),
            fmt::format("role {} may not read the log", who),
            fmt::format("ALTER ROLE {} REPLICATION;", who));
  if (!ask.yes("SELECT has_database_privilege(current_database(), 'CREATE')"))
    ask.add(FindingLevel::error, "no_create_privilege", ask.site(),
            fmt::format("role {} may not make a publication", who),
            fmt::format("GRANT CREATE ON DATABASE {} TO {};",
                        ask.value("SELECT quote_ident(current_database())"), who));
  check_heartbeat_privilege(ask, who);
  const std::set<TableName> captured = judged.captured();
  for (const auto& row : ask.table(
           "SELECT n.nspname, c.relname, has_table_privilege(c.oid, 'SELECT'), "
           "pg_has_role(c.relowner, 'USAGE'), quote_ident(o.rolname), o.rolsuper, "
           "row_security_active(c.oid), has_schema_privilege(n.oid, 'USAGE'), "
           "quote_ident(n.nspname), p.tablename IS NOT NULL "
           "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
           "LEFT JOIN pg_publication_tables p ON p.schemaname = n.nspname AND p.tablename = "
           "c.relname AND p.pubname = " +
           quote_literal(slot_name(ask.options().stream)) +
           " JOIN pg_roles o ON o.oid = c.relowner WHERE c.relkind IN ('r', 'p') ORDER BY 1, 2")) {
    const TableName table{row[0], row[1]};
    if (captured.contains(table))
      check_table_privileges(ask, who, table.quoted(), judged.listed(table), row);
  }
}

void check_tables(SiteQuestions& ask, const Judged& judged) {
  for (const TableName& table : judged.choice.unlogged)
    ask.add(FindingLevel::warning, "unlogged", ask.site() + ", table " + table.quoted(),
            "an unlogged table writes no log: it is not replicated",
            fmt::format("ALTER TABLE {} SET LOGGED;", table.quoted()));
  for (const auto& [table, identity] : judged.choice.keyless)
    ask.add(FindingLevel::warning, "no_replica_identity", ask.site() + ", table " + table.quoted(),
            fmt::format("{}: the table stays out, since publishing it would make the "
                        "application's own UPDATE and DELETE fail",
                        why_unusable(identity)),
            remedy_of(table, identity));
}

std::vector<std::string> names_of(const std::vector<CatalogTable>& tables) {
  std::vector<std::string> names;
  names.reserve(tables.size());
  for (const CatalogTable& table : tables) names.push_back(table.name.quoted());
  return names;
}

void check_takes_any(SiteQuestions& ask, const Judged& judged) {
  if (!judged.takes_none()) return;
  const SiteOptions& site = ask.options();
  std::string remedy;
  if (judged.tables.empty())
    remedy = fmt::format("make its tables, or correct dbname in `sites.{}.dsn`", site.name);
  else if (!judged.choice.keyless.empty() || !judged.choice.unlogged.empty())
    remedy = "do what is said of its tables";
  else
    remedy = fmt::format("correct `streams.{}.tables`: this database has {}", site.stream_name,
                         listed(names_of(judged.tables)));
  ask.add(FindingLevel::error, "no_tables", ask.site(),
          "the stream takes no table of this database: nothing would be replicated", remedy);
}

// Misspelt, or for tables that are not there yet.
void check_unused_rules(SiteQuestions& ask, const Judged& judged) {
  for (const TableRule& rule : ask.options().rules) {
    const auto hits = [&](const CatalogTable& table) { return matches(rule, table.name); };
    if (std::ranges::any_of(judged.tables, hits)) continue;
    ask.add(FindingLevel::warning, "rule_matches_none",
            fmt::format("{}, rule '{}'", ask.site(), rule.match),
            rule.exclude ? "no table of this database matches it: it keeps none out"
                         : "no table of this database matches it",
            fmt::format("correct it in `streams.{}.tables`, or take it out until there is one",
                        ask.options().stream_name));
  }
}

void check_unmatched_tables(SiteQuestions& ask, const Judged& judged) {
  const auto& rules = ask.options().rules;
  std::vector<std::string> unmatched;
  for (const CatalogTable& table : judged.tables)
    if (matching_rule(rules, table.name) == nullptr && rule_of(rules, table.root) == nullptr)
      unmatched.push_back(table.name.quoted());
  if (unmatched.empty()) return;
  ask.add(FindingLevel::note, "not_matched", ask.site(),
          "no rule of the stream takes these tables: " + listed(unmatched),
          "add a rule to the stream's `tables`, or `exclude: true` to say so on purpose");
}

void check_rules(SiteQuestions& ask, const Judged& judged) {
  check_takes_any(ask, judged);
  check_unused_rules(ask, judged);
  check_unmatched_tables(ask, judged);
}

}  // namespace

int minor_needed(int server_version) {
  constexpr int kRepaired[] = {140018, 150013, 160009, 170005};
  for (const int repaired : kRepaired)
    if (server_version / 10000 == repaired / 10000)
      return server_version < repaired ? repaired % 10000 : 0;
  return 0;
}

void check_source(SiteQuestions& ask) {
  check_minor_release(ask);
  check_log(ask);
  check_synchronous(ask);
  check_statistics(ask);
  const auto tables = ask.catalog_tables();
  const auto& rules = ask.options().rules;
  const Judged judged = judge_tables(rules, tables.value_or(std::vector<CatalogTable>()));
  check_privileges(ask, judged);
  check_tables(ask, judged);
  if (tables && !rules.empty()) check_rules(ask, judged);
  check_left_out(ask);
}

}  // namespace farshore::postgres
