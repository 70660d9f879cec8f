// The real world: this machine's clocks, disk, network and entropy.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "os/world.h"

namespace farshore::os {

struct TlsFiles {
  std::string ca;           // PEM: the one CA both regions trust
  std::string certificate;  // PEM: common name = region
  std::string key;          // PEM, 0600
};

// tls empty: plain TCP, whose peer_name() is empty; for tests and benchmarks only.
std::unique_ptr<World> make_real_world(std::optional<TlsFiles> tls);

// The machine's clocks without a World, for main() and measuring programs.
MonotonicTime real_monotonic_now();
WallTime real_wall_now();

}  // namespace farshore::os
