// TransactionCursor: a journal read as what a sink applies: whole committed transactions in commit
// order, and the records that stand between them. It never holds a whole transaction: records are
// read again from the log, one at a time. One reader thread.
#pragma once

#include <optional>
#include <vector>

#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"
#include "change/record.h"

namespace farshore {

// One unit in the order in which it takes effect. kind `data`: a committed transaction of one or
// more records; `heartbeat`, `preamble`, `session`, `definition`, `table`, `schema`: that one
// record.
struct CursorItem {
  RecordKind kind = RecordKind::data;
  Place place;     // of the record that ends it
  Sequence first;  // its first record
  std::uint32_t session = 0;
  std::uint64_t xid = 0;
  std::uint64_t records = 1;
  std::uint64_t bytes = 0;  // payload of all its records
  std::uint64_t changes = 0;
  bool streamed = false;  // data only
  WallTime commit_time{};
  Position position;
  std::vector<std::uint64_t> aborted_sub_xids;  // sorted; changes of these have no effect
};

struct TransactionCursor : Port {
  // The next item; nullopt when none became complete before the deadline. What was not read of the
  // item before is passed over. overtaken: the log was trimmed past us; corrupt: names file and
  // place; closed: the log was closed.
  virtual Result<std::optional<CursorItem>> next(Deadline deadline) = 0;
  // The next record of the current item, in order; nullopt after its last.
  virtual Result<std::optional<PlacedRecord>> next_record() = 0;
  // Reads the current item again from its first record (a sink that rolls back and redoes its
  // group).
  virtual Result<void> rewind_item() = 0;
  // Where a new cursor must start to see everything after the current item again: the preamble
  // before the first record of the oldest transaction that is still open.
  virtual Sequence restart() const = 0;
};

}  // namespace farshore
