// The command line: `farshore COMMAND …`. A thin client: what it shows comes from the agent's API.
#pragma once

#include <string>
#include <vector>

#include "cli/hooks.h"
#include "cli/terminal.h"

namespace farshore::cli {

enum ExitCode : int {
  kDone = 0,
  kRefused = 1,      // or findings
  kUsage = 2,        // wrong usage or configuration
  kUnreachable = 3,  // no agent answers
};

int run(int argc, const char* const* argv, const Hooks& hooks);
int run(const std::vector<std::string>& arguments, const Hooks& hooks, Terminal& terminal);

}  // namespace farshore::cli
