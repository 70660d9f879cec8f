// From words to a command and its values, by the table.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/command_table.h"

namespace farshore::cli {

struct Parsed {
  const Command* command = nullptr;
  bool help = false;               // --help: of `command`, or of all when it is empty
  std::vector<std::string> group;  // help of a group: {"stream"}
  std::map<std::string, std::vector<std::string>> values;
};

// invalid: what is wrong, the nearest word, and the usage line. `table` outlives the result.
Result<Parsed> parse(const CommandTable& table, const std::vector<std::string>& words);

}  // namespace farshore::cli
