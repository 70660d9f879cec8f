// Completion scripts of the shells, made from the command table. Names of streams and sites are
// asked of the agent
// (`farshore complete streams`).
#pragma once

#include <string>

#include "cli/command_table.h"

namespace farshore::cli {

std::string completion_script(const CommandTable& table,
                              const std::string& shell);  // bash, zsh, fish

}  // namespace farshore::cli
