// Promotion: the far region, which is behind, goes on in a new epoch; the near region comes back
// with a tail that lost, sets it aside and takes the new epoch's records, however often it crashes
// meanwhile. On the driver's thread; no agent is up.
#pragma once

#include "regions.h"

namespace farshore::simtest {

// The far journal has promised epoch 2. Throws through Simulation::fail unless afterwards both
// journals are equal up to the far one's end, and what the near one held beyond is in its salvage.
void promote_far_region(os::sim::Simulation& simulation, Regions& regions);

}  // namespace farshore::simtest
