// PostgresTableRows: COPY of one table in a repeatable-read transaction on a connection of its own,
// with a thread that watches for sessions which wait for the table.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/postgres/catalog.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/source_options.h"
#include "os/mutex.h"
#include "os/thread.h"
#include "source/snapshot.h"

namespace farshore::postgres {

class PostgresTableRows final : public TableRows {
 public:
  // `connection` stands outside of a transaction. `oid`: the table's, when it was listed; 0: any.
  static Result<std::unique_ptr<TableRows>> open(os::World& world, const SourceOptions& options,
                                                 std::unique_ptr<Connection> connection,
                                                 const TableDefinition& table, std::uint32_t oid,
                                                 Deadline deadline);
  ~PostgresTableRows() override;

  Bytes mark() const override { return mark_; }
  Result<Bytes> next(Deadline deadline) override;
  Result<void> held() const override;
  std::uint64_t rows_read() const override { return rows_; }

 private:
  PostgresTableRows(os::World& world, std::unique_ptr<Connection> connection,
                    const TableDefinition& table, std::uint32_t oid)
      : world_(world),
        connection_(std::move(connection)),
        name_(table.quoted_name()),
        binary_(table.binary_copy()),
        oid_(oid) {}

  Result<void> begin(const TableDefinition& table, Deadline deadline);
  Result<void> lock(const TableDefinition& table, Deadline deadline);
  Result<void> still_as_listed(const TableDefinition& table, Deadline deadline);
  Result<void> wait_flushed();
  void take_unread();
  Error failed(Error error);
  Result<std::unique_ptr<Connection>> open_watching(const SourceOptions& options,
                                                    Deadline deadline);
  void watch(const SourceOptions& options, std::stop_token stop);
  Result<void> look(const SourceOptions& options, Deadline deadline);
  Result<void> give_way(Connection& watcher, Deadline deadline);

  os::World& world_;
  const std::unique_ptr<Connection> connection_;
  const std::string name_;
  const bool binary_;
  const std::uint32_t oid_;
  Bytes mark_;
  Lsn snapshot_lsn_;
  bool format_told_ = false;  // the table's first byte
  Bytes chunk_;
  std::optional<CopyMessage> row_;
  ByteView unread_;  // of row_
  std::uint64_t rows_ = 0;
  bool ended_ = false;

  mutable os::Mutex mutex_;
  std::string gave_way_to_;  // set by the watcher before it ends our session
  std::string unwatched_;    // why the watcher gave up
  os::Waker watcher_waker_;
  std::unique_ptr<Connection> watching_;  // the watcher's, once it runs
  os::Thread watcher_;
};

}  // namespace farshore::postgres
