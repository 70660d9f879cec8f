// ReplicaIdentity: by what the server tells the rows of a table apart, and whether the
// application's UPDATE and DELETE still pass once that table is published. The one judgement of the
// publication and of `check`. Pure values; read_catalog_tables fills them.
#pragma once

#include <string>

#include "engine/postgres/catalog.h"

namespace farshore::postgres {

struct ReplicaIdentity {
  char setting = 'd';  // pg_class.relreplident: d primary key, i index, f full, n nothing
  std::string index;   // that names the rows, quoted; empty: none
  bool valid = true, immediate = true;  // that index
  // Columns of the identity that the publication leaves out, quoted and listed: generated ones,
  // with which a server refuses UPDATE and DELETE from 18 on.
  std::string unpublished;
  bool full_works = true;  // so would REPLICA IDENTITY FULL: no column is left out
  // What a key that the table has would make the identity: "DEFAULT" or "USING INDEX orders_n".
  std::string other;

  bool usable() const;
  // Only a primary key: partitions made later inherit that, and no other identity.
  bool inherited() const { return usable() && setting == 'd'; }
};

// Of one that is not usable. A clause: "its primary key orders_pkey is DEFERRABLE".
std::string why_unusable(const ReplicaIdentity& identity);
// SQL that makes it usable, with a remark: "ALTER TABLE …;  -- …".
std::string remedy_of(const TableName& table, const ReplicaIdentity& identity);

}  // namespace farshore::postgres
