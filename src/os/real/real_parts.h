// The parts that make_real_world() puts together.
#pragma once

#include <memory>
#include <optional>

#include "os/real/real_world.h"
#include "os/world.h"

namespace farshore::os {

std::unique_ptr<Clock> make_real_clock();
std::unique_ptr<Random> make_real_random();
std::unique_ptr<Files> make_real_files();
std::unique_ptr<Network> make_real_network(std::optional<TlsFiles> tls);

}  // namespace farshore::os
