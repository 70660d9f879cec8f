#include "engine/postgres/copy_sink_writer.h"

#include "change/remedy.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/sink_session.h"
#include "engine/postgres/sink_tables.h"

namespace farshore::postgres {
namespace {

constexpr int kCopyOrigins = 32;        // sessions that copy for one stream at once
constexpr Duration kWriteWait = 10min;  // for a lock or a slow disk

std::string copy_text(const TableDefinition& table) {
  const std::string columns = quote_identifiers(table.copied_columns());
  return fmt::format("COPY {}{} FROM STDIN", table.quoted_name(),
                     columns.empty() ? "" : " (" + columns + ")");
}

}  // namespace

Result<void> take_copy_origin(Connection& connection, const Uuid& stream, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const std::string prefix, origin_prefix(connection, stream, deadline));
  Result<void> taken;
  for (int n = 1; n <= kCopyOrigins; ++n) {
    taken = take_origin(connection, fmt::format("{}_{}", copy_origin_name(prefix), n), deadline);
    if (taken.ok() || taken.error().kind != ErrorKind::conflict) return taken;
  }
  return taken;
}

PostgresTableWriter::PostgresTableWriter(os::World& world, std::unique_ptr<Connection> connection,
                                         const SinkOptions& options, const Uuid& stream,
                                         const TableDefinition& table)
    : world_(world),
      connection_(std::move(connection)),
      options_(options),
      stream_(stream),
      table_(table.quoted_name()),
      copy_(copy_text(table)),
      empties_(table.kind != 'p' || !table.partitions.empty()) {}

Result<std::unique_ptr<TableWriter>> PostgresTableWriter::begin(
    os::World& world, const ConnectOptions& connect, const SinkOptions& options, const Uuid& stream,
    const TableDefinition& table, os::Waker& waker) {
  FARSHORE_TRY_ASSIGN(auto connection,
                      Connection::open(world, connect, world.after(options.connect_wait), &waker));
  FARSHORE_TRY(prepare_writing_session(*connection, world.after(options.control_wait)));
  FARSHORE_TRY(take_copy_origin(*connection, stream, world.after(options.control_wait)));
  std::unique_ptr<PostgresTableWriter> writer(
      new PostgresTableWriter(world, std::move(connection), options, stream, table));
  FARSHORE_TRY(writer->claim());
  return std::unique_ptr<TableWriter>(std::move(writer));
}

Result<void> PostgresTableWriter::claim() {
  FARSHORE_TRY_ASSIGN(
      const Rows mine,
      connection_->query(
          "SELECT pg_catalog.pg_try_advisory_lock(pg_catalog.hashtextextended($1, 0))",
          {stream_.text() + " " + table_}, soon()));
  if (mine.text(0, 0) != "t")
    return transient(ErrorKind::conflict, "{}: table {} is copied by another session just now",
                     connection_->server(), table_);
  FARSHORE_TRY_ASSIGN(
      const Rows state,
      connection_->query("UPDATE farshore.table_state SET state = 'copying', at = now()"
                         " WHERE stream = $1::uuid AND table_name = $2"
                         " AND state IN ('pending', 'copying') RETURNING replace",
                         {stream_.text(), table_}, soon()));
  if (state.count() == 0)
    return transient(ErrorKind::conflict,
                     "{}: table {} does not wait for a copy: one of before finished it, and the "
                     "source asks again",
                     connection_->server(), table_);
  FARSHORE_TRY(connection_->query("BEGIN", soon()));
  return empties_ && state.text(0, 0) == "t" ? empty_table() : Result<void>();
}

// The target's own kind counts: it may be partitioned where the source's is not. Of a partitioned
// table ONLY is refused by TRUNCATE, and means nothing to DELETE; of another it spares what
// inherits from it.
Result<void> PostgresTableWriter::empty_table() {
  FARSHORE_TRY_ASSIGN(const Rows kind,
                      connection_->query("SELECT relkind FROM pg_catalog.pg_class WHERE oid = "
                                         "$1::pg_catalog.regclass",
                                         {table_}, soon()));
  const bool partitioned = kind.count() > 0 && kind.text(0, 0) == "p";
  const std::string name = (partitioned ? "" : "ONLY ") + table_;
  for (const std::string& sql : open_with_rows(stream_))
    FARSHORE_TRY(connection_->query(sql, soon()));
  FARSHORE_TRY(connection_->query("SAVEPOINT emptied", soon()));
  auto emptied = connection_->query("TRUNCATE " + name, world_.after(kWriteWait));
  if (emptied.ok()) return {};
  const std::string state = connection_->server_error().sqlstate;
  if (state.empty()) return std::move(emptied).error();
  // A table that others refer to cannot be truncated alone, and TRUNCATE is a privilege of its own.
  if (state != "0A000" && state != "42501")
    return transient(ErrorKind::unavailable, "{}: table {} could not be emptied: {}",
                     connection_->server(), table_, connection_->server_error().shown_message());
  FARSHORE_TRY(connection_->query("ROLLBACK TO SAVEPOINT emptied", soon()));
  auto deleted = connection_->query("DELETE FROM " + name, world_.after(kWriteWait));
  if (!deleted.ok()) return std::move(deleted).error();
  return {};
}

Result<void> PostgresTableWriter::start_copy(char format) {
  if (format != 'b' && format != 't')
    return permanent(ErrorKind::corrupt,
                     "the copy of table {} begins with byte {} instead of its format", table_,
                     static_cast<int>(format));
  copying_ = true;
  return connection_->begin_copy_in(copy_ + (format == 'b' ? " (FORMAT binary)" : ""),
                                    world_.after(kWriteWait));
}

Result<void> PostgresTableWriter::write(ByteView chunk) {
  if (chunk.empty()) return {};
  Result<void> done;
  if (!copying_) {
    done = start_copy(chunk.front());
    chunk.remove_prefix(1);
  }
  if (done.ok()) done = connection_->copy_write(chunk, world_.after(kWriteWait));
  if (!done.ok()) return within("copy into table " + table_, std::move(done).error());
  return {};
}

Result<void> PostgresTableWriter::finish(ByteView mark) {
  FARSHORE_TRY_ASSIGN(const CopyMark in, copy_mark_from(mark));
  std::uint64_t rows = 0;
  if (copying_) {
    auto copied = connection_->copy_finish(world_.after(kWriteWait));
    if (!copied.ok()) return within("copy into table " + table_, std::move(copied).error());
    rows = copied->affected();
  }
  // The source is told that the table is done: it must survive a crash from here on.
  FARSHORE_TRY(connection_->query("SET LOCAL synchronous_commit = local", soon()));
  FARSHORE_TRY_ASSIGN(
      const Rows marked,
      connection_->query("UPDATE farshore.table_state SET state = 'copied', snapshot = $3, "
                         "snapshot_lsn = $4::pg_lsn,"
                         " rows = $5::bigint, replace = false, at = now()"
                         " WHERE stream = $1::uuid AND table_name = $2 AND state = 'copying'",
                         {stream_.text(), table_, in.snapshot, in.lsn.text(), std::to_string(rows)},
                         soon()));
  if (marked.affected() != 1)
    return transient(ErrorKind::conflict, "{}: table {} was marked for another copy meanwhile",
                     connection_->server(), table_);
  FARSHORE_TRY(connection_->query("COMMIT", world_.after(kWriteWait)));
  return {};
}

}  // namespace farshore::postgres
