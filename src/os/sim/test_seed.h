// For tests that run simulated seeds: a condition of the body, and the run of one seed with plain
// options.
#pragma once

#include <functional>

#include "base/check.h"
#include "os/sim/seed_run.h"

// A condition that must hold in a simulated body: else the seed ends and its outcome names the
// line.
#define MUST(condition) FARSHORE_CHECK(condition, "a condition of the test")

namespace farshore::os::sim {

inline SeedOutcome run_test_seed(std::uint64_t seed, const std::function<void(Simulation&)>& body) {
  return run_seed_in_child({.seed = seed}, body);
}

}  // namespace farshore::os::sim
