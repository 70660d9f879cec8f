// Publication: the tables of one stream, listed one by one in a publication of its own.
// Used by one thread over one connection at a time.
//
// Each partition is listed, too: through a table above it the server sends its changes only while
// it is attached.
//
// The application waits for us at most half a second (lock_timeout), and only with DDL; no lock is
// waited for while others are held, so that it loses no deadlock against us; REPLICA IDENTITY FULL
// is set only when its lock is free at once. What did not succeed is tried again at the next
// refresh; a table that waits for several of them is told.
//
// What the server refuses because a table is published we cannot prevent: SET UNLOGGED; and UPDATE
// and DELETE from the loss of its identity until the refresh that follows.
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "engine/postgres/connection.h"
#include "engine/postgres/source_options.h"
#include "engine/postgres/table_rules.h"

namespace farshore::postgres {

class Publication {
 public:
  explicit Publication(const SourceOptions& options);

  // Makes the publication when it is missing, and lists in it what the rules choose now.
  // Differences to the refresh before are events: source.table_published, source.table_unpublished,
  // source.table_keyless, source.table_unlogged, source.table_refused, source.table_locked.
  Result<void> refresh(Connection& connection, Deadline deadline);
  // Whether it is time for a refresh: until then the application's UPDATE and DELETE of such a
  // table fail. One quick catalog read.
  Result<bool> may_have_lost_identity(Connection& connection, Deadline deadline) const;
  // How often tables, or partitions below a listed one, were found that it did not take before
  // under that name.
  std::uint64_t joined() const { return joined_; }
  bool empty() const { return taken_.empty(); }  // after the newest refresh
  static Result<void> drop(Connection& connection, const Uuid& stream, Deadline deadline);

 private:
  Result<void> create(Connection& connection, Deadline deadline);
  // Leaves what `choice` can have published now.
  Result<void> add(Connection& connection, TableChoice& choice, const std::set<TableName>& before,
                   Deadline deadline);
  void leave_roots_out(TableChoice& choice, const std::set<TableName>& listed) const;
  Result<void> alter(Connection& connection, const char* verb, const std::set<TableName>& tables,
                     Deadline deadline);
  Result<void> alter_one(Connection& connection, const std::string& start, const TableName& table,
                         Deadline deadline);
  Result<void> set_full(Connection& connection, TableChoice& choice, Deadline deadline);
  void tell_choice(const TableChoice& choice, const std::set<TableName>& before);
  void note_taken(std::map<TableName, std::string> taken);
  // `statement` waited for a lock: from the third refresh on who holds it is told.
  Result<void> tell_locked(Connection& connection, const TableName& table,
                           const std::string& statement, Deadline deadline);
  // Once for each table and reason, and again when the reason was gone in between.
  void tell_kept_out(const TableName& table, Severity severity, const char* event,
                     const std::string& message);
  void tell(Severity severity, const char* event, std::string message);

  const SourceOptions& options_;
  const std::string name_;                     // quoted
  std::map<TableName, std::string> kept_out_;  // last event of each
  std::map<TableName, std::string> kept_out_now_;
  std::map<TableName, int> locked_, locked_now_;  // for how many refreshes in a row
  std::map<TableName, std::string> taken_;        // with partitions: memberships
  std::uint64_t joined_ = 0;
};

// The tables of the database that could be published, as choose_tables wants them.
Result<std::vector<CatalogTable>> read_catalog_tables(Connection& connection, Deadline deadline);
// What the publication lists; not_found when there is none.
Result<std::set<TableName>> read_published(Connection& connection, const Uuid& stream,
                                           Deadline deadline);

}  // namespace farshore::postgres
