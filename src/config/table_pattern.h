// Patterns of tables: '*' stands for any run of characters, '?' for any one. Matched against
// "schema.table" with the names as the catalog shows them.
#pragma once

#include <span>
#include <string_view>

#include "config/config.h"

namespace farshore::config {

bool pattern_matches(std::string_view pattern, std::string_view table);
bool patterns_meet(std::string_view a, std::string_view b);  // some table matches both
// All that match `narrow` match `wide`. May say no where a cleverer reading says yes: it only
// decides about warnings.
bool pattern_covers(std::string_view wide, std::string_view narrow);

// The first rule that matches; nullptr: the table is not named. The caller asks the rule for
// `exclude`.
const TableRule* rule_for(std::span<const TableRule> rules, std::string_view schema,
                          std::string_view table);

}  // namespace farshore::config
