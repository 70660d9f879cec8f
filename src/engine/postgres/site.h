// PostgresSite: `check` and `grants` for one PostgreSQL database. Every question is a catalog read;
// nothing is changed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/postgres/connection.h"
#include "os/world.h"
#include "site/site.h"

namespace farshore::postgres {

struct SiteOptions {
  std::string name;  // of the site, for messages
  ConnectOptions connect;
  std::string slot;              // of the stream at a source; empty: not known yet
  std::string application_name;  // under which the stream's walsender appears; empty: not known yet
  // Whether the stream takes "schema.table"; whether a rule leaves it out on purpose; and whether
  // the stream takes it with whole old rows when it has no key.
  std::function<bool(const std::string&)> takes;
  std::function<bool(const std::string&)> excludes;
  std::function<bool(const std::string&)> takes_without_key;
};

std::unique_ptr<Site> make_site(os::World& world, SiteOptions options);

struct TableOwner {
  std::string name;
  bool is_superuser = false;
  friend auto operator<=>(const TableOwner&, const TableOwner&) = default;
};

// SQL for least privilege; pure. `tables`: qualified, quoted names at a source, `owners` theirs;
// `schemas`: those that a target has; at a target they are made by us.
std::string source_grants(const std::string& role, const std::string& database, int server_version,
                          const std::vector<std::string>& tables,
                          const std::vector<TableOwner>& owners);
std::string target_grants(const std::string& role, const std::string& database, int server_version,
                          const std::vector<std::string>& schemas);

}  // namespace farshore::postgres
