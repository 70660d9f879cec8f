// CopySink: receives the copies of a stream's tables. Its state (which table is copied, in which
// snapshot) lives in the target database, in the transaction that copies the rows, so a kill leaves
// a table copied or not begun.
//
// The first copy of a stream holds back all of its changes. Later ones (a table that was added or
// is copied again) set their tables aside: the others go on, the stream's sink passes over changes
// of a table set aside, a second sink (`aside` of its engine) applies them once the table is
// copied, and when it has come as far as the first one they are joined.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/port.h"
#include "base/result.h"
#include "base/uuid.h"
#include "change/place.h"
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

// Outlives its TableWriters.
struct CopySink : Port {
  // Those of `tables` that are not copied, by name.
  virtual Result<std::vector<std::string>> missing(const Uuid& stream,
                                                   const std::vector<SourceTable>& tables) = 0;
  // Makes what is missing (schemas, types, tables without indexes and foreign keys) and answers
  // each table's state. rejected: a table holds rows under `refuse`, or has another shape; names
  // table, column and remedy. `aside`: the epoch in whose progress new tables are set aside; the
  // sink must be closed meanwhile. nullopt: the first copy, in which no table is set aside.
  virtual Result<std::vector<TargetTable>> prepare(const Uuid& stream, std::optional<Epoch> aside,
                                                   ByteView shared_definitions,
                                                   const std::vector<SourceTable>& tables,
                                                   ExistingRows existing) = 0;
  // Several tables at once, each by a thread of its own.
  virtual Result<std::unique_ptr<TableWriter>> begin(const Uuid& stream,
                                                     const SourceTable& table) = 0;
  // Once all tables are copied: the indexes and foreign keys of every table that prepare() was
  // given and that has not got them yet, also by a copy that broke. Safe to call again.
  virtual Result<void> complete(const Uuid& stream) = 0;
  // Marks a table (empty: all) for a new copy (`stream resnapshot`) and sets it aside at the
  // progress of the epoch; nullopt: the first copy is not complete, nothing is set aside. The sink
  // must be closed meanwhile. not_found: prepare() was never given such a table.
  virtual Result<void> reset(const Uuid& stream, std::optional<Epoch> aside,
                             const std::string& table) = 0;
  // The journal does not hold what was set aside until now: of that, what is copied is to be copied
  // again, since changes are missing.
  virtual Result<void> lose_aside(const Uuid& stream) = 0;
  // All tables are to be copied as if for the first time, and what was applied is forgotten: the
  // stream may begin anew at any place before the copies. Both sinks must be closed meanwhile.
  virtual Result<void> begin_anew(const Uuid& stream) = 0;
  // Both sinks are closed and hold everything up to `through`: tables that were set aside and are
  // copied go on with the others.
  virtual Result<void> join(const Uuid& stream, Epoch epoch, Sequence through) = 0;
  // Any thread: whatever waits for the database, its TableWriters too, and all later calls end with
  // `closed`.
  virtual void interrupt() = 0;
};

}  // namespace farshore
