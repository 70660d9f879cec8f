// TargetRelation: one table as the target's catalog has it now, with what the sink must know to
// write rows into it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"

namespace farshore::postgres {

class Pipeline;

struct TargetColumn {
  std::string name;
  std::uint32_t type = 0;
  std::int32_t modifier = -1;
  std::uint32_t array_type = 0;        // type of an array of it; 0: there is none
  std::string type_text;               // "character varying(20)"
  std::string bare_type_text;          // the same without length: "character varying"
  std::string type_schema, type_name;  // of its own type
  std::string base_schema, base_name;  // beneath domains
  std::uint32_t base_type = 0;
  bool set_as_text = false;   // arrays and composites, which unnest would take apart
  bool has_equality = false;  // its type has a btree operator class of its own
  // As SQL that names its type's own equality, whatever the search_path: "=", or "OPERATOR(s.=)".
  std::string equals = "=";
  bool not_null = false;
  bool has_default = false;  // or is an identity column
  bool identity_always = false;
  bool generated = false;
};

struct UniqueIndex {
  std::string name;
  std::vector<std::size_t> columns;  // indexes into TargetRelation::columns
  bool finds_rows = false;  // immediate, whole, of columns only, all NOT NULL: a key of its rows
};

struct TargetRelation {
  std::uint32_t oid = 0;
  std::string schema, name;
  std::string quoted;  // "My Schema"."T"
  char kind = 'r';     // pg_class.relkind
  std::vector<TargetColumn> columns;
  std::vector<UniqueIndex> uniques;  // the primary key first
  bool has_exclusion = false;
  bool has_firing_triggers = false;  // that fire in the sink's session
  bool delete_cascades = false;      // of its rows, in the sink's session: rows of others change
  bool row_security = false;         // applies to the sink's role
  std::string role;                  // the sink's, quoted

  bool has_identity_always() const;
  int find_column(const std::string& column) const;  // -1: none
};

// The table as it is now; nullopt: there is none. Nothing sent before may have failed.
// `replica_role`: the session applies as a replica, so only triggers ENABLEd for that fire.
Result<std::optional<TargetRelation>> read_target_relation(Pipeline& pipeline,
                                                           const std::string& schema,
                                                           const std::string& name,
                                                           bool replica_role);
// How the target writes a type: "character varying(20)".
Result<std::string> target_type_text(Pipeline& pipeline, std::uint32_t type, std::int32_t modifier);

}  // namespace farshore::postgres
