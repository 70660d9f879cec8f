// Record: the envelope that journal and link carry. The payload is the source's own bytes; only the
// sink of the same engine reads it.
//
// A transaction is one or more `data` records with the same (session, xid): the first is marked
// `first`, the one that commits it `last`. Records of several open transactions may lie between
// each other (a source that streams transactions in progress). `abort` ends a transaction, or one
// of its subtransactions, without effect; a `session` record abandons all that the session before
// left open.
#pragma once

#include <cstdint>

#include "base/units.h"
#include "change/place.h"

namespace farshore {

constexpr std::uint64_t kRecordPayloadMax = 1_MiB;
constexpr std::uint64_t kPositionMax = 16_KiB;

enum class RecordKind : std::uint8_t {
  data = 1,     // a part of a transaction
  abort = 2,    // transaction xid, or its subtransaction sub_xid, has no effect
  session = 3,  // a capture session starts: payload is the source's identity; open transactions are
                // abandoned
  // What a reader that starts here must know first (Relation and Type messages); opaque. It stands
  // between transactions that are written whole; with `streamed` some that are streamed were open,
  // of which such a reader sees the end only.
  preamble = 4,
  heartbeat = 5,   // a commit of our own in the source: moves commit_time, changes no table
  definition = 6,  // the stream's definition as the source's region owns it
  table = 7,  // a step of a table's initial copy (see source/snapshot.h); belongs to no transaction
  // What later records need to know too, as a preamble's payload, but not all of it: nobody starts
  // here. A streamed transaction that brought definitions is followed by them, for readers that
  // have not seen its beginning.
  schema = 8,
};

struct RecordFlags {
  bool first = false;  // of its transaction
  bool last = false;   // commits its transaction: position and commit_time are set
  // data: was written before its transaction ended: messages carry their (sub)transaction;
  // preamble: was written while such transactions were open
  bool streamed = false;
  bool continued =
      false;  // the last message of the payload goes on in the transaction's next record
  friend bool operator==(const RecordFlags&, const RecordFlags&) = default;
};

struct Record {
  RecordKind kind = RecordKind::data;
  RecordFlags flags;
  std::uint32_t session = 0;  // capture session; counts up within a journal
  std::uint64_t xid = 0;      // the source's transaction; 0: belongs to none
  std::uint64_t sub_xid = 0;  // abort only: the subtransaction; 0: the whole transaction
  std::uint32_t changes = 0;  // row changes in the payload
  WallTime commit_time{};     // the source's clock; set on `last` and `heartbeat`
  Position
      position;  // where the source may be resumed after this record; set on `last` and `heartbeat`
  Bytes payload;  // <= kRecordPayloadMax
  friend bool operator==(const Record&, const Record&) = default;
};

// A record with its place, as a journal holds it and a link ships it. `hash` is the running hash up
// to and with this record: chain_hash(hash of the record before, encoded record), see
// docs/formats/record.md.
struct PlacedRecord {
  Place place;
  std::uint64_t hash = 0;
  Record record;
};

inline bool ends_transaction(const Record& r) {
  return (r.kind == RecordKind::data && r.flags.last) ||
         (r.kind == RecordKind::abort && r.sub_xid == 0);
}

}  // namespace farshore
