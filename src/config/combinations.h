// Rules between values: names that lead nowhere, settings that contradict each other, streams that
// would meet in one table. Errors go to `errors`, what is only doubtful to config.warnings.
#pragma once

#include <vector>

#include "config/config.h"

namespace farshore::config {

void check_combinations(Config& config, std::vector<Finding>& errors);

}  // namespace farshore::config
