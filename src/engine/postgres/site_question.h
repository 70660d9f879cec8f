// SiteQuestions: what the checks of a source and of a target share: the connection, the findings so
// far, and short ways to ask one value.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "engine/postgres/site.h"
#include "engine/postgres/table_rules.h"

namespace farshore::postgres {

class SiteQuestions {
 public:
  SiteQuestions(os::World& world, const SiteOptions& options, Connection& connection)
      : world_(world), options_(options), connection_(connection) {}

  // One value of one row as text; empty when there is none. A statement that fails becomes a
  // finding.
  std::string value(const std::string& sql);
  std::int64_t number(const std::string& sql) { return std::atoll(value(sql).c_str()); }
  bool yes(const std::string& sql) { return value(sql) == "t"; }
  // First column of all rows.
  std::vector<std::string> list(const std::string& sql);
  // All rows, all columns.
  std::vector<std::vector<std::string>> table(const std::string& sql);
  std::string setting(const std::string& name);
  // Those that could be published, as choose_tables wants them; none: they could not be read.
  std::optional<std::vector<CatalogTable>> catalog_tables();

  void add(FindingLevel level, const std::string& code, const std::string& object,
           const std::string& message, const std::string& remedy);
  std::string site() const { return "site " + options_.name; }
  const SiteOptions& options() const { return options_; }
  // Whether the stream takes the table, with a rule or, at a site without rules, any.
  bool takes(const TableName& table) const;
  int server_version() const { return connection_.server_version(); }
  WallTime now() const { return world_.clock().wall(); }
  std::vector<Finding> take() { return std::move(findings_); }

 private:
  void add_not_checked(const Error& error);

  os::World& world_;
  const SiteOptions& options_;
  Connection& connection_;
  std::vector<Finding> findings_;
};

// "a, b", of more than `most` the first ones and how many there are besides.
constexpr std::size_t kNamesMax = 20;
std::string listed(const std::vector<std::string>& names, std::size_t most = kNamesMax);

// The first minor release of a server's version whose walsenders see a table that is published
// while a transaction writes to it; 0: it has that. `server_version` as libpq tells it.
int minor_needed(int server_version);

void check_both(SiteQuestions& ask);      // version, encoding, clock, privileges of any part
void check_source(SiteQuestions& ask);    // site_source.cpp
void check_left_out(SiteQuestions& ask);  // site_left_out.cpp: at a source
void check_target(SiteQuestions& ask);    // site_target.cpp

}  // namespace farshore::postgres
