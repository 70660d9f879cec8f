// The Network of one incarnation of a simulated host, over the Wires. peer_name() is the other
// host's name.
#pragma once

#include <memory>

#include "os/network.h"
#include "os/sim/wires.h"

namespace farshore::os::sim {

std::unique_ptr<Network> make_sim_network(Wires& wires, const Life& life);

}  // namespace farshore::os::sim
