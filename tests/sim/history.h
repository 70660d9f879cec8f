// History: one seed's story: a workload, faults at random moments, healing, and the invariants that
// must hold after it.
#pragma once

#include <array>

#include "os/sim/simulation.h"

namespace farshore::simtest {

struct HistoryOptions {
  bool apply_twice = false;  // a planted fault: shows that the checks see it
};

// Turns that a history may take besides the simulation's own faults. It reports those that it took
// in these words.
inline constexpr const char* kPromoted = "promoted at";
inline constexpr const char* kTargetRestored = "target restored";
inline constexpr const char* kNearDiskFromImage = "near disk from an image";
inline constexpr const char* kRegionLost = "region lost";
inline constexpr std::array kTurns{kPromoted, kTargetRestored, kNearDiskFromImage, kRegionLost};

// Throws through Simulation::fail when an invariant does not hold.
void run_history(os::sim::Simulation& simulation, const HistoryOptions& options);

}  // namespace farshore::simtest
