#include "engine/postgres/table_rows.h"

#include <nlohmann/json.hpp>

#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr std::size_t kChunkBytes = 256_KiB;
constexpr Duration kWatchEvery = 200ms;
constexpr Duration kWatchWait = 10s;

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
                                                           Deadline deadline) {
  std::unique_ptr<PostgresTableRows> rows(
      new PostgresTableRows(world, std::move(connection), table));
  // Before any lock is held: a copy that nobody watches would make the application wait.
  auto watching = rows->open_watching(options);
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
  FARSHORE_TRY(connection_->query(lock_sql(table), deadline));
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
  return connection_->begin_copy_out(copy_sql(table), deadline);
}

Result<Bytes> PostgresTableRows::next(Deadline deadline) {
  while (!ended_ && unread_.empty() && chunk_.size() < kChunkBytes) {
    auto message = connection_->copy_next(deadline);
    if (!message.ok() && message.error().kind == ErrorKind::timeout && !chunk_.empty()) break;
    if (!message.ok()) return failed(std::move(message).error());
    if (!*message) {
      ended_ = true;
      rows_ = connection_->copied_rows();
      FARSHORE_TRY(connection_->query("COMMIT", deadline));  // its locks are no longer needed
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

Result<std::unique_ptr<Connection>> PostgresTableRows::open_watching(const SourceOptions& options) {
  return Connection::open(world_, connect_options(options, "copy watch"), world_.after(kWatchWait),
                          &watcher_waker_);
}

void PostgresTableRows::watch(const SourceOptions& options, std::stop_token stop) {
  while (!stop.stop_requested()) {
    os::poll_fd(-1, false, false, world_.after(kWatchEvery), &watcher_waker_);
    if (stop.stop_requested()) return;
    if (!watching_) {
      auto opened = open_watching(options);
      if (!opened.ok()) continue;
      watching_ = *std::move(opened);
    }
    auto gave_way = give_way(*watching_);
    if (!gave_way.ok()) watching_.reset();
    if (gave_way.ok() && *gave_way) return;
  }
}

// Only ACCESS EXCLUSIVE is kept waiting by the lock of a copy; who asks for less waits for others.
// Our backend may be stuck in writing to us, where only its end is heard, not a cancel.
Result<bool> PostgresTableRows::give_way(Connection& watcher) {
  const std::string pid = std::to_string(connection_->backend_pid());
  const Deadline soon = world_.after(kWatchWait);
  FARSHORE_TRY_ASSIGN(
      const Rows rows,
      watcher.query("SELECT w.pid, w.mode FROM pg_locks w JOIN pg_locks o ON o.pid = " + pid +
                        " AND o.locktype = 'relation' AND o.granted AND o.relation = w.relation "
                        "AND o.database = w.database "
                        "WHERE w.locktype = 'relation' AND NOT w.granted "
                        "AND w.mode = 'AccessExclusiveLock' LIMIT 1",
                    soon));
  if (rows.count() == 0) return false;
  {
    os::Lock lock(mutex_);
    gave_way_to_ = fmt::format("pid {} ({})", rows.text(0, 0), rows.text(0, 1));
  }
  FARSHORE_TRY(watcher.query("SELECT pg_terminate_backend(" + pid + ")", soon));
  return true;
}

}  // namespace farshore::postgres
