// CopySink: receives the initial copy of a stream's tables. Its state (which table is copied, in
// which snapshot) lives in the target database, in the transaction that copies the rows, so a kill
// leaves a table copied or not begun.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/port.h"
#include "base/result.h"
#include "base/uuid.h"
#include "source/snapshot.h"

namespace farshore {

enum class ExistingRows { refuse, keep, replace };  // what to do with target tables that hold rows

enum class TableState : std::uint8_t { missing, pending, copying, copied, streaming };

struct TargetTable {
  std::string name;
  TableState state = TableState::missing;
  std::uint64_t rows_copied = 0;
};

// Writes one table in one transaction. Dropped without finish: nothing of it stays.
struct TableWriter : Port {
  virtual Result<void> write(ByteView chunk) = 0;  // bytes of TableRows::next, in any pieces
  // Commits rows and mark together: the table is `copied`; its changes from transactions in the
  // snapshot are dropped.
  virtual Result<void> finish(ByteView mark) = 0;
};

struct CopySink : Port {
  // Makes what is missing (schemas, types, tables without indexes and foreign keys) and answers
  // each table's state. rejected: a table holds rows under `refuse`, or has another shape; names
  // table, column and remedy.
  virtual Result<std::vector<TargetTable>> prepare(const Uuid& stream, ByteView shared_definitions,
                                                   const std::vector<SourceTable>& tables,
                                                   ExistingRows existing) = 0;
  // Several tables at once, each by a thread of its own.
  virtual Result<std::unique_ptr<TableWriter>> begin(const Uuid& stream,
                                                     const SourceTable& table) = 0;
  // Indexes and foreign keys, after all tables are copied. Safe to call again.
  virtual Result<void> complete(const Uuid& stream, const std::vector<SourceTable>& tables) = 0;
  // Marks a table for a new copy (`stream resnapshot`); its changes are not applied until it is
  // copied.
  virtual Result<void> reset(const Uuid& stream, const std::string& table) = 0;
};

}  // namespace farshore
