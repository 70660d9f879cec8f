// Messages of the pgoutput plugin, protocol versions 1 to 4 (PostgreSQL manual, "Logical
// Replication Message Formats"). Pure and without allocation for row changes: views point into the
// bytes given to decode and live as long as they do.
//
// Two-phase messages (b P K r p) are refused: our slots never ask for them.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/units.h"
#include "engine/postgres/lsn.h"

namespace farshore::postgres {

enum class MessageType : char {
  begin = 'B',
  commit = 'C',
  origin = 'O',
  relation = 'R',
  type = 'Y',
  insert = 'I',
  update = 'U',
  remove = 'D',
  truncate = 'T',
  logical = 'M',
  stream_start = 'S',
  stream_stop = 'E',
  stream_commit = 'c',
  stream_abort = 'A',
};

enum class ValueKind : char {
  null = 'n',
  unchanged = 'u',  // a TOASTed value that did not change: not sent
  text = 't',
  binary = 'b',
};

struct Value {
  ValueKind kind = ValueKind::null;
  ByteView bytes;
};

// A row's values in the order of its relation's columns. Bounds were checked by decode.
class Tuple {
 public:
  Tuple() = default;
  Tuple(std::uint16_t columns, ByteView bytes) : columns_(columns), bytes_(bytes) {}
  std::uint16_t columns() const { return columns_; }
  ByteView bytes() const { return bytes_; }

 private:
  std::uint16_t columns_ = 0;
  ByteView bytes_;
};

// Walks a tuple: `for (TupleReader reader(tuple); auto value = reader.next();)`.
class TupleReader {
 public:
  explicit TupleReader(const Tuple& tuple) : left_(tuple.columns()), bytes_(tuple.bytes()) {}
  std::optional<Value> next();

 private:
  std::uint16_t left_;
  ByteView bytes_;
};

// What the old tuple of an UPDATE or DELETE holds.
enum class OldTuple : char {
  none = 0,
  key = 'K',   // replica identity columns; the others are NULL, which is not their value
  full = 'O',  // REPLICA IDENTITY FULL: all columns
};

// `xid` of the messages below is set only inside a stream block: the (sub)transaction; else 0.
struct Begin {
  Lsn final_lsn;
  WallTime commit_time{};
  std::uint32_t xid = 0;
};
struct Commit {
  Lsn commit_lsn, end_lsn;
  WallTime commit_time{};
};
struct Origin {
  Lsn commit_lsn;
  std::string_view name;
};
struct RelationColumn {
  bool key = false;  // part of the replica identity (FULL: all)
  std::string_view name;
  std::uint32_t type_oid = 0;  // the source's
  std::int32_t type_modifier = -1;
};
struct Relation {
  std::uint32_t xid = 0;
  std::uint32_t oid = 0;
  std::string_view schema;  // pgoutput sends pg_catalog as an empty name; this says pg_catalog
  std::string_view name;
  char replica_identity = 'd';  // pg_class.relreplident: d n f i
  std::vector<RelationColumn> columns;
};
struct Type {
  std::uint32_t xid = 0;
  std::uint32_t oid = 0;
  std::string_view schema, name;
};
struct Insert {
  std::uint32_t xid = 0;
  std::uint32_t relation = 0;
  Tuple row;
};
struct Update {
  std::uint32_t xid = 0;
  std::uint32_t relation = 0;
  OldTuple old_kind = OldTuple::none;  // none: the key did not change
  Tuple old_row;
  Tuple row;
};
struct Delete {
  std::uint32_t xid = 0;
  std::uint32_t relation = 0;
  OldTuple old_kind = OldTuple::key;
  Tuple old_row;
};
struct Truncate {
  std::uint32_t xid = 0;
  bool cascade = false;
  bool restart_identity = false;
  std::vector<std::uint32_t> relations;
};
struct Logical {
  std::uint32_t xid = 0;
  bool transactional = false;
  Lsn lsn;
  std::string_view prefix;
  ByteView content;
};
struct StreamStart {
  std::uint32_t xid = 0;
  bool first_segment = false;
};
struct StreamStop {};
struct StreamCommit {
  std::uint32_t xid = 0;
  Lsn commit_lsn, end_lsn;
  WallTime commit_time{};
};
struct StreamAbort {
  std::uint32_t xid = 0;
  std::uint32_t sub_xid = 0;  // == xid: the whole transaction
};

using Message = std::variant<Begin, Commit, Origin, Relation, Type, Insert, Update, Delete,
                             Truncate, Logical, StreamStart, StreamStop, StreamCommit, StreamAbort>;

// `in_stream`: the message stands between StreamStart and StreamStop. Takes exactly all bytes.
// corrupt: names the message type and what is wrong.
Result<Message> decode(ByteView message, bool in_stream);

}  // namespace farshore::postgres
