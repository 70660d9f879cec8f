// The sink's SQL, one statement per table, operation and set of columns. Parameters are the values
// of `written`, then those of the key, each of the column's own type, so that no cast can shorten
// or round a value. Set-based forms take one array per parameter; arrays and composites travel in
// them as text[], because unnest would take them apart.
//
// Columns are indexes into TargetRelation::columns. Pure; see
// docs/adr/0005-sink-groups-and-row-counts.md.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/postgres/sink_catalog.h"

namespace farshore::postgres {

using ColumnList = std::span<const std::size_t>;

struct StatementText {
  std::string sql;
  std::vector<std::uint32_t> types;  // of $1, $2, ...
};

StatementText insert_row(const TargetRelation& table, ColumnList written);
StatementText insert_set(const TargetRelation& table, ColumnList written);
// With nothing to write they still count the rows of that key.
StatementText update_row(const TargetRelation& table, ColumnList written, ColumnList key);
StatementText update_set(const TargetRelation& table, ColumnList written, ColumnList key);
StatementText delete_row(const TargetRelation& table, ColumnList key);
StatementText delete_set(const TargetRelation& table, ColumnList key);

// An UPDATE of a column that the server lets nobody update (GENERATED ALWAYS AS IDENTITY): the row
// is deleted and inserted in one statement, columns that are not `written` keep their value.
StatementText replace_row(const TargetRelation& table, ColumnList written, ColumnList key);

// A table without a key: exactly one of the rows that are equal in all `old` columns. `nulls[i]`:
// old[i] is NULL and takes no parameter.
StatementText update_whole_row(const TargetRelation& table, ColumnList written, ColumnList old,
                               const std::vector<bool>& nulls);
StatementText delete_whole_row(const TargetRelation& table, ColumnList old,
                               const std::vector<bool>& nulls);

// The target's rows of that key, three at most: their `columns` as text of at most
// kSelectedTextMax + 1 characters.
constexpr std::size_t kSelectedTextMax = 1024;
StatementText select_row(const TargetRelation& table, ColumnList columns, ColumnList key);

std::string copy_statement(const TargetRelation& table, ColumnList written);
std::string truncate_statement(std::span<const TargetRelation* const> tables,
                               bool restart_identity);
// The same of one table that others may refer to.
std::vector<std::string> empty_statements(const TargetRelation& table, bool restart_identity);

// --- Values of set-based statements and of COPY, appended to `out`.
void append_array_element(std::string& out, std::string_view value);  // quoted, for {"a","b",NULL}
void append_copy_field(std::string& out, std::string_view value);     // COPY text format

}  // namespace farshore::postgres
