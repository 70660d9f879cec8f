#include "engine/postgres/snapshot.h"

#include <map>

#include "engine/postgres/membership.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/slot.h"
#include "engine/postgres/table_rows.h"

namespace farshore::postgres {
namespace {

constexpr Duration kSnapshotCatalogWait = 60s;
constexpr Duration kQuestionWait = 15s;
constexpr Duration kPollEvery = 50ms;  // for transactions that must end first

// Parents first. The last column: a partition that the publication's next refresh lists, with the
// locks that it needs.
constexpr const char* kMemberTablesSql = R"(
SELECT n.nspname, c.relname,
       CASE WHEN c.relkind = 'p' THEN 0 ELSE pg_table_size(c.oid) END, c.reltuples::bigint,
       un.nspname, uc.relname, m.membership,
       c.relkind = 'r' AND NOT m.listed AND NOT EXISTS (
         SELECT FROM pg_locks l
          WHERE l.locktype = 'relation' AND l.granted AND l.relation = c.oid
            AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
            AND l.mode IN ('ShareUpdateExclusiveLock', 'ShareLock', 'ShareRowExclusiveLock',
                           'ExclusiveLock', 'AccessExclusiveLock'))
  FROM members m
  JOIN pg_class c ON c.oid = m.oid AND c.relkind IN ('r', 'p')
  JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_class uc ON uc.oid = m.under
  LEFT JOIN pg_namespace un ON un.oid = uc.relnamespace
 ORDER BY (SELECT count(*) FROM pg_partition_ancestors(m.oid)), n.nspname, c.relname)";

struct Listed {
  TableName name, under;
  std::string member;
  std::uint64_t rows = 0, bytes = 0;
  bool soon = false;
};

class PostgresSnapshotSource final : public SnapshotSource {
 public:
  PostgresSnapshotSource(os::World& world, SourceOptions options)
      : world_(world), options_(std::move(options)) {}

  Result<std::vector<SourceTable>> tables() override;
  Result<Bytes> shared_definitions() override;
  Result<std::unique_ptr<TableRows>> open(const SourceTable& table, Deadline deadline) override;
  void interrupt() override { waker_.wake(); }

 private:
  Result<std::unique_ptr<Connection>> connect(Deadline deadline);
  Result<std::vector<Listed>> list(Connection& connection, Deadline deadline);
  Result<bool> through_roots(Connection& connection, Deadline deadline);
  Result<void> wait_for_older(Connection& connection, const std::string& table, Deadline deadline);

  os::World& world_;
  const SourceOptions options_;
  os::Waker waker_;
};

Result<std::unique_ptr<Connection>> PostgresSnapshotSource::connect(Deadline deadline) {
  ConnectOptions options = connect_options(options_, "copy");
  options.settings = value_settings();
  options.settings.emplace_back("row_security", "off");  // an error instead of missing rows
  options.settings.emplace_back("lock_timeout", "10s");
  return Connection::open(world_, options, deadline, &waker_);
}

Result<bool> PostgresSnapshotSource::through_roots(Connection& connection, Deadline deadline) {
  const std::string name = slot_name(options_.stream);
  FARSHORE_TRY_ASSIGN(const Rows rows,
                      connection.query("SELECT pubviaroot FROM pg_publication WHERE pubname = " +
                                           quote_literal(name),
                                       deadline));
  if (rows.count() == 0)
    return transient(ErrorKind::not_found,
                     "{}: there is no publication {} yet: the stream was not started",
                     connection.server(), name);
  return rows.text(0, 0) == "t";
}

Result<std::vector<Listed>> PostgresSnapshotSource::list(Connection& connection,
                                                         Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(std::string(kMembersSql) + kMemberTablesSql,
                                                        {slot_name(options_.stream)}, deadline));
  auto number = [&](int row, int column) {
    return std::strtoll(std::string(rows.text(row, column)).c_str(), nullptr, 10);
  };
  constexpr std::int64_t kRowBytesGuess = 100;  // of a table that was never analyzed
  std::vector<Listed> out;
  for (int i = 0; i < rows.count(); ++i) {
    Listed& table = out.emplace_back();
    table.name = {std::string(rows.text(i, 0)), std::string(rows.text(i, 1))};
    table.under = {std::string(rows.text(i, 4)), std::string(rows.text(i, 5))};
    table.member = rows.text(i, 6);
    table.soon = rows.text(i, 7) == "t";
    const std::int64_t bytes = number(i, 2);
    const std::int64_t tuples = number(i, 3);
    table.bytes = static_cast<std::uint64_t>(bytes);
    table.rows = static_cast<std::uint64_t>(tuples >= 0 ? tuples : bytes / kRowBytesGuess);
  }
  return out;
}

Result<std::vector<SourceTable>> PostgresSnapshotSource::tables() {
  const Deadline deadline = world_.after(kSnapshotCatalogWait);
  FARSHORE_TRY_ASSIGN(auto connection, connect(deadline));
  FARSHORE_TRY_ASSIGN(const bool through_roots, this->through_roots(*connection, deadline));
  FARSHORE_TRY_ASSIGN(const auto listed, list(*connection, deadline));
  std::vector<TableName> names;
  names.reserve(listed.size());
  for (const Listed& table : listed) names.push_back(table.name);
  FARSHORE_TRY_ASSIGN(auto definitions, read_tables(*connection, names, deadline));
  std::map<TableName, TableDefinition> by_name;
  for (TableDefinition& definition : definitions)
    by_name[{definition.schema, definition.name}] = std::move(definition);

  struct Counted {
    TableDefinition definition;
    std::uint64_t rows, bytes;
    std::string member;
  };
  std::vector<Counted> tops;
  std::map<TableName, std::size_t> place;
  for (const Listed& table : listed) {
    const auto found = by_name.find(table.name);
    if (found == by_name.end()) continue;  // dropped between the two questions
    // Once listed it has another membership, and would be copied again.
    if (!through_roots && table.soon) continue;
    const auto top = place.find(table.under);
    if (through_roots && top != place.end()) {
      Counted& root = tops[top->second];
      root.rows += table.rows;
      root.bytes += table.bytes;
      root.definition.partitions.push_back(std::move(found->second));
    } else {
      place[table.name] = tops.size();
      tops.push_back({std::move(found->second), table.rows, table.bytes, table.member});
    }
  }
  std::vector<SourceTable> out;
  out.reserve(tops.size());
  for (Counted& top : tops)
    out.push_back({.name = top.definition.quoted_name(),
                   .rows = top.rows,
                   .bytes = top.bytes,
                   .membership = std::move(top.member),
                   .definition = to_json(top.definition)});
  return out;
}

Result<Bytes> PostgresSnapshotSource::shared_definitions() {
  const Deadline deadline = world_.after(kSnapshotCatalogWait);
  FARSHORE_TRY_ASSIGN(auto connection, connect(deadline));
  FARSHORE_TRY(through_roots(*connection, deadline));
  FARSHORE_TRY_ASSIGN(const auto listed, list(*connection, deadline));
  std::vector<TableName> names;
  names.reserve(listed.size());
  for (const Listed& table : listed) names.push_back(table.name);
  FARSHORE_TRY_ASSIGN(const SharedDefinitions shared, read_shared(*connection, names, deadline));
  return to_json(shared);
}

Result<std::unique_ptr<TableRows>> PostgresSnapshotSource::open(const SourceTable& table,
                                                                Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const TableDefinition definition, table_from_json(table.definition));
  FARSHORE_TRY_ASSIGN(auto connection, connect(deadline));
  FARSHORE_TRY(wait_for_older(*connection, table.name, deadline));
  return PostgresTableRows::open(world_, options_, std::move(connection), definition,
                                 StoredMembership::from(table.membership).oid(),
                                 world_.after(kQuestionWait));
}

// A commit may be decoded, journaled and applied already and not be visible yet, as while it waits
// for a standby. A snapshot taken then lacks its rows, and its changes may lie before the place
// from which the table's changes are applied.
Result<void> PostgresSnapshotSource::wait_for_older(Connection& connection,
                                                    const std::string& table, Deadline deadline) {
  auto number = [&](const char* sql) -> Result<std::uint64_t> {
    FARSHORE_TRY_ASSIGN(const Rows rows, connection.query(sql, world_.after(kQuestionWait)));
    return std::strtoull(std::string(rows.text(0, 0)).c_str(), nullptr, 10);
  };
  // Every transaction that runs now and has written has a lower id than one that is given out now.
  // (pg_snapshot_xmax is only one more than the newest that ended.)
  FARSHORE_TRY_ASSIGN(
      const std::uint64_t bound,
      number("SELECT CASE WHEN pg_is_in_recovery() THEN "
             "pg_snapshot_xmax(pg_current_snapshot()) ELSE pg_current_xact_id() END"));
  for (;;) {
    FARSHORE_TRY_ASSIGN(const std::uint64_t oldest,
                        number("SELECT pg_snapshot_xmin(pg_current_snapshot())"));
    if (oldest >= bound) return {};
    if (deadline.reached(world_.now())) {
      const std::string who = oldest_transaction(connection, bound, world_.after(kQuestionWait));
      return transient(ErrorKind::timeout,
                       "table {} waits with its copy until all transactions that began before have "
                       "ended; the oldest is {}",
                       table, who.empty() ? fmt::format("xid {}", oldest) : who);
    }
    (void)connection.wait(earlier(deadline, world_.after(kPollEvery)), &waker_);
  }
}

}  // namespace

std::unique_ptr<SnapshotSource> make_snapshot_source(os::World& world, SourceOptions options) {
  return std::make_unique<PostgresSnapshotSource>(world, std::move(options));
}

}  // namespace farshore::postgres
