// Waiting for a time of the machine's clock; any thread.
#pragma once

#include "base/units.h"

namespace farshore::cli {

void wait_until(MonotonicTime time);

}  // namespace farshore::cli
