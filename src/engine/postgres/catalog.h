// Table definitions: what a table is, read from the source's catalogs, carried as JSON to the sink
// side, from which missing target tables are made. All expressions and type names are the server's
// own text under an empty search_path: names outside pg_catalog are schema-qualified.
#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "engine/postgres/connection.h"

namespace farshore::postgres {

struct ColumnDefinition {
  std::string name;
  std::string type;                    // format_type with modifier: numeric(10,2), shop.mood[]
  std::string type_schema, type_name;  // pg_type's own names
  std::string base_type;               // of a domain: what lies beneath, without modifier
  std::string collation;               // quoted and qualified; empty: the type's default
  bool not_null = false;
  std::string default_expression;  // empty: none; of a generated column: its expression
  std::string identity;            // "": none, "a": always, "d": by default
  std::string generated;           // "": none, "s": stored, "v": virtual
  bool binary_copy = false;        // binary COPY is safe between any two servers we support
};

struct ConstraintDefinition {
  std::string name;
  char kind = 'c';         // p primary key, u unique, c check, x exclusion, f foreign key
  std::string definition;  // pg_get_constraintdef: PRIMARY KEY (id)
  std::vector<std::string> columns;
  std::string referenced_schema, referenced_table;  // foreign key
  bool validated = true;
  bool inherited = false;  // comes with the partition's parent: do not make it again
};

struct IndexDefinition {
  std::string name;
  std::string definition;  // pg_get_indexdef: CREATE UNIQUE INDEX i ON public.t USING btree (a)
  bool unique = false;
  std::vector<std::string> columns;  // of the key; empty: partial, or on an expression
  bool inherited = false;            // comes with the partitioned parent's index
};

struct SequenceDefinition {
  std::string schema, name;
  std::string type;                                       // bigint
  std::string start, increment, minimum, maximum, cache;  // int64 as text
  bool cycle = false;
  std::string owner_column;  // empty: used by a default, but not owned by a column of this table
  bool identity = false;     // belongs to an identity column: is made with it
};

struct TableDefinition {
  std::string schema, name;
  char kind = 'r';  // r table, p partitioned table
  bool unlogged = false;
  std::vector<ColumnDefinition> columns;
  std::vector<ConstraintDefinition> constraints;  // not the foreign keys
  std::vector<ConstraintDefinition> foreign_keys;
  std::vector<IndexDefinition> indexes;  // without those that constraints make
  std::vector<SequenceDefinition> sequences;
  std::string storage_parameters;             // fillfactor=70, autovacuum_enabled=false
  std::string partition_by;                   // RANGE (at); only of a partitioned table
  std::string parent_schema, parent_name;     // of a partition
  std::string partition_bound;                // FOR VALUES FROM (…) TO (…)
  char replica_identity = 'd';                // pg_class.relreplident
  std::string replica_identity_index;         // of 'i'
  std::vector<std::string> identity_columns;  // by which a row is found; empty with 'f' or 'n'
  // Published through its root: the partitions below, parents first. They get no rows of their own.
  std::vector<TableDefinition> partitions;

  std::string quoted_name() const;                  // as SourceTable.name
  std::vector<std::string> copied_columns() const;  // all that are not generated, in order
  bool binary_copy() const;                         // all copied columns can be copied in binary
  const ColumnDefinition* column(std::string_view name) const;  // nullptr: none
};

struct AttributeDefinition {
  std::string name, type, collation;
};

struct TypeDefinition {
  std::string schema, name;
  char kind = 'e';                              // e enum, d domain, c composite, r range
  std::vector<std::string> labels;              // enum, in order
  std::vector<AttributeDefinition> attributes;  // composite
  std::string base_type, default_expression;    // domain; range: base_type is the subtype
  bool not_null = false;                        // domain
  std::string collation;                        // domain, range
  std::vector<ConstraintDefinition> checks;     // domain
  std::string subtype_opclass, canonical, subtype_diff, multirange_name;  // range; may be empty
};

// What belongs to no single table, in an order in which it can be made.
struct SharedDefinitions {
  std::vector<std::string> schemas;
  std::vector<std::string> extensions;  // whose types the tables use: must be there
  std::vector<TypeDefinition> types;
};

std::string to_json(const TableDefinition& table);
Result<TableDefinition> table_from_json(std::string_view json);  // corrupt
std::string to_json(const SharedDefinitions& shared);
Result<SharedDefinitions> shared_from_json(std::string_view json);  // corrupt

struct TableName {
  std::string schema, name;
  std::string quoted() const;
  friend auto operator<=>(const TableName&, const TableName&) = default;
};

// "(VALUES ('public', 't'), …) AS w(schema, name)", to be joined with catalogs; of none: no rows.
std::string values_sql(const std::vector<TableName>& names);

// In the order of `tables`; one that is not there is left out. Any connection; leaves search_path
// as it was.
Result<std::vector<TableDefinition>> read_tables(Connection& connection,
                                                 const std::vector<TableName>& tables,
                                                 Deadline deadline);
// What the tables need: their schemas, and their types with all those types need.
Result<SharedDefinitions> read_shared(Connection& connection, const std::vector<TableName>& tables,
                                      Deadline deadline);

}  // namespace farshore::postgres
