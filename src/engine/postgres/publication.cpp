#include "engine/postgres/publication.h"

#include <algorithm>

#include "engine/postgres/membership.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

// A lock that is not free within this time is left for the next refresh.
constexpr const char* kLockTimeout = "SET lock_timeout = '500ms'";
constexpr int kRefreshesLocked = 3;  // that are not worth a word
constexpr int kTablesAtOnce = 100;   // in one ALTER PUBLICATION
// One refresh waits for so many locks, then only takes what is free: the application may have
// locked all partitions of a table at once.
constexpr std::size_t kLocksWaitedFor = 3;
constexpr const char* kNoLockWait = "SET lock_timeout = '1ms'";
constexpr const char* kRefused = "source.table_refused";

// Of the locks on $1 those that ALTER PUBLICATION waits for, or ($2) all, the oldest first.
constexpr const char* kHolderSql = R"(
SELECT l.pid, l.mode, a.application_name, coalesce(a.xact_start::text, '')
  FROM pg_locks l LEFT JOIN pg_stat_activity a USING (pid)
 WHERE l.locktype = 'relation' AND l.granted AND l.pid <> pg_backend_pid()
   AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
   AND l.relation = to_regclass($1)::oid
   AND ($2::boolean OR l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                                  'ExclusiveLock', 'AccessExclusiveLock'))
 ORDER BY a.xact_start NULLS LAST LIMIT 1)";

// left_out: generated columns, which from 18 on no identity of a published table may hold.
constexpr const char* kCatalogSql = R"(
WITH left_out AS (
  SELECT attrelid, array_agg(attnum) AS columns FROM pg_attribute
   WHERE attgenerated <> '' AND current_setting('server_version_num')::int >= 180000
   GROUP BY attrelid),
keys AS (
  SELECT *, (indkey::int2[])[0:indnkeyatts - 1] AS columns FROM pg_index)
SELECT n.nspname, c.relname, c.relkind, rn.nspname, rc.relname, c.relpersistence = 'u',
       c.relreplident, (SELECT quote_ident(relname) FROM pg_class WHERE oid = k.indexrelid),
       k.indisvalid, k.indimmediate,
       CASE WHEN g.attrelid IS NOT NULL THEN (
         SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum = ANY (g.columns)
            AND (c.relreplident = 'f' OR a.attnum = ANY (k.columns))) END,
       g.attrelid IS NULL,
       CASE WHEN g.attrelid IS NOT NULL OR (k.indisvalid AND k.indimmediate) IS NOT TRUE THEN (
         SELECT CASE WHEN o.indisprimary THEN 'DEFAULT'
                     ELSE 'USING INDEX ' || quote_ident(i.relname) END
           FROM keys o JOIN pg_class i ON i.oid = o.indexrelid
          WHERE o.indrelid = c.oid AND o.indexrelid IS DISTINCT FROM k.indexrelid
            AND o.indisunique AND o.indisvalid AND o.indimmediate AND o.indpred IS NULL
            AND NOT EXISTS (
              SELECT FROM unnest(o.columns) number
                LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = number
                                        AND a.attnotnull
               WHERE a.attnum IS NULL OR a.attnum = ANY (g.columns))
          ORDER BY o.indisprimary DESC, i.relname LIMIT 1) END
  FROM pg_class c
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class rc ON c.relispartition AND rc.oid = pg_partition_root(c.oid)
  LEFT JOIN pg_namespace rn ON rn.oid = rc.relnamespace
  LEFT JOIN left_out g ON g.attrelid = c.oid
  LEFT JOIN keys k ON k.indrelid = c.oid AND CASE c.relreplident WHEN 'd' THEN k.indisprimary
                                                                 WHEN 'i' THEN k.indisreplident
                                                                 ELSE false END
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
   AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'farshore')
   AND n.nspname !~ '^pg_'
 ORDER BY n.nspname, c.relname)";

// Whether a listed_tables table of $1 may have lost its identity. Only a hint, quick enough to be
// asked often; the refresh that follows judges. $2: generated columns count.
constexpr const char* kIdentityLostSql = R"(
SELECT EXISTS (
  SELECT FROM pg_publication p
    JOIN pg_publication_rel r ON r.prpubid = p.oid
    JOIN pg_class c ON c.oid = r.prrelid
   WHERE p.pubname = $1
     AND CASE c.relreplident
           WHEN 'f' THEN $2::boolean AND EXISTS (
             SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attgenerated <> '')
           ELSE NOT EXISTS (
             SELECT FROM pg_index i
              WHERE i.indrelid = c.oid
                AND CASE c.relreplident WHEN 'd' THEN i.indisprimary
                                        ELSE i.indisreplident END) END))";

TableName name_at(const Rows& rows, int row, int column) {
  return {std::string(rows.text(row, column)), std::string(rows.text(row, column + 1))};
}

std::string listed_tables(const std::set<TableName>& tables) {
  std::string out;
  for (const TableName& table : tables)
    out += (out.empty() ? "TABLE ONLY " : ", ONLY ") + table.quoted();
  return out;
}

std::set<TableName> without(const std::set<TableName>& all, const std::set<TableName>& these) {
  std::set<TableName> out;
  std::ranges::set_difference(all, these, std::inserter(out, out.end()));
  return out;
}

}  // namespace

Result<std::vector<CatalogTable>> read_catalog_tables(Connection& connection, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(kCatalogSql, deadline));
  std::vector<CatalogTable> out;
  out.reserve(static_cast<std::size_t>(rows.count()));
  for (int i = 0; i < rows.count(); ++i)
    out.push_back({.name = name_at(rows, i, 0),
                   .kind = rows.text(i, 2).front(),
                   .root = name_at(rows, i, 3),
                   .unlogged = rows.text(i, 5) == "t",
                   .identity = {.setting = rows.text(i, 6).front(),
                                .index = std::string(rows.text(i, 7)),
                                .valid = rows.text(i, 8) == "t",
                                .immediate = rows.text(i, 9) == "t",
                                .unpublished = std::string(rows.text(i, 10)),
                                .full_works = rows.text(i, 11) == "t",
                                .other = std::string(rows.text(i, 12))}});
  return out;
}

Result<std::set<TableName>> read_published(Connection& connection, const Uuid& stream,
                                           Deadline deadline) {
  const std::string name = quote_literal(slot_name(stream));
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT n.nspname, c.relname FROM pg_publication p "
                                       "LEFT JOIN pg_publication_rel r ON r.prpubid = p.oid "
                                       "LEFT JOIN pg_class c ON c.oid = r.prrelid "
                                       "LEFT JOIN pg_namespace n ON n.oid = c.relnamespace "
                                       "WHERE p.pubname = " +
                                           name,
                                       deadline));
  if (rows.count() == 0)
    return transient(ErrorKind::not_found, "{}: there is no publication {} yet",
                     connection.server(), slot_name(stream));
  std::set<TableName> out;
  for (int i = 0; i < rows.count(); ++i)
    if (!rows.is_null(i, 1)) out.insert(name_at(rows, i, 0));
  return out;
}

Publication::Publication(const SourceOptions& options)
    : options_(options), name_(quote_identifier(slot_name(options.stream))) {}

Result<void> Publication::refresh(Connection& connection, Deadline deadline) {
  FARSHORE_TRY(connection.query(kLockTimeout, deadline));
  FARSHORE_TRY_ASSIGN(const auto tables, read_catalog_tables(connection, deadline));
  TableChoice choice = choose_tables(options_.tables, tables);
  auto before = read_published(connection, options_.stream, deadline);
  if (!before.ok() && before.error().kind != ErrorKind::not_found) return std::move(before).error();
  if (!before.ok()) {
    FARSHORE_TRY(create(connection, deadline));
    before = std::set<TableName>();
  }
  kept_out_now_.clear();
  locked_now_.clear();
  FARSHORE_TRY(set_full(connection, choice, deadline));
  FARSHORE_TRY(add(connection, choice, *before, deadline));
  FARSHORE_TRY(alter(connection, "DROP", without(*before, choice.publish), deadline));
  FARSHORE_TRY_ASSIGN(const auto after, read_published(connection, options_.stream, deadline));
  choice.publish = after;
  FARSHORE_TRY_ASSIGN(auto taken,
                      read_memberships(connection, slot_name(options_.stream), deadline));
  note_taken(std::move(taken));
  tell_choice(choice, *before);
  kept_out_ = std::exchange(kept_out_now_, {});
  locked_ = std::exchange(locked_now_, {});
  return {};
}

Result<void> Publication::create(Connection& connection, Deadline deadline) {
  FARSHORE_TRY(connection.query(
      fmt::format("CREATE PUBLICATION {} WITH (publish = 'insert, update, delete, truncate', "
                  "publish_via_partition_root = {})",
                  name_, options_.publish_via_partition_root),
      deadline));
  return {};
}

// By membership, not by name: between two refreshes a table may be dropped and made again, or
// another one renamed over it.
void Publication::note_taken(std::map<TableName, std::string> taken) {
  const bool same = std::ranges::includes(taken_, taken);
  if (!same) ++joined_;
  taken_ = std::move(taken);
}

Result<bool> Publication::may_have_lost_identity(Connection& connection, Deadline deadline) const {
  const bool generated = connection.server_version() >= 180000;
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query(kIdentityLostSql, {slot_name(options_.stream), generated ? "t" : "f"},
                       deadline));
  return rows.text(0, 0) == "t";
}

// Partitions before the tables above them.
Result<void> Publication::add(Connection& connection, TableChoice& choice,
                              const std::set<TableName>& before, Deadline deadline) {
  std::set<TableName> tables = without(choice.publish, before), roots;
  for (const auto& [root, parts] : choice.whole)
    if (tables.erase(root) > 0) roots.insert(root);
  FARSHORE_TRY(alter(connection, "ADD", tables, deadline));
  FARSHORE_TRY_ASSIGN(const auto listed, read_published(connection, options_.stream, deadline));
  leave_roots_out(choice, listed);
  std::erase_if(roots, [&](const TableName& root) { return !choice.publish.contains(root); });
  return alter(connection, "ADD", roots, deadline);
}

// A partitioned table is listed only beside all its partitions (table_rules.h). One that is made or
// attached later and is locked is published through it meanwhile, and copied again once listed.
void Publication::leave_roots_out(TableChoice& choice, const std::set<TableName>& listed) const {
  for (const auto& [root, parts] : choice.whole) {
    const auto is_listed = [&](const TableName& part) { return listed.contains(part); };
    const auto is_refused = [&](const TableName& part) {
      const auto said = kept_out_now_.find(part);
      return said != kept_out_now_.end() && said->second == kRefused;
    };
    const bool whole = listed.contains(root) || std::ranges::all_of(parts, is_listed);
    if (!whole || std::ranges::any_of(parts, is_refused)) choice.publish.erase(root);
  }
}

// Many at once only when no lock is waited for: who holds some and waits for others could be in a
// deadlock with the application's DDL. Else one by one, so that one table that is locked or not
// ours does not keep the others out.
Result<void> Publication::alter(Connection& connection, const char* verb,
                                const std::set<TableName>& tables, Deadline deadline) {
  const std::string start = fmt::format("ALTER PUBLICATION {} {} ", name_, verb);
  for (auto from = tables.begin(); from != tables.end();) {
    auto to = from;
    for (int count = 0; count < kTablesAtOnce && to != tables.end(); ++count) ++to;
    const std::set<TableName> some(std::exchange(from, to), to);
    auto done = connection.query(
        fmt::format("BEGIN; LOCK {} IN SHARE UPDATE EXCLUSIVE MODE NOWAIT; {}{}; COMMIT",
                    listed_tables(some), start, listed_tables(some)),
        deadline);
    if (done.ok()) continue;
    if (!connection.usable() || connection.server_error().sqlstate.empty())
      return std::move(done).error();
    FARSHORE_TRY(connection.query("ROLLBACK", deadline));
    for (const TableName& table : some) FARSHORE_TRY(alter_one(connection, start, table, deadline));
  }
  return {};
}

Result<void> Publication::alter_one(Connection& connection, const std::string& start,
                                    const TableName& table, Deadline deadline) {
  const std::string statement = start + listed_tables({table});
  auto done = connection.query(statement, deadline);
  if (done.ok()) return {};
  if (!connection.usable() || connection.server_error().sqlstate.empty())
    return std::move(done).error();
  if (done.error().kind == ErrorKind::not_found) return {};  // dropped meanwhile
  if (done.error().kind == ErrorKind::timeout)
    return tell_locked(connection, table, statement, deadline);
  tell_kept_out(table, Severity::warning, kRefused,
                fmt::format("{}; as its owner: {};", done.error().what, statement));
  return {};
}

// Only when the lock is free: a lock request that waits makes the application wait behind it.
Result<void> Publication::set_full(Connection& connection, TableChoice& choice, Deadline deadline) {
  for (const TableName& table : choice.needs_full) {
    const std::string name = table.quoted();
    const std::string alter = fmt::format("ALTER TABLE ONLY {} REPLICA IDENTITY FULL", name);
    auto done = connection.query(
        fmt::format("BEGIN; LOCK TABLE ONLY {} IN ACCESS EXCLUSIVE MODE NOWAIT; {}; COMMIT", name,
                    alter),
        deadline);
    if (done.ok()) {
      choice.publish.insert(table);
      continue;
    }
    if (!connection.usable() || connection.server_error().sqlstate.empty())
      return std::move(done).error();
    const bool wait = done.error().kind == ErrorKind::timeout;
    if (!wait)
      tell_kept_out(
          table, Severity::warning, "source.table_keyless",
          fmt::format("table {} has no key and cannot be given REPLICA IDENTITY FULL: {}; "
                      "as its owner: {};",
                      name, done.error().what, alter));
    FARSHORE_TRY(connection.query("ROLLBACK", deadline));
    if (wait) FARSHORE_TRY(tell_locked(connection, table, alter, deadline));
  }
  return {};
}

Result<void> Publication::tell_locked(Connection& connection, const TableName& table,
                                      const std::string& statement, Deadline deadline) {
  const auto before = locked_.find(table);
  const int refreshes = 1 + (before == locked_.end() ? 0 : before->second);
  locked_now_[table] = refreshes;
  if (locked_now_.size() == kLocksWaitedFor) FARSHORE_TRY(connection.query(kNoLockWait, deadline));
  if (refreshes < kRefreshesLocked) return {};
  const bool any = statement.starts_with("ALTER TABLE");
  FARSHORE_TRY_ASSIGN(const Rows holder,
                      connection.query(kHolderSql, {table.quoted(), any ? "t" : "f"}, deadline));
  const std::string who =
      holder.count() == 0
          ? std::string("another session")
          : fmt::format("pid {} ({}, in a transaction since {}, {})", holder.text(0, 0),
                        holder.text(0, 2), holder.text(0, 3), holder.text(0, 1));
  tell_kept_out(table, Severity::warning, "source.table_locked",
                fmt::format("table {} waits with `{}`: {} holds a lock on it; that is tried again "
                            "until the lock is free",
                            table.quoted(), statement, who));
  return {};
}

void Publication::tell_choice(const TableChoice& choice, const std::set<TableName>& before) {
  std::set<TableName> joined = without(choice.publish, before);
  for (const auto& [root, parts] : choice.whole)
    if (joined.contains(root)) joined = without(joined, parts);
  for (const TableName& table : joined)
    tell(Severity::info, "source.table_published",
         fmt::format("table {} is now published", table.quoted()));
  for (const TableName& table : without(before, choice.publish))
    tell(Severity::warning, "source.table_unpublished",
         fmt::format("table {} is no longer published: it was dropped, lost its key, no rule takes "
                     "it, or not all its partitions can be published",
                     table.quoted()));
  for (const auto& [table, identity] : choice.keyless)
    tell_kept_out(table, Severity::warning, "source.table_keyless",
                  fmt::format("table {} stays out: {}, and publishing it would make the "
                              "application's UPDATE and DELETE fail; {}",
                              table.quoted(), why_unusable(identity), remedy_of(table, identity)));
  for (const TableName& table : choice.unlogged)
    tell_kept_out(
        table, Severity::warning, "source.table_unlogged",
        fmt::format("table {0} stays out: an unlogged table writes no log; ALTER TABLE {0} "
                    "SET LOGGED",
                    table.quoted()));
}

void Publication::tell_kept_out(const TableName& table, Severity severity, const char* event,
                                const std::string& message) {
  const auto said = kept_out_.find(table);
  if (said == kept_out_.end() || said->second != event) tell(severity, event, message);
  kept_out_now_[table] = event;
}

void Publication::tell(Severity severity, const char* event, std::string message) {
  if (!options_.events) return;
  options_.events({.severity = severity,
                   .name = event,
                   .stream = options_.name,
                   .message = std::move(message)});
}

Result<void> Publication::drop(Connection& connection, const Uuid& stream, Deadline deadline) {
  FARSHORE_TRY(connection.query("DROP PUBLICATION IF EXISTS " + quote_identifier(slot_name(stream)),
                                deadline));
  return {};
}

}  // namespace farshore::postgres
