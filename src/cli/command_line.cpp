#include "cli/command_line.h"

#include <csignal>
#include <ostream>

#include "cli/command_table.h"
#include "cli/help_text.h"
#include "cli/invocation.h"
#include "cli/json_read.h"
#include "cli/parse.h"

namespace farshore::cli {

int run(const std::vector<std::string>& arguments, const Hooks& hooks, Terminal& terminal) {
  const CommandTable table = make_command_table(hooks);
  const auto parsed = parse(table, arguments);
  if (!parsed.ok()) {
    terminal.err << "farshore: " << plain(parsed.error().what) << "\n";
    return kUsage;
  }
  if (parsed->help) {
    terminal.out << (parsed->command != nullptr ? help_of(table, *parsed->command)
                                                : help_of_all(table, parsed->group));
    return kDone;
  }
  return parsed->command->run({table, *parsed->command, parsed->values, hooks, terminal});
}

int run(int argc, const char* const* argv, const Hooks& hooks) {
  std::signal(SIGPIPE,
              SIG_IGN);  // a reader or an agent that has gone is an error of the write, not our end
  Terminal terminal = real_terminal();
  const int code =
      run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc), hooks, terminal);
  terminal.out.flush();
  return code;
}

}  // namespace farshore::cli
