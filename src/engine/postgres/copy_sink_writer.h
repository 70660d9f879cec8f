// One table being copied: COPY FROM STDIN in one transaction with the table's mark. Internal to
// copy_sink.
#pragma once

#include <memory>
#include <string>

#include "base/uuid.h"
#include "engine/postgres/catalog.h"
#include "engine/postgres/sink_options.h"
#include "sink/copy_sink.h"

namespace farshore::postgres {

class PostgresTableWriter final : public TableWriter {
 public:
  // conflict: the table was not prepared, is copied already, or is copied by another session just
  // now. `waker` ends all waits with `closed`.
  static Result<std::unique_ptr<TableWriter>> begin(os::World& world, const ConnectOptions& connect,
                                                    const SinkOptions& options, const Uuid& stream,
                                                    const TableDefinition& table, os::Waker& waker);

  Result<void> write(ByteView chunk) override;
  Result<void> finish(ByteView mark) override;

 private:
  PostgresTableWriter(os::World& world, std::unique_ptr<Connection> connection,
                      const SinkOptions& options, const Uuid& stream, const TableDefinition& table);
  Result<void> claim();
  Result<void> empty_table();
  Result<void> start_copy(char format);
  Deadline soon() const { return world_.after(options_.control_wait); }

  os::World& world_;
  const std::unique_ptr<Connection> connection_;
  const SinkOptions options_;
  const Uuid stream_;
  const std::string table_;  // as SourceTable::name
  const std::string copy_;   // COPY t (columns) FROM STDIN
  const bool empties_;       // rows of a root that is published by its leafs are theirs
  bool copying_ = false;
};

// Takes one of the stream's copy origins that no session holds.
Result<void> take_copy_origin(Connection& connection, const Uuid& stream, Deadline deadline);

}  // namespace farshore::postgres
