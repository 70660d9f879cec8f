// What `farshore run` does: one agent until SIGTERM or SIGINT; SIGHUP reads the configuration
// again.
#pragma once

#include "cli/hooks.h"

namespace farshore::daemon {

int run(const cli::RunArguments& arguments, cli::Output output, const std::string& version);

}  // namespace farshore::daemon
