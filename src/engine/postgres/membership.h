// Membership: which table the stream's publication lists under a name, and since when. The text
// (SourceTable::membership) is "<place in the publication>/<the table's oid>"; of a partition that
// is not listed yet but a table above it is, that table's place and the partition's own oid; of a
// table above a listed one it is empty. It is another one when the table was listed anew, dropped
// and made again, or renamed over another; and when a partition is listed, since what was done to
// it before may have been done while it was detached.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "engine/postgres/connection.h"
#include "engine/postgres/table_rules.h"

namespace farshore::postgres {

// Of a publication $1, to go before a SELECT: members(oid, under, listed, membership) are the
// tables that it lists, all partitions below them, and all partitioned tables above them. `under`:
// the listed table whose partition this one is; `listed`: it is so by itself.
extern const char* const kMembersSql;

// Tables and partitions that the publication takes, with their memberships.
Result<std::map<TableName, std::string>> read_memberships(Connection& connection,
                                                          const std::string& publication,
                                                          Deadline deadline);

// What farshore.table_state holds of it. `kept`: the table was not copied under this membership,
// its rows were left alone; they say nothing of which table at the source they are of.
struct StoredMembership {
  std::string text;
  bool kept = false;

  static StoredMembership from(std::string_view stored);
  std::string stored() const;
  // The oid that Relation messages of the copied table bear; 0: any may come.
  std::uint32_t oid() const;
};

}  // namespace farshore::postgres
