// What the target has of the objects that a copy needs, before anything is made or changed.
// Internal to copy_sink and to the site's comparison of tables.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/postgres/catalog.h"
#include "engine/postgres/membership.h"
#include "engine/postgres/table_differences.h"
#include "sink/copy_sink.h"

namespace farshore::postgres {

struct KnownState {
  TableState state = TableState::missing;
  bool replace = false;  // its rows may be removed before the copy
  std::uint64_t rows = 0;
  StoredMembership membership;  // SourceTable's, when it was copied
};

// Why a copy cannot begin.
struct Refusal {
  std::string code;    // as of a finding: "holds_rows"
  std::string object;  // "table public.t"
  std::string what;    // "holds rows"
  std::string remedy;  // the lines to paste
  std::string text() const { return object + " " + what + ": " + remedy; }
};

inline constexpr const char* kColumnsDiffer = "columns_differ";
inline constexpr const char* kNotReadable = "not_readable";

struct Survey {
  std::vector<std::string> missing_schemas;
  std::vector<TypeDefinition> missing_types;      // in an order in which they can be made
  std::map<TableName, TableDefinition> existing;  // tables of the list that are there
  std::set<TableName> other_relations;            // of such a name, but no table
  std::map<std::string, KnownState> states;       // by SourceTable::name
  std::map<std::string, bool> holds_rows;         // of existing tables that are not copied yet
  std::vector<std::string> rejoined;              // copied once, and then out of the stream
  std::map<std::string, std::string> renamed;     // at the source since the copy: now, then
  std::vector<Refusal> refusals;
};

// refusals: missing extensions and enum labels, other relations in the place of tables, differing
// columns, and rows where `existing` refuses them, or that the role may not look for. `stream` nil:
// not known here, so the states of any stream count. `tables`: those whose membership is compared.
Result<Survey> survey_target(Connection& connection, const Uuid& stream,
                             const SharedDefinitions& shared,
                             const std::vector<SourceTable>& tables,
                             const std::vector<TableDefinition>& definitions, ExistingRows existing,
                             Deadline deadline);

bool is_copied(TableState state);  // its changes are applied
TableState table_state_of(std::string_view text);
std::string_view text_of(TableState state);

}  // namespace farshore::postgres
