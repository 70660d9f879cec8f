#include "fakes/memory_site.h"

#include <fmt/format.h>

#include <sstream>

namespace farshore::fakes {
namespace {

constexpr const char* kDescription = "tables in memory";

Error away(const std::string& name) {
  return transient(ErrorKind::unavailable, "site {} is away: start it", name);
}

std::string grant_of(SiteRole role) {
  return role == SiteRole::source ? "GRANT READ;" : "GRANT WRITE;";
}

}  // namespace

Result<SiteFacts> MemorySite::probe() {
  if (!reachable) return away(name);
  return SiteFacts{.server_version = "1", .identity = "memory=" + name};
}

std::vector<Finding> MemorySite::check(SiteRole role) {
  if (!reachable)
    return {{.code = "unreachable",
             .object = "site " + name,
             .message = away(name).what,
             .remedy = "start it"}};
  if (granted.contains(grant_of(role))) return {};
  return {{.code = "no_privilege",
           .object = "site " + name,
           .message = "the role lacks a privilege",
           .remedy = grant_of(role)}};
}

Result<std::string> MemorySite::grants(SiteRole role) {
  if (!reachable) return away(name);
  return grant_of(role);
}

Result<std::string> MemorySite::describe() {
  if (!reachable) return away(name);
  std::string text = kDescription;
  for (const auto& [table, columns] : tables)
    for (const std::string& column : columns) text += fmt::format("\n{} {}", table, column);
  return text;
}

Result<std::vector<Finding>> MemorySite::compare(const std::string& description) {
  if (!reachable) return away(name);
  std::istringstream lines(description);
  std::string line, table, column;
  if (!std::getline(lines, line) || line != kDescription)
    return permanent(ErrorKind::corrupt, "not a description of tables in memory");
  std::vector<Finding> findings;
  while (lines >> table >> column)
    if (tables.contains(table) && !tables[table].contains(column))
      findings.push_back({.code = "column_missing",
                          .object = "site " + name + ", table " + table,
                          .message = "column " + column + " is missing",
                          .remedy = "ADD " + column});
  return findings;
}

}  // namespace farshore::fakes
