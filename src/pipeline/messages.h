// What the two ends of a stream say to each other on their channels (docs/formats/ship.md). Twins:
// encode and decode.
//
//   ship channel (opened by the source's region, one per target):
//     source: Hello             -> target: Welcome | Refuse; Overtaken may take Begin's place
//     source: Begin, Records…   <- target: Ack…             both: Fetch -> Fetched (repair)
//   verb channel: source: Verb -> VerbDone; it waits behind no records, so a full target hears it
//   copy channel: source: CopyAsk -> CopyMissing; Prepare -> Prepared; CopyDone -> Completed;
//     each answer may be Refuse
//   table channel: source: TableBegin, Chunk…, TableEnd -> TableCopied | Refuse
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "base/uuid.h"
#include "change/record.h"
#include "journal/journal.h"
#include "pipeline/state.h"
#include "sink/copy_sink.h"
#include "source/snapshot.h"

namespace farshore::pipeline {

struct Hello {
  Uuid stream;  // nil: the source has lost its own, and asks what the target holds
  std::string name;
  Epoch epoch;
  std::string definition;  // what the stream is, as its source's region has it
};

struct Welcome {
  Uuid stream;             // nil: this target holds nothing of the stream
  Place durable;           // of the far journal; 0:0 when empty
  std::uint64_t hash = 0;  // running hash there
  Position position;       // newest source position at or before it
  WallTime commit_time{};  // of that position
  std::uint32_t session = 0;
  Epoch promised;  // to be seen on the wire: what is older the target refuses by itself
  std::vector<journal::EpochEntry> history;
  bool copied = false;  // the initial copy is complete
};

struct Refuse {
  ErrorKind kind = ErrorKind::invalid;
  Retry retry = Retry::no;
  std::string what;
};

struct Begin {
  Place next;                     // of the first record that follows
  std::uint64_t hash_before = 0;  // running hash before it
  std::vector<journal::EpochEntry> history;
};

struct Overtaken {  // instead of a Begin: the source no longer holds what the target needs next
  std::string why;
};

struct Records {
  std::vector<PlacedRecord> records;
};

struct Ack {
  Place durable;
  Sequence applied;
  WallTime durable_commit_time{}, applied_commit_time{};  // the source's clock; zero: none yet
  std::uint64_t applied_transactions = 0, applied_changes = 0;  // as the target counts them
  State state = State::stopped;                                 // of the target's leg
  std::string reason, remedy;
  std::uint32_t resumes = 0;  // how often an operator has said `resume` at the target's side
  WallTime pause_at{};        // `pause --at`: applies commits up to it; zero: not asked for
};

struct Fetch {
  Sequence first, last;
};
struct Fetched {
  std::vector<PlacedRecord> records;  // empty: not held
};

struct Verb {
  Uuid stream;
  Epoch epoch;
  std::string name;      // pause, resume, skip, resnapshot, or kBeginAnew
  std::string argument;  // pause: time or empty; skip: place; resnapshot: table or empty
};
// A target that lacks a part of the log: all its tables are copied again, its journal is emptied;
// it ends the ship channel, and the source's next one begins anew. A target that was overtaken in
// its own journal does the same when it hears `resnapshot`.
inline constexpr const char* kBeginAnew = "begin-anew";
struct VerbDone {
  std::string error;  // empty: done
};

struct Prepare {
  Uuid stream;
  Bytes shared_definitions;
  std::vector<SourceTable> tables;
  ExistingRows existing = ExistingRows::refuse;
};
struct Prepared {
  std::vector<TargetTable> tables;
};
struct CopyAsk {
  std::vector<SourceTable> tables;  // without their definitions
  Sequence through;                 // what the journal held when they were listed
};
struct CopyMissing {
  std::vector<std::string> tables;
  bool first = false;  // it is the stream's first copy to this target
};
struct CopyDone {};
struct Completed {};
struct TableBegin {
  Uuid stream;
  SourceTable table;
};
struct Chunk {
  Bytes bytes;
};
struct TableEnd {
  Bytes mark;
  std::uint64_t rows = 0;
};
struct TableCopied {};

constexpr std::size_t kListMax = 100'000;  // elements of any list in a message

using Message = std::variant<Hello, Welcome, Refuse, Begin, Records, Ack, Fetch, Fetched, Verb,
                             VerbDone, Prepare, Prepared, CopyDone, Completed, TableBegin, Chunk,
                             TableEnd, TableCopied, CopyAsk, CopyMissing, Overtaken>;

Bytes encode(const Message& message);
// corrupt: names the message, and what in it this build does not know.
Result<Message> decode(ByteView bytes);

}  // namespace farshore::pipeline
