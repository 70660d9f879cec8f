#include "cli/help_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "cli/terminal.h"

namespace farshore::cli {
namespace {

constexpr std::size_t kHelpWidth = 96;

constexpr std::pair<const char*, const char*> kExitCodes[] = {
    {"0", "done"},
    {"1", "refused, or there are findings"},
    {"2", "wrong usage or configuration"},
    {"3", "no agent answers"},
};

constexpr std::pair<const char*, const char*> kEnvironment[] = {
    {"FARSHORE_CONFIG", "configuration file, when --config is not given"},
    {"FARSHORE_API", "where the agent answers, when --api is not given"},
    {"FARSHORE_TOKEN_FILE", "file with the token, when --token-file is not given"},
    {"NO_COLOR", "set to anything: no colours"},
};

struct Line {
  std::string left, right;
};

std::string columns(const std::vector<Line>& lines) {
  std::size_t width = 0;
  for (const Line& line : lines) width = std::max(width, shown_width(line.left));
  std::string text;
  for (const Line& line : lines) {
    const std::string indent(width + 4, ' ');
    const std::string padding(width - shown_width(line.left) + 2, ' ');
    text +=
        "  " + line.left + padding + wrapped(line.right, kHelpWidth - indent.size(), indent) + "\n";
  }
  return text;
}

std::string option_name(const Option& option) {
  return option.value.empty() ? option.name : option.name + " " + option.value;
}

std::string option_help(const Option& option) {
  std::string text = option.help;
  if (!option.completion.words.empty())
    text += fmt::format(": {}", fmt::join(option.completion.words, ", "));
  if (!option.preset.empty()) text += fmt::format(" (else {})", option.preset);
  return text;
}

std::vector<Line> option_lines(const std::vector<Option>& options) {
  std::vector<Line> lines;
  lines.reserve(options.size());
  for (const Option& option : options) lines.push_back({option_name(option), option_help(option)});
  return lines;
}

std::vector<Line> argument_lines(const Command& command) {
  std::vector<Line> lines;
  lines.reserve(command.arguments.size());
  for (const Argument& argument : command.arguments)
    lines.push_back({argument.name, argument.help});
  return lines;
}

bool in_group(const Command& command, const std::vector<std::string>& group) {
  return !command.hidden && command.path.size() >= group.size() &&
         std::equal(group.begin(), group.end(), command.path.begin());
}

// --- roff

std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  const auto dots = out.find("…");
  return dots == std::string::npos ? out : out.replace(dots, std::string("…").size(), "...");
}

std::string roff_item(const std::string& left, const std::string& right) {
  return ".TP\n.B " + roff(left) + "\n" + roff(right) + "\n";
}

std::string roff_command(const Command& command) {
  std::string text = ".SS \"" + roff(command.usage()) + "\"\n" + roff(command.summary + ".") + "\n";
  if (!command.details.empty()) text += roff(command.details) + "\n";
  for (const Line& line : argument_lines(command)) text += roff_item(line.left, line.right);
  for (const Line& line : option_lines(command.options)) text += roff_item(line.left, line.right);
  for (const std::string& example : command.examples)
    text += ".PP\n.EX\n" + roff(example) + "\n.EE\n";
  return text;
}

}  // namespace

std::string help_of_all(const CommandTable& table, const std::vector<std::string>& group) {
  std::string text;
  if (group.empty())
    text +=
        "Farshore keeps databases replicated between regions and tells the RPO you really "
        "have.\n\n";
  text += fmt::format("usage: farshore {}{}COMMAND …\n\n", fmt::join(group, " "),
                      group.empty() ? "" : " ");
  std::vector<Line> lines;
  for (const Command& command : table.commands)
    if (in_group(command, group)) lines.push_back({command.full_name(), command.summary});
  text += "commands\n" + columns(lines) + "\n";
  text += "everywhere\n" + columns(option_lines(table.globals)) + "\n";
  text +=
      "exit codes: 0 done, 1 refused or findings, 2 wrong usage or configuration, 3 agent "
      "unreachable\n";
  return text;
}

std::string help_of(const CommandTable& table, const Command& command) {
  std::string text = wrapped("usage: " + command.usage(), kHelpWidth, "         ") + "\n\n";
  text += wrapped(command.summary + ".", kHelpWidth, "") + "\n";
  if (!command.details.empty()) text += wrapped(command.details, kHelpWidth, "") + "\n";
  if (!command.arguments.empty()) text += "\narguments\n" + columns(argument_lines(command));
  if (!command.options.empty()) text += "\noptions\n" + columns(option_lines(command.options));
  text += "\neverywhere\n" + columns(option_lines(table.globals));
  if (!command.examples.empty()) text += "\nexamples\n";
  for (const std::string& example : command.examples) text += "  " + example + "\n";
  return text;
}

std::string man_page(const CommandTable& table, const std::string& version) {
  std::string text =
      fmt::format(".TH FARSHORE 1 \"\" \"farshore {}\" \"Farshore\"\n", roff(version));
  text += ".SH NAME\nfarshore \\- replication of databases between regions\n";
  text += ".SH SYNOPSIS\n.B farshore\n.I command\n.RI [ arguments ]\n.RI [ options ]\n";
  text += ".SH DESCRIPTION\n";
  text += roff(
      "Farshore keeps PostgreSQL databases replicated between regions and tells the data loss "
      "that you would really have (RPO). It does not move applications to another region. One "
      "agent runs in each region ('farshore run'); every other "
      "command asks "
      "the agent over its HTTP API, or works on files.");
  text += "\n.SH COMMANDS\n";
  for (const Command& command : table.commands)
    if (!command.hidden) text += roff_command(command);
  text += ".SH OPTIONS\nThese are understood by every command.\n";
  for (const Line& line : option_lines(table.globals)) text += roff_item(line.left, line.right);
  text += ".SH \"EXIT STATUS\"\n";
  for (const auto& [code, meaning] : kExitCodes) text += roff_item(code, meaning);
  text += ".SH ENVIRONMENT\n";
  for (const auto& [name, meaning] : kEnvironment) text += roff_item(name, meaning);
  text +=
      ".SH FILES\n" + roff_item("./farshore.yaml", "the configuration, the same in every region");
  text += roff_item("/etc/farshore/farshore.yaml", "read when the former does not exist");
  return text;
}

std::string markdown_of(const CommandTable& table) {
  std::string text;
  const auto rows = [&](const char* head, const std::vector<Line>& lines) {
    if (lines.empty()) return;
    text += fmt::format("\n| {} | |\n| --- | --- |\n", head);
    for (const Line& line : lines) text += fmt::format("| `{}` | {} |\n", line.left, line.right);
  };
  for (const Command& command : table.commands) {
    if (command.hidden) continue;
    text += fmt::format("### farshore {}\n\n`{}`\n\n{}.", command.full_name(), command.usage(),
                        command.summary);
    if (!command.details.empty()) text += " " + command.details;
    text += "\n";
    auto lines = argument_lines(command);
    const auto options = option_lines(command.options);
    lines.insert(lines.end(), options.begin(), options.end());
    rows("argument, option", lines);
    if (!command.examples.empty())
      text += fmt::format("\n```\n{}\n```\n", fmt::join(command.examples, "\n"));
    text += "\n";
  }
  text += "### Everywhere\n";
  rows("option", option_lines(table.globals));
  std::vector<Line> lines;
  for (const auto& [name, meaning] : kEnvironment) lines.push_back({name, meaning});
  rows("environment", lines);
  lines.clear();
  for (const auto& [code, meaning] : kExitCodes) lines.push_back({code, meaning});
  rows("exit code", lines);
  return text;
}

}  // namespace farshore::cli
