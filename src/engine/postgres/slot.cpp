#include "engine/postgres/slot.h"

#include "change/remedy.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/standby_names.h"

namespace farshore::postgres {
namespace {

// Columns that say why a slot was invalidated came with 16 (conflicting) and 17. Without
// pg_read_all_stats a role sees its own WAL senders, but no sync_state.
std::string state_sql(int server_version, const Uuid& stream) {
  const char* reason = server_version >= 170000   ? "s.invalidation_reason"
                       : server_version >= 160000 ? "CASE WHEN s.conflicting THEN 'conflict' END"
                                                  : "NULL::text";
  return fmt::format(
      "SELECT d.oid, d.datname, "
      "CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END, "
      "s.slot_name, s.plugin, s.database, COALESCE(s.active_pid, 0), s.wal_status, {2}, "
      "s.restart_lsn, s.confirmed_flush_lsn, "
      "EXISTS (SELECT FROM pg_stat_replication r WHERE r.application_name = {0} "
      "AND r.sync_state IN ('sync', 'quorum')), "
      "EXISTS (SELECT FROM pg_stat_replication r WHERE r.application_name = {0} "
      "AND r.sync_state IS NULL), current_setting('synchronous_standby_names'), "
      "pg_is_in_recovery() "
      "FROM pg_database d "
      "LEFT JOIN pg_replication_slots s ON s.slot_name = {1} "
      "WHERE d.datname = current_database()",
      quote_literal(application_name(stream)), quote_literal(slot_name(stream)), reason);
}

Result<Lsn> lsn_at(const Rows& rows, int column) {
  if (rows.is_null(0, column)) return Lsn();
  return Lsn::parse(rows.text(0, column));
}

}  // namespace

Result<ServerState> read_server(Connection& connection, const Uuid& stream, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query(state_sql(connection.server_version(), stream), deadline));
  ServerState state;
  state.database_oid = rows.text(0, 0);
  state.database = rows.text(0, 1);
  FARSHORE_TRY_ASSIGN(state.position, lsn_at(rows, 2));
  state.standby = rows.text(0, 14) == "t";
  const bool hidden = rows.text(0, 12) == "t";
  state.synchronous = rows.text(0, 11) == "t" ||
                      (hidden && names_standby(rows.text(0, 13), application_name(stream)));
  if (rows.is_null(0, 3)) return state;
  SlotState slot;
  slot.plugin = rows.text(0, 4);
  slot.database = rows.text(0, 5);
  slot.active_pid = std::atoi(std::string(rows.text(0, 6)).c_str());
  slot.lost_reason = rows.text(0, 8);
  if (rows.text(0, 7) == "lost" && slot.lost_reason.empty()) slot.lost_reason = "wal_removed";
  slot.lost = !slot.lost_reason.empty();
  FARSHORE_TRY_ASSIGN(slot.restart, lsn_at(rows, 9));
  FARSHORE_TRY_ASSIGN(slot.confirmed, lsn_at(rows, 10));
  state.slot = std::move(slot);
  return state;
}

std::string oldest_transaction(Connection& connection, std::uint64_t below, Deadline deadline) {
  // pg_locks shows every transaction to everybody; who and since when may be hidden from us.
  auto rows = connection.query(
      "SELECT COALESCE(l.pid, 0), a.usename, a.datname, a.xact_start, a.wait_event, p.gid, "
      "l.transactionid FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid "
      "LEFT JOIN pg_prepared_xacts p ON p.transaction = l.transactionid "
      "WHERE l.locktype = 'transactionid' AND l.mode = 'ExclusiveLock' AND l.granted "
      "AND l.pid IS DISTINCT FROM pg_backend_pid() "
      "AND ($1::bigint = 0 OR l.transactionid::text::bigint < $1::bigint % 4294967296) "
      "ORDER BY age(l.transactionid) DESC LIMIT 1",
      {std::to_string(below)}, deadline);
  if (!rows.ok() || rows->count() == 0) return "";
  if (!rows->is_null(0, 5))
    return fmt::format("prepared transaction '{}' (xid {})", rows->text(0, 5), rows->text(0, 6));
  std::string out = fmt::format("pid {} (xid {})", rows->text(0, 0), rows->text(0, 6));
  if (!rows->is_null(0, 1)) out += fmt::format(" of {} in {}", rows->text(0, 1), rows->text(0, 2));
  if (!rows->is_null(0, 3)) out += fmt::format(", since {}", rows->text(0, 3));
  if (!rows->is_null(0, 4)) out += fmt::format(", waits for {}", rows->text(0, 4));
  return out;
}

// The server's own refusal says neither what it has nor what to do.
Result<void> expect_logical(Connection& connection, const SourceOptions& options,
                            Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query("SHOW wal_level", deadline));
  if (rows.text(0, 0) == "logical") return {};
  const std::string resume = stream_command({options.name, "", options.region}, "resume");
  return permanent(
      ErrorKind::conflict, "{}: wal_level is '{}': nothing can be captured{}", connection.server(),
      rows.text(0, 0),
      to_do("ALTER SYSTEM SET wal_level = 'logical';  -- restart the server, then " + resume));
}

Result<void> create_slot(os::World& world, Connection& connection, const SourceOptions& options,
                         Deadline deadline) {
  FARSHORE_TRY(expect_logical(connection, options, deadline));
  const std::string name = slot_name(options.stream);
  // A bound on the wait for a lock would also end this one for the transactions that run.
  FARSHORE_TRY(connection.query("SET lock_timeout = 0", deadline));
  auto made = connection.query(
      "SELECT pg_create_logical_replication_slot(" + quote_literal(name) + ", 'pgoutput')",
      deadline);
  if (made.ok()) return {};
  Error error = std::move(made).error();
  // Left alone, the server would go on waiting and then keep a slot that nobody reads.
  if (connection.usable() && connection.server_error().sqlstate.empty()) connection.cancel();
  if (error.kind != ErrorKind::timeout) return error;
  const Deadline soon = world.after(options.connect_wait);
  (void)connection.next_result(soon);
  auto other = Connection::open(world, connect_options(options, "control"), soon);
  const std::string who = other.ok() ? oldest_transaction(**other, 0, soon) : "";
  return transient(
      ErrorKind::timeout,
      "{}: slot {} cannot be made while transactions run that began before; the oldest "
      "is {}",
      connection.server(), name, who.empty() ? "not visible to us" : who);
}

namespace {

std::string mark_of(const std::string& stream_name) {
  return "farshore stream " + stream_name;
}

constexpr std::string_view kSlotPrefix = "farshore_";

}  // namespace

Result<void> mark_publication(Connection& connection, const SourceOptions& options,
                              Deadline deadline) {
  const std::string name = slot_name(options.stream), mark = mark_of(options.name);
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT FROM pg_publication WHERE pubname = $1 AND "
                                       "obj_description(oid, 'pg_publication') = $2",
                                       {name, mark}, deadline));
  if (rows.count() > 0) return {};
  FARSHORE_TRY(connection.query("COMMENT ON PUBLICATION \"" + name + "\" IS " + quote_literal(mark),
                                deadline));
  return {};
}

Result<std::vector<Uuid>> idle_streams(Connection& connection, const std::string& name,
                                       Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      connection.query("SELECT s.slot_name FROM pg_replication_slots s "
                       "JOIN pg_publication p ON p.pubname = s.slot_name "
                       "WHERE s.database = current_database() AND s.active_pid IS NULL AND "
                       "obj_description(p.oid, 'pg_publication') = $1",
                       {mark_of(name)}, deadline));
  std::vector<Uuid> streams;
  for (int i = 0; i < rows.count(); ++i) {
    const std::string slot(rows.text(i, 0));
    if (!slot.starts_with(kSlotPrefix)) continue;
    if (const auto id = Uuid::parse(slot.substr(kSlotPrefix.size())); id.ok())
      streams.push_back(*id);
  }
  return streams;
}

Result<void> drop_slot(Connection& connection, const Uuid& stream, Deadline deadline) {
  const std::string name = quote_literal(slot_name(stream));
  const std::string from = " FROM pg_replication_slots WHERE slot_name = " + name;
  for (;;) {
    // A walsender takes a moment to go, and one whose farewell finds no room, since nobody reads,
    // goes only when it is told again.
    FARSHORE_TRY(connection.query(
        "SELECT pg_terminate_backend(active_pid)" + from + " AND active_pid IS NOT NULL",
        deadline));
    auto dropped = connection.query("SELECT pg_drop_replication_slot(slot_name)" + from, deadline);
    if (dropped.ok()) return {};
    if (connection.server_error().sqlstate != "55006") return std::move(dropped).error();
    FARSHORE_TRY(connection.query("SELECT pg_sleep(0.05)", deadline));
  }
}

}  // namespace farshore::postgres
