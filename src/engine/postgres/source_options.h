// SourceOptions: what the source side of a stream (source, snapshot, publication, heartbeat) is
// told of its database. Values; copied into the parts.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/units.h"
#include "base/uuid.h"
#include "change/event.h"
#include "change/stream_command.h"
#include "engine/postgres/connection.h"

namespace farshore::postgres {

enum class DurabilityClass : std::uint8_t { async, near, far };

// The first rule whose pattern matches "schema.table" decides; what none matches is not published.
// A partition follows the rule of its topmost table, unless none takes that one.
struct TableRule {
  std::string match;  // '*' any run of characters, '?' any one
  bool exclude = false;
  DurabilityClass durability = DurabilityClass::async;
  // A table without key is taken too: it is given REPLICA IDENTITY FULL.
  bool identity_full = false;
};

struct SourceOptions {
  std::string name;    // of the stream, for messages and events
  std::string region;  // whose agent captures it, for messages; empty: not named
  Uuid stream;
  std::string conninfo;  // without password
  PasswordSource password;
  std::vector<TableRule> tables;
  // Transactions whose origin begins with this were applied by us: they never go back.
  std::string own_origin_prefix = "farshore_";
  // Partitions are published under their topmost table's name. Their own TRUNCATE is then not
  // published (PostgreSQL manual, CREATE PUBLICATION), so the default is each under its own name.
  bool publish_via_partition_root = false;
  std::uint64_t retain_max = 1_GiB;  // how far `released` may stay behind near-durable
  std::uint64_t wal_max = 0;         // of log that we hold back: then the slot is dropped; 0: never
  Duration pinned_after = 40s;       // by then the server has noted what ended: it does each 15 s
  Duration connect_wait = 10s;
  Duration slot_wait = 30s;      // for transactions that run while the slot is made
  Duration unwatched_max = 10s;  // a copy goes on for without its watching session
  Duration refresh_every = 10s;  // new tables are looked for
  Duration progress_every = 2s;
  EventSink events;
};

// farshore_<stream uuid without dashes>: of the slot and of the publication.
std::string slot_name(const Uuid& stream);
// farshore_<short text>: by this name synchronous_standby_names knows us.
std::string application_name(const Uuid& stream);
// How the source's parts connect. `part` is added to the name of all but the replication
// connection: two walsenders of one name would acknowledge each other's commits.
ConnectOptions connect_options(const SourceOptions& options, const std::string& part);
// Of the sessions whose text of values the target reads, and as its own sessions have them: names
// of objects (regclass) come with their schema, money in no country's form.
std::vector<Setting> value_settings();

}  // namespace farshore::postgres
