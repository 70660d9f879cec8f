// MemorySite: the Site of a database in memory that has rights and tables and nothing else. For one
// thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "site/site.h"

namespace farshore::fakes {

struct MemorySite final : Site {
  Result<SiteFacts> probe() override;
  std::vector<Finding> check(SiteRole role) override;
  Result<std::string> grants(SiteRole role) override;
  Result<std::string> describe() override;
  Result<std::vector<Finding>> compare(const std::string& description) override;
  void interrupt() override {}

  std::string name;
  bool reachable = true;
  std::set<std::string> granted;                             // lines of grants() that were run
  std::map<std::string, std::set<std::string>> tables = {};  // and their columns
};

}  // namespace farshore::fakes
