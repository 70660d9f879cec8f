// Runs one seed of a simulation in a child process, which ends with all that was abandoned in it.
#pragma once

#include <functional>
#include <string>

#include "os/sim/simulation.h"

namespace farshore::os::sim {

struct SeedOutcome {
  bool ok = false;
  std::uint64_t seed = 0;
  std::string text;  // why it failed, or what the body reported
  std::uint64_t hash = 0;
  std::uint64_t switch_points = 0;
  Duration virtual_time{};
  Duration wall_time{};
  FaultCounts counts;

  // "seed 7: ok, 21034 switch points, 3m12s virtual, hash 1f2e..., faults: cut 1"
  std::string line() const;
};

// Forks: the calling process should have no other threads. The child runs on one processor, so that
// handing over the baton is cheap. When it reaches no switch point for `stall_limit` of real time
// it is killed, and the outcome names the thread that had the baton: it blocks, or loops, outside
// the simulator.
SeedOutcome run_seed_in_child(const Options& options, const std::function<void(Simulation&)>& body,
                              Duration stall_limit = 30s);

}  // namespace farshore::os::sim
