// TableRules: which tables a stream publishes, decided from its rules and what the catalog says of
// the tables. Pure.
//
// Publishing a table that has no usable replica identity makes the application's own UPDATE and
// DELETE fail, so such a table stays out. The same holds for partitions: a partitioned
// table is published whole only when it and all below it have an identity, else part by part.
// Whole means: itself, for partitions made later, and each partition. Through a table above it a
// partition is published only while it is attached, so what is done to it between DETACH and ATTACH
// would be lost; and the server would let it write no log meanwhile (SET UNLOGGED).
#pragma once

#include <map>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/postgres/catalog.h"
#include "engine/postgres/replica_identity.h"
#include "engine/postgres/source_options.h"

namespace farshore::postgres {

struct CatalogTable {
  TableName name;
  char kind = 'r';  // r table, p partitioned table
  TableName root;   // of a partition: the topmost table; else empty
  bool unlogged = false;
  ReplicaIdentity identity;
};

struct TableChoice {
  std::set<TableName> publish;  // as the publication lists them
  // Of those the partitioned tables, each with its partitions.
  std::map<TableName, std::set<TableName>> whole;
  std::map<TableName, ReplicaIdentity>
      keyless;                     // matched, without one that is usable: not published
  std::set<TableName> needs_full;  // matched by identity: full, and not FULL yet
  std::set<TableName> unlogged;    // matched, but write no log
};

bool glob_matches(std::string_view pattern, std::string_view text);

bool matches(const TableRule& rule, const TableName& table);
// The rule that decides about a table, be it to leave it out; nullptr: none matches.
const TableRule* matching_rule(std::span<const TableRule> rules, const TableName& table);
// The same, nullptr also when the rule leaves the table out.
const TableRule* rule_of(std::span<const TableRule> rules, const TableName& table);

TableChoice choose_tables(std::span<const TableRule> rules, std::span<const CatalogTable> tables);

}  // namespace farshore::postgres
