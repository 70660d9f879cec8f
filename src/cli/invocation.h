// Invocation: one parsed command line and what its command may use.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "cli/command_table.h"
#include "cli/hooks.h"
#include "cli/terminal.h"

namespace farshore::cli {

struct Invocation {
  const CommandTable& table;
  const Command& command;
  const std::map<std::string, std::vector<std::string>>& values;  // by name of option or argument
  const Hooks& hooks;
  Terminal& terminal;

  bool flag(const std::string& name) const { return values.contains(name); }
  std::string value(const std::string& name) const;  // empty: not given
  std::vector<std::string> all(const std::string& name) const;
  bool json() const { return flag("--json"); }

  // --config, FARSHORE_CONFIG, ./farshore.yaml, /etc/farshore/farshore.yaml: the first that is
  // given or exists; may be empty.
  std::string config() const;
  Output output() const { return {terminal.out, terminal.err}; }
  // Writes "farshore: what" on stderr; answers `code`.
  int refuse(int code, const std::string& what) const;
  // config() is empty; `or_else`: what else the command takes ("name a certificate").
  int refuse_without_config(const std::string& or_else = "") const;
};

}  // namespace farshore::cli
