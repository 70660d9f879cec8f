// Repair: puts records from another region into the place of damaged ones.
#pragma once

#include <span>

#include "journal/log.h"

namespace farshore::journal {

// Records in rising order. Each must continue the running hash of the record before it. Takes
// Log::admin.
Result<void> repair_log(Log& log, std::span<const PlacedRecord> records);

}  // namespace farshore::journal
