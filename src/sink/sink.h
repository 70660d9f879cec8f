// Sink: applies a stream's transactions to one target, exactly once, across kill -9 of either side:
// its progress is written in the target's own transaction. Owned by the apply loop of
// one leg; one thread, but interrupt.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"
#include "base/uuid.h"
#include "change/transaction_cursor.h"

namespace farshore {

struct Applied {
  Sequence through;  // everything up to this sequence is in the target
  Sequence durable;  // and up to here it survives the target's crash
  // What open() would answer after that crash: <= durable, since what changes nothing in the target
  // leaves no trace there.
  Sequence recorded;
  std::uint64_t transactions = 0;  // in this call
  std::uint64_t changes = 0;
  WallTime commit_time{};  // of the newest transaction applied in this call; zero: none
};

// What the source's list of tables said: a change of that epoch at or before `through`, of a table
// that is not in it, is of one that the source no longer has or no longer takes, or that has
// another name in it.
struct TablesListed {
  Epoch epoch{1};
  Sequence through;
  std::map<std::string, std::string> tables;  // SourceTable::name and ::membership
};

struct Sink : Port {
  // Connects and answers what the target holds of this stream in this epoch (sequence 0: nothing).
  // conflict: another session holds the stream's progress; denied; unavailable. not_found: of the
  // sink of what is set aside, nothing is.
  virtual Result<Sequence> open(const Uuid& stream, Epoch epoch) = 0;
  // Pulls items from the cursor, applies them in groups of its choice, and returns when a group is
  // committed and the deadline has passed or the cursor has nothing more for now. Items up to
  // `through` of before are passed over. rejected: the target cannot hold a change; `what` names
  // table, key, transaction, place and the line to paste. The failed transaction is rolled back,
  // those before it are applied. After any error call open again.
  virtual Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) = 0;
  // `stream skip`: passes over the one item that ends at `place` and durably records that. Its
  // content is the caller's to save.
  virtual Result<void> skip(const CursorItem& item) = 0;
  // Any thread: holds from the next open on. What no copy will bring is then passed over instead of
  // being waited for.
  virtual void listed(TablesListed tables) = 0;
  virtual void interrupt() = 0;  // any thread: apply returns soon
  virtual void close() = 0;
};

}  // namespace farshore
