// What a target must be and have: privileges and origins now, and what a failover to it would need.
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
  const std::int64_t used = ask.number("SELECT count(*) FROM pg_replication_origin");
  if (most < 4 || used >= most)
    ask.add(used >= most ? FindingLevel::error : FindingLevel::warning, "no_origin_left",
            ask.site(),
            fmt::format("{} is {} and there are {} replication origins: each stream needs one, "
                        "and each table that is "
                        "being copied one more",
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
    ask.add(FindingLevel::warning, "triggers_fire", ask.site(),
            fmt::format("role {} may not set session_replication_role: triggers and foreign keys "
                        "of the target fire for "
                        "replicated rows too",
                        who),
            ask.server_version() >= 150000
                ? fmt::format("GRANT SET ON PARAMETER session_replication_role TO {};", who)
                : "");
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
  if (const std::int64_t open =
          ask.number("SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND NOT convalidated");
      open > 0)
    ask.add(FindingLevel::warning, "foreign_keys_not_valid", ask.site(),
            fmt::format("foreign keys that are not validated: {}", open),
            "ALTER TABLE ... VALIDATE CONSTRAINT ...;");
  if (const std::int64_t sequences = ask.number("SELECT count(*) FROM pg_sequences"); sequences > 0)
    ask.add(FindingLevel::note, "failover_sequences", ask.site(),
            fmt::format("sequences stand where they were made: {}; set them above the keys in use "
                        "before the application writes here",
                        sequences),
            "SELECT setval('s', (SELECT max(id) FROM t));");
}

}  // namespace

void check_target(SiteQuestions& ask) {
  check_recovery(ask);
  check_origins(ask);
  check_privileges(ask);
  check_failover(ask);
}

}  // namespace farshore::postgres
