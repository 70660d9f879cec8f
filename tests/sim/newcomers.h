// Newcomers: readers that begin at preambles of a journal, as a region does that joins a trimmed
// stream, and as each apply loop does that starts again. On the driver's thread; nothing writes to
// the journal meanwhile.
#pragma once

#include <vector>

#include "fakes/memory_database.h"
#include "journal/journal.h"
#include "os/sim/simulation.h"

namespace farshore::simtest {

// Begins at some of the preambles that the journal holds, as chance says. Throws through
// Simulation::fail unless each of these readers gets every transaction that was committed after
// what stands before its preamble, up to the journal's end: once, in order, and hears of a table
// before the change. Where the preamble says that streamed ones were open it does without these.
void begin_at_preambles(os::sim::Simulation& simulation, os::World& world,
                        journal::Journal& journal,
                        const std::vector<fakes::MemoryTransaction>& committed);

}  // namespace farshore::simtest
