// What a person reads about the commands: --help, the man page, and the list in
// docs/operating/commands.md.
#pragma once

#include <string>
#include <vector>

#include "cli/command_table.h"

namespace farshore::cli {

std::string help_of_all(const CommandTable& table,
                        const std::vector<std::string>& group);  // group {}: every command
std::string help_of(const CommandTable& table, const Command& command);
std::string man_page(const CommandTable& table, const std::string& version);  // roff, man(7) macros
std::string markdown_of(const CommandTable& table);

}  // namespace farshore::cli
