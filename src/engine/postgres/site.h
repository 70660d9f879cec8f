// PostgresSite: `check` and `grants` for one PostgreSQL database. Every question is a catalog read,
// or whether a table holds a row; nothing is changed.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "engine/postgres/source_options.h"
#include "os/world.h"
#include "sink/copy_sink.h"
#include "site/site.h"

namespace farshore::postgres {

struct SiteOptions {
  std::string name;  // of the site, for messages
  ConnectOptions connect;
  Uuid stream;                                   // nil: not known here
  std::string stream_name = "STREAM";            // as commands in messages name it
  std::vector<TableRule> rules;                  // of the stream at its source; empty: any table
  ExistingRows existing = ExistingRows::refuse;  // at a target
};

std::unique_ptr<Site> make_site(os::World& world, SiteOptions options);

// A table that the stream takes at its source.
struct OwnedTable {
  std::string schema, name;
  std::string owner;
  bool superuser_owns = false;
};

// SQL for least privilege; pure; names come as they are in the catalog. `tables`: in the order of
// their schemas; `schemas`: those that a target has; at a target tables are made by us.
std::string source_grants(const std::string& role, const std::string& database,
                          const std::vector<OwnedTable>& tables);
std::string target_grants(const std::string& role, const std::string& database, int server_version,
                          const std::vector<std::string>& schemas);

}  // namespace farshore::postgres
