// What the target has of the objects that a copy needs, before anything is made or changed.
// Internal to copy_sink.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/catalog.h"
#include "engine/postgres/membership.h"
#include "sink/copy_sink.h"

namespace farshore::postgres {

struct KnownState {
  TableState state = TableState::missing;
  bool replace = false;  // its rows may be removed before the copy
  std::uint64_t rows = 0;
  StoredMembership membership;  // SourceTable's, when it was copied
};

struct Survey {
  std::vector<std::string> missing_schemas;
  std::vector<TypeDefinition> missing_types;      // in an order in which they can be made
  std::map<TableName, TableDefinition> existing;  // tables of the list that are there
  std::map<std::string, KnownState> states;       // by SourceTable::name
  std::map<std::string, bool> holds_rows;         // of existing tables that are not copied yet
  std::vector<std::string> rejoined;              // copied once, and then out of the stream
  std::vector<std::string> refusals;              // each with the lines to paste
};

// refusals: missing extensions and enum labels, differing columns, and rows where `existing`
// refuses them. `definitions` are those of `tables`, in the same order.
Result<Survey> survey_target(Connection& connection, const Uuid& stream,
                             const SharedDefinitions& shared,
                             const std::vector<SourceTable>& tables,
                             const std::vector<TableDefinition>& definitions, ExistingRows existing,
                             Deadline deadline);

// Pure: why rows of `source` cannot be copied into the table that is there; empty: they can.
std::string shape_refusal(const TableDefinition& source, const TableDefinition& target,
                          int server_version);

TableState table_state_of(std::string_view text);
std::string_view text_of(TableState state);

}  // namespace farshore::postgres
