#include "engine/postgres/table_rows.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr std::size_t kChunkBytes = 256_KiB;
constexpr Duration kWatchEvery = 200ms;
constexpr Duration kWatchWait = 10s;
constexpr Duration kFlushWait = 1min;  // the server flushes by itself at least each 15 s
constexpr Duration kFlushPoll = 20ms;

std::string copy_sql(const TableDefinition& table) {
  const std::string name = table.quoted_name();
  const std::string columns = quote_identifiers(table.copied_columns());
  const std::string format = table.binary_copy() ? " TO STDOUT (FORMAT binary)" : " TO STDOUT";
  if (table.kind == 'p')  // COPY itself takes no partitioned table
    return fmt::format("COPY (SELECT {} FROM {}{}){}", columns,
                       table.partitions.empty() ? "ONLY " : "", name, format);
  return fmt::format("COPY {}{}{}", name, columns.empty() ? "" : " (" + columns + ")", format);
}

// ALTER TABLE that rewrites, and TRUNCATE, leave nothing for snapshots taken before they committed
// (PostgreSQL manual, 13.6 Caveats): the lock comes first, and LOCK takes no snapshot.
std::string lock_sql(const TableDefinition& table) {
  return fmt::format("LOCK TABLE {}{} IN ACCESS SHARE MODE",
                     table.partitions.empty() ? "ONLY " : "", table.quoted_name());
}

}  // namespace

Result<std::unique_ptr<TableRows>> PostgresTableRows::open(os::World& world,
                                                           const SourceOptions& options,
                                                           std::unique_ptr<Connection> connection,
                                                           const TableDefinition& table,
                                                           std::uint32_t oid, Deadline deadline) {
  std::unique_ptr<PostgresTableRows> rows(
      new PostgresTableRows(world, std::move(connection), table, oid));
  // Before any lock is held: a copy that nobody watches would make the application wait.
  auto watching = rows->open_watching(options, world.after(kWatchWait));
  if (!watching.ok()) {
    Error error = std::move(watching).error();
    error.retry = Retry::yes;
    return within("table " + rows->name_ +
                      " is not copied without a session that watches for those who wait for it",
                  std::move(error));
  }
  rows->watching_ = *std::move(watching);
  rows->watcher_ = os::Thread("pg-copy-watch", [rows = rows.get(), options](std::stop_token stop) {
    rows->watch(options, stop);
  });
  auto begun = rows->begin(table, deadline);
  if (!begun.ok()) return rows->failed(std::move(begun).error());
  return std::unique_ptr<TableRows>(std::move(rows));
}

PostgresTableRows::~PostgresTableRows() {
  watcher_.request_stop();
  watcher_waker_.wake();
  if (watcher_.joinable()) watcher_.join();
}

Result<void> PostgresTableRows::begin(const TableDefinition& table, Deadline deadline) {
  FARSHORE_TRY(connection_->query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", deadline));
  FARSHORE_TRY(lock(table, deadline));
  FARSHORE_TRY_ASSIGN(const Rows snapshot,
                      connection_->query("SELECT pg_current_snapshot()", deadline));
  FARSHORE_TRY_ASSIGN(const Rows lsn,
                      connection_->query("SELECT CASE WHEN pg_is_in_recovery() THEN "
                                         "pg_last_wal_replay_lsn() ELSE "
                                         "pg_current_wal_insert_lsn() END",
                                         deadline));
  const nlohmann::json mark = {
      {"version", 1}, {"snapshot", snapshot.text(0, 0)}, {"lsn", lsn.text(0, 0)}};
  mark_ = mark.dump();
  FARSHORE_TRY_ASSIGN(snapshot_lsn_, Lsn::parse(lsn.text(0, 0)));
  FARSHORE_TRY(still_as_listed(table, deadline));
  return connection_->begin_copy_out(copy_sql(table), deadline);
}

Result<void> PostgresTableRows::lock(const TableDefinition& table, Deadline deadline) {
  auto locked = connection_->query(lock_sql(table), deadline);
  if (locked.ok()) return {};
  if (locked.error().kind != ErrorKind::not_found) return std::move(locked).error();
  return transient(ErrorKind::conflict,
                   "it was dropped or renamed: the copy lists the tables anew");
}

// The list may be hours old. What a migration wrote meanwhile into a column that it does not have
// is in the snapshot, so that its changes are passed over.
Result<void> PostgresTableRows::still_as_listed(const TableDefinition& table, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(
      const Rows is, connection_->query("SELECT $1::bigint IN (0, pg_catalog.to_regclass($2)::oid)",
                                        {std::to_string(oid_), table.quoted_name()}, deadline));
  if (is.text(0, 0) != "t")
    return transient(ErrorKind::conflict,
                     "another table bears its name by now: the copy lists the tables anew");
  FARSHORE_TRY_ASSIGN(
      const std::vector<TableDefinition> now,
      read_tables(*connection_, {{.schema = table.schema, .name = table.name}}, deadline));
  const auto same = [](const ColumnDefinition& a, const ColumnDefinition& b) {
    return a.name == b.name && a.type == b.type && a.generated == b.generated;
  };
  if (now.size() == 1 && now[0].kind == table.kind &&
      std::ranges::equal(now[0].columns, table.columns, same))
    return {};
  return transient(
      ErrorKind::conflict,
      "its columns changed while it waited for its copy: the copy lists the tables anew");
}

// Others see what was committed without a flush, and a crash of the server takes it back: a copy
// must not hold what the source then lacks.
Result<void> PostgresTableRows::wait_flushed() {
  const std::string sql =
      fmt::format("SELECT pg_is_in_recovery() OR pg_current_wal_flush_lsn() >= '{}'::pg_lsn",
                  snapshot_lsn_.text());
  const Deadline deadline = world_.after(kFlushWait);
  for (;;) {
    FARSHORE_TRY_ASSIGN(const Rows flushed, connection_->query(sql, deadline));
    if (flushed.text(0, 0) == "t") return {};
    os::poll_fd(-1, false, false, world_.after(kFlushPoll), nullptr);
  }
}

Result<Bytes> PostgresTableRows::next(Deadline deadline) {
  while (!ended_ && unread_.empty() && chunk_.size() < kChunkBytes) {
    FARSHORE_TRY(held());
    auto message = connection_->copy_next(deadline);
    if (!message.ok() && message.error().kind == ErrorKind::timeout && !chunk_.empty()) break;
    if (!message.ok()) return failed(std::move(message).error());
    if (!*message) {
      ended_ = true;
      rows_ = connection_->copied_rows();
      FARSHORE_TRY(connection_->query("COMMIT", deadline));  // its locks are no longer needed
      FARSHORE_TRY(wait_flushed());
      break;
    }
    row_.emplace(*std::move(*message));
    unread_ = row_->bytes();
    ++rows_;  // the server sends one message for a row; the true count comes with the last
    take_unread();
  }
  take_unread();
  return std::exchange(chunk_, {});
}

// COPY may be cut anywhere: a large row goes in several chunks.
void PostgresTableRows::take_unread() {
  if (unread_.empty()) return;
  if (!std::exchange(format_told_, true)) chunk_ += binary_ ? 'b' : 't';
  const ByteView part = unread_.substr(0, kChunkBytes - chunk_.size());
  chunk_.append(part);
  unread_.remove_prefix(part.size());
}

Error PostgresTableRows::failed(Error error) {
  os::Lock lock(mutex_);
  if (gave_way_to_.empty()) return within("table " + name_, std::move(error));
  return transient(ErrorKind::conflict,
                   "table {}: {} waits for a lock on it: the copy gave way and starts again", name_,
                   gave_way_to_);
}

Result<std::unique_ptr<Connection>> PostgresTableRows::open_watching(const SourceOptions& options,
                                                                     Deadline deadline) {
  return Connection::open(world_, connect_options(options, "copy watch"), deadline,
                          &watcher_waker_);
}

// A watching session that broke is opened again; where that does not succeed the copy ends, so that
// the application waits for no copy that nobody watches.
void PostgresTableRows::watch(const SourceOptions& options, std::stop_token stop) {
  Deadline again_by = Deadline::never();  // since it broke
  while (!stop.stop_requested()) {
    os::poll_fd(-1, false, false, world_.after(kWatchEvery), &watcher_waker_);
    if (stop.stop_requested()) return;
    const auto looked = look(options, earlier(again_by, world_.after(kWatchWait)));
    if (looked.ok()) {
      again_by = Deadline::never();
      continue;
    }
    watching_.reset();
    if (again_by.reached(world_.now())) {
      os::Lock lock(mutex_);
      unwatched_ = looked.error().what;
      return;
    }
    again_by = earlier(again_by, world_.after(options.unwatched_max));
  }
}

Result<void> PostgresTableRows::look(const SourceOptions& options, Deadline deadline) {
  if (!watching_) {
    FARSHORE_TRY_ASSIGN(watching_, open_watching(options, deadline));
  }
  return give_way(*watching_, deadline);
}

Result<void> PostgresTableRows::held() const {
  os::Lock lock(mutex_);
  if (unwatched_.empty()) return {};
  return transient(ErrorKind::unavailable,
                   "table {}: the session that watches for those who wait for it broke and cannot "
                   "be opened again: the copy starts again: {}",
                   name_, unwatched_);
}

// Only ACCESS EXCLUSIVE is kept waiting by the lock of a copy; who asks for less waits for others.
// Our backend may be stuck in writing to us, where only its end is heard, not a cancel; it is
// told again for as long as somebody waits.
Result<void> PostgresTableRows::give_way(Connection& watcher, Deadline deadline) {
  const std::string pid = std::to_string(connection_->backend_pid());
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      watcher.query("SELECT w.pid, w.mode FROM pg_locks w JOIN pg_locks o ON o.pid = " + pid +
                        " AND o.locktype = 'relation' AND o.granted AND o.relation = w.relation "
                        "AND o.database = w.database "
                        "WHERE w.locktype = 'relation' AND NOT w.granted "
                        "AND w.mode = 'AccessExclusiveLock' LIMIT 1",
                    deadline));
  if (rows.count() == 0) return {};
  {
    os::Lock lock(mutex_);
    gave_way_to_ = fmt::format("pid {} ({})", rows.text(0, 0), rows.text(0, 1));
  }
  FARSHORE_TRY(watcher.query("SELECT pg_terminate_backend(" + pid + ")", deadline));
  return {};
}

}  // namespace farshore::postgres
