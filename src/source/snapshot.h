// Snapshot: the rows of one table as of one moment beside the running capture. Copied
// rows travel on the link in the lowest class, not through the journal; the mark that says in which
// snapshot a table was copied does.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"

namespace farshore {

struct SourceTable {
  std::string name;         // quoted as the engine writes it: public.orders, "My Schema"."T"
  std::uint64_t rows = 0;   // estimate
  std::uint64_t bytes = 0;  // estimate
  // Opaque: changes when the table was out of the stream in between, so that changes are missing.
  // Empty: it is not in the stream by itself.
  std::string membership;
  Bytes definition;  // opaque: what the sink of the same engine makes the table from
};

// One table being read inside its own snapshot. Ends with its connection: after any error open a
// new one.
struct TableRows : Port {
  // Opaque: lets the sink drop changes of transactions that this snapshot already shows. Valid from
  // the start.
  virtual Bytes mark() const = 0;
  // The next chunk (<= 256 KiB + one row) in the form the sink of the same engine reads; empty: all
  // rows were given.
  virtual Result<Bytes> next(Deadline deadline) = 0;
  // Without waiting: an error when the source can no longer hold this snapshot without making
  // others wait. For a reader that does not come to next(), since nobody takes what it has.
  virtual Result<void> held() const = 0;
  virtual std::uint64_t rows_read() const = 0;
};

// Outlives its TableRows.
struct SnapshotSource : Port {
  // The stream's tables as they are now. `definitions` also carries what belongs to no single table
  // (types, schemas).
  virtual Result<std::vector<SourceTable>> tables() = 0;
  virtual Result<Bytes> shared_definitions() = 0;
  // Waits until every transaction that ran when this was called has ended, then opens the snapshot.
  // May be called from several threads at once, each for a table of its own. timeout names the
  // transaction (pid, since when) waited for.
  virtual Result<std::unique_ptr<TableRows>> open(const SourceTable& table, Deadline deadline) = 0;
  // Any thread: whatever waits for the database, its TableRows too, and all later calls end with
  // `closed`.
  virtual void interrupt() = 0;
};

}  // namespace farshore
