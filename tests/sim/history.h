// History: one seed's story: a workload, faults at random moments, healing, and the invariants that
// must hold after it.
#pragma once

#include "os/sim/simulation.h"

namespace farshore::simtest {

struct HistoryOptions {
  bool apply_twice = false;  // a planted fault: shows that the checks see it
};

// Throws through Simulation::fail when an invariant does not hold.
void run_history(os::sim::Simulation& simulation, const HistoryOptions& options);

}  // namespace farshore::simtest
