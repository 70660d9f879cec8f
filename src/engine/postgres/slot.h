// Slot: the replication slot of a stream, through SQL. Made once, before the first capture; after
// that only read and at the end dropped (making one waits for all transactions).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/source_options.h"

namespace farshore::postgres {

struct SlotState {
  std::string plugin, database;
  int active_pid = 0;  // 0: nobody reads from it
  bool lost = false;   // the server took back its log, or invalidated it
  std::string lost_reason;
  Lsn restart, confirmed;
};

struct ServerState {
  std::string database_oid;
  std::string database;
  Lsn position;  // end of its log
  bool standby = false;
  // Commits wait for our capture session, or, where the role may not see that, can come to.
  bool synchronous = false;
  std::optional<SlotState> slot;
};

// Also of a standby.
Result<ServerState> read_server(Connection& connection, const Uuid& stream, Deadline deadline);

// Waits for all transactions that run; timeout names the oldest.
Result<void> create_slot(os::World& world, Connection& connection, const SourceOptions& options,
                         Deadline deadline);

// A stream's publication bears its name, so that its slot is found when the identity is not known.
Result<void> mark_publication(Connection& connection, const SourceOptions& options,
                              Deadline deadline);
// Those of this database that are so marked and whose slot nobody reads.
Result<std::vector<Uuid>> idle_streams(Connection& connection, const std::string& name,
                                       Deadline deadline);

// Nothing to do when there is none. A walsender that still reads from it is ended.
Result<void> drop_slot(Connection& connection, const Uuid& stream, Deadline deadline);

// What runs longest in the whole server: "pid 4711 of app, since 2026-…"; `below`: only
// transactions with a lower id. Empty: none is visible.
std::string oldest_transaction(Connection& connection, std::uint64_t below, Deadline deadline);

}  // namespace farshore::postgres
