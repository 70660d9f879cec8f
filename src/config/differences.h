// What a changed file changes, for people: shown before it takes effect, logged on SIGHUP.
#pragma once

#include <string>
#include <vector>

#include "config/config.h"

namespace farshore::config {

// "streams.orders.journal.keep: 24h -> 48h", "sites.billing-eu: added"; empty: the two mean the
// same. No secrets: there are none in a Config. Places in the file and warnings do not count.
std::vector<std::string> differences(const Config& before, const Config& after);

}  // namespace farshore::config
