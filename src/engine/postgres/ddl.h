// SQL that makes the target's objects from the source's definitions (catalog.h). Pure. Text comes
// from the source's server under an empty search_path and means the same under one at the target.
//
// What a table needs to take rows by their key is made before its copy; what would only slow the
// copy, or cannot hold before all tables have caught up, after it.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/postgres/catalog.h"

namespace farshore::postgres {

std::string create_type(const TypeDefinition& type);

// A name is at most 63 bytes: what is cut off before `end` is whole characters.
std::string name_ending(const std::string& name, std::string_view end);

// An index, and a key that makes one, shares its name with all relations of its schema. Of names
// that are taken: the table whose index it is, or no name.
using TakenNames = std::map<TableName, TableName>;
struct IndexName {
  TableName table;
  std::string name;
};
std::vector<IndexName> index_names(const TableDefinition& table);
struct NewName {
  TableName table;
  std::string wanted, given;
};
// Where another has the name, one that is free: a_pkey1. `taken` learns what is given.
std::vector<NewName> use_free_names(TableDefinition& table, TakenNames& taken);

// Sequences that defaults use, the table with keys and validated checks, partitions published
// through it, replica identity. `as_partition`: its parent is there, so it becomes a partition of
// it. `server_version`: the target's.
std::vector<std::string> create_table(const TableDefinition& table, bool as_partition,
                                      int server_version);

// One object to be made after the copy, with what its absence is recognised by.
struct LaterObject {
  enum class Kind : std::uint8_t { index, constraint, foreign_key };
  Kind kind = Kind::index;
  std::string schema, table, name;
  std::string sql;
  std::string validate;  // foreign keys: once all tables have caught up; may be empty
};
std::vector<LaterObject> objects_after_copy(const TableDefinition& table);
std::vector<std::string> identity_after_copy(
    const TableDefinition& table);  // REPLICA IDENTITY USING INDEX

std::string add_column(const std::string& table, const ColumnDefinition& column,
                       int server_version);

}  // namespace farshore::postgres
