// The table of commands: the one place from which the parser, --help, shell completion, the man
// page and the list in docs/operating/commands.md are made.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "cli/hooks.h"

namespace farshore::cli {

struct Invocation;  // invocation.h

// What a shell offers for a value.
struct Completion {
  enum class Kind { none, file, folder, stream, site, words } kind = Kind::none;
  std::vector<std::string> words;
};

struct Option {
  std::string name;   // "--table"
  std::string value;  // "TABLE"; empty: a flag
  std::string help;   // one sentence without a full stop
  Completion completion;
  bool repeated = false;
  std::string preset;  // the value when it is not given
};

struct Argument {
  std::string name;  // "STREAM"
  std::string help;
  Completion completion;
  bool required = true;
  bool repeated = false;  // the last one only
};

struct Command {
  std::vector<std::string> path;  // {"stream", "pause"}
  std::string summary;            // one line, begins with a verb
  std::string details;            // further sentences; may be empty
  std::vector<Argument> arguments;
  std::vector<Option> options;
  std::vector<std::string> examples;
  std::function<int(const Invocation&)> run;
  bool hidden = false;

  std::string full_name() const;  // "stream pause"
  std::string usage() const;      // "farshore stream pause STREAM [--to SITE]"
};

struct CommandTable {
  std::vector<Command> commands;
  std::vector<Option> globals;
};

CommandTable make_command_table(const Hooks& hooks);  // without those whose hook is empty

}  // namespace farshore::cli
