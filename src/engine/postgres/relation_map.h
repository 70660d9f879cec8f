// RelationMap: what the change stream has said of its tables (Relation and Type messages), and
// which columns of the target's tables they are. Columns are matched by name, never by number.
//
// The stream's order of Relation messages is the order of commits; a group that rolls back takes
// back what it learned. One thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"
#include "change/stream_command.h"
#include "engine/postgres/pgoutput.h"
#include "engine/postgres/sink_catalog.h"

namespace farshore::postgres {

struct SourceColumn {
  std::string name;
  bool key = false;
  std::uint32_t type = 0;  // the source's oid
  std::int32_t modifier = -1;
  friend bool operator==(const SourceColumn&, const SourceColumn&) = default;
};

struct SourceRelation {
  std::uint32_t oid = 0;
  std::string schema, name;
  char replica_identity = 'd';
  std::vector<SourceColumn> columns;

  std::string quoted() const;  // as SourceTable::name
  friend bool operator==(const SourceRelation&, const SourceRelation&) = default;
};

// A source table laid upon the target's table of the same name.
struct MappedRelation {
  std::uint64_t id = 0;  // the session's own number of this mapping
  SourceRelation source;
  TargetRelation target;
  std::vector<std::size_t> target_of;  // by source column
  std::vector<bool> written;           // by source column; false: generated at the target
  std::vector<bool> in_key;            // by source column
  std::vector<std::size_t> key;        // source columns by which a row is found
  bool whole_row = false;              // no key: a row is found by all its columns
  // The rows of one batch may be written in any order: nothing but the key can collide.
  bool order_free = false;
  // Each key finds one row at most, so the count of a whole set tells that each found its own.
  bool key_is_unique = false;
};

// By the source's oid: schema and name, of a domain those of its base type.
using SourceTypes = std::map<std::uint32_t, std::pair<std::string, std::string>>;

// How the source's column type is written at the target.
using TypeText = std::function<std::string(const SourceColumn&)>;

// rejected: a column is missing or of another type; its remedy has the lines to paste and what
// then, with commands for `leg`.
Result<MappedRelation> map_relation(const SourceRelation& source, TargetRelation target,
                                    const SourceTypes& types, const TypeText& type_text,
                                    const LegName& leg);
// For a table that the target lacks.
Error missing_table(const SourceRelation& source, const TypeText& type_text);
// Of a type that is the source's own; empty for a built-in one, whose text every server knows.
std::string own_type_text(const SourceColumn& column, const SourceTypes& types);

// The table's copy state (TableGates).
struct GateKey {
  bool known = false;
  int gate = 0;
  bool other_table = false;  // than the one that was copied
  bool gone = false;         // the source no longer lists it
  bool other_name = false;   // it does so under another name, whose gate this is
};

class RelationMap {
 public:
  struct Entry {
    SourceRelation source;
    std::shared_ptr<const MappedRelation> mapped;  // null: not looked up yet
    GateKey gate;                                  // the sink's
  };

  bool learn(const Relation& relation);  // true: it said something else of this relation before
  void learn(const Type& type);
  // corrupt: no Relation message came before the change.
  Result<Entry*> find(std::uint32_t oid);
  const SourceTypes& types() const { return types_; }

  void forget_all();      // a new capture session
  void forget_targets();  // the target's catalog may have changed
  void keep_group();      // what was learned since the last call stays
  void drop_group();      // what was learned since then is taken back

 private:
  std::unordered_map<std::uint32_t, std::shared_ptr<Entry>> relations_;
  SourceTypes types_;
  std::vector<std::pair<std::uint32_t, std::shared_ptr<Entry>>>
      replaced_;  // bounded by a group's messages
  std::uint32_t last_oid_ = 0;
  Entry* last_ = nullptr;
};

}  // namespace farshore::postgres
