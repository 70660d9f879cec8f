// TableDifferences: how a table of the target differs from the source's definition of it, with the
// lines to paste. Pure. The initial copy refuses what is an error here; `check` says all.
#pragma once

#include <string>
#include <vector>

#include "engine/postgres/catalog.h"
#include "site/site.h"

namespace farshore::postgres {

struct TableDifference {
  FindingLevel level = FindingLevel::error;  // error: rows of the source cannot be written as such
  std::string code;                          // "column_missing"
  std::string what;                          // "column price is missing"
  std::string remedy;                        // "ALTER TABLE …;"; empty: none
};

// Columns that are missing, of another type, generated, identity, NOT NULL or without default on
// one side only. `server_version`: the target's.
std::vector<TableDifference> column_differences(const TableDefinition& source,
                                                const TableDefinition& target, int server_version);
// Keys by which rows are found, and constraints that only the target has.
std::vector<TableDifference> key_differences(const TableDefinition& source,
                                             const TableDefinition& target);

}  // namespace farshore::postgres
