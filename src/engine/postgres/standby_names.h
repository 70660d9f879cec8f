// StandbyNames: what synchronous_standby_names of a server says. Pure.
//
// Grammar of the setting: PostgreSQL, src/backend/replication/syncrep_gram.y and syncrep_scanner.l:
// `a, b`, `2 (a, b)`, `FIRST 2 (a, b)`, `ANY 2 (a, "B b", *)`.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace farshore::postgres {

// The names of its list, in order; '*' stands for any. Empty for what the server would not take.
std::vector<std::string> standby_names(std::string_view setting);

// Whether the server can make commits wait for a WAL sender of this application_name: upper and
// lower case do not matter to it. Which of several names it waits for now, only it knows.
bool names_standby(std::string_view setting, std::string_view application_name);

}  // namespace farshore::postgres
