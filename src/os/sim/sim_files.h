// The Files of one incarnation of a simulated host, over its Disk.
#pragma once

#include <memory>

#include "os/file.h"
#include "os/sim/core.h"
#include "os/sim/disk.h"

namespace farshore::os::sim {

std::unique_ptr<Files> make_sim_files(Core& core, Disk& disk, const Life& life);

}  // namespace farshore::os::sim
