#include "cli/completion.h"

#include <fmt/format.h>

#include <map>
#include <set>

namespace farshore::cli {
namespace {

// The commands as a tree of words: what may follow each beginning ("", "stream"), with what it
// does.
struct Next {
  std::string word, summary;
};

std::map<std::string, std::vector<Next>> tree_of(const CommandTable& table) {
  std::map<std::string, std::vector<Next>> tree;
  std::set<std::string> groups;
  for (const Command& command : table.commands) {
    if (command.hidden) continue;
    if (command.path.size() == 1) {
      tree[""].push_back({command.path[0], command.summary});
      continue;
    }
    if (groups.insert(command.path[0]).second)
      tree[""].push_back({command.path[0], "Commands for a " + command.path[0]});
    tree[command.path[0]].push_back({command.path[1], command.summary});
  }
  return tree;
}

// By name: an option means the same in every command.
std::map<std::string, Option> options_by_name(const CommandTable& table) {
  std::map<std::string, Option> options;
  for (const Option& option : table.globals) options.emplace(option.name, option);
  for (const Command& command : table.commands)
    for (const Option& option : command.options) options.emplace(option.name, option);
  return options;
}

std::string with_values(const CommandTable& table, const char* separator) {
  std::vector<std::string> names;
  for (const auto& [name, option] : options_by_name(table))
    if (!option.value.empty()) names.push_back(name);
  return fmt::format("{}", fmt::join(names, separator));
}

std::string names_command(Completion::Kind kind) {
  return kind == Completion::Kind::stream ? "farshore complete streams 2>/dev/null"
                                          : "farshore complete sites 2>/dev/null";
}

bool asks_agent(const Completion& completion) {
  return completion.kind == Completion::Kind::stream || completion.kind == Completion::Kind::site;
}

std::string quoted(std::string_view text, std::string_view quote) {
  std::string out = "'";
  for (char c : text) {
    if (c == '\'')
      out += quote;
    else
      out += c;
  }
  return out + "'";
}

std::vector<std::string> option_names(const std::vector<Option>& options) {
  std::vector<std::string> names;
  names.reserve(options.size());
  for (const Option& option : options) names.push_back(option.name);
  return names;
}

// Finds the command's words before the cursor in bash and zsh: options and their values are passed
// over.
std::string find_command(const CommandTable& table, const char* words, const char* first,
                         const char* end) {
  std::set<std::string> beginnings;
  for (const Command& command : table.commands) {
    if (command.hidden) continue;
    beginnings.insert(command.path[0]);
    beginnings.insert(command.full_name());
  }
  std::string known;
  for (const std::string& beginning : beginnings)
    known += (known.empty() ? "" : "|") + quoted(beginning, "'\\''");
  return fmt::format(R"(  local sofar= skip= given=0 i w
  for ((i = {}; i < {}; i++)); do
    w="${{{}[i]}}"
    if [[ -n $skip ]]; then skip=; continue; fi
    case "$w" in
      {}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "${{sofar:+$sofar }}$w" in
      {}) sofar="${{sofar:+$sofar }}$w" ;;
      *) given=$((given + 1)) ;;
    esac
  done
)",
                     first, end, words, with_values(table, "|"), known);
}

// --- bash

std::string bash_reply(const Completion& completion) {
  switch (completion.kind) {
    case Completion::Kind::file:
      return "compopt -o filenames; COMPREPLY=($(compgen -f -- \"$cur\"))";
    case Completion::Kind::folder:
      return "compopt -o filenames; COMPREPLY=($(compgen -d -- \"$cur\"))";
    case Completion::Kind::stream:
    case Completion::Kind::site:
      return "COMPREPLY=($(compgen -W \"$(" + names_command(completion.kind) + ")\" -- \"$cur\"))";
    case Completion::Kind::words:
      return fmt::format("COMPREPLY=($(compgen -W '{}' -- \"$cur\"))",
                         fmt::join(completion.words, " "));
    case Completion::Kind::none:
      break;
  }
  return ":";
}

std::string bash_script(const CommandTable& table) {
  std::string text =
      "# bash completion of farshore: source <(farshore completion bash)\n_farshore() {\n";
  text +=
      "  local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n  "
      "COMPREPLY=()\n";
  text += "  case \"$prev\" in\n";
  for (const auto& [name, option] : options_by_name(table))
    if (!option.value.empty())
      text += fmt::format("    {}) {}; return ;;\n", name, bash_reply(option.completion));
  text += "  esac\n" + find_command(table, "COMP_WORDS", "1", "COMP_CWORD");
  text += "  if [[ $cur == -* ]]; then\n    local options=\n    case \"$sofar\" in\n";
  for (const Command& command : table.commands)
    if (!command.hidden && !command.options.empty())
      text += fmt::format("      '{}') options='{}' ;;\n", command.full_name(),
                          fmt::join(option_names(command.options), " "));
  text += fmt::format(
      "    esac\n    COMPREPLY=($(compgen -W \"$options {}\" -- \"$cur\"))\n    return\n  fi\n",
      fmt::join(option_names(table.globals), " "));
  text += "  case \"$sofar/$given\" in\n";
  for (const auto& [beginning, nexts] : tree_of(table)) {
    std::vector<std::string> words;
    for (const Next& next : nexts) words.push_back(next.word);
    text += fmt::format("    '{}/0') COMPREPLY=($(compgen -W '{}' -- \"$cur\")) ;;\n", beginning,
                        fmt::join(words, " "));
  }
  for (const Command& command : table.commands)
    for (std::size_t i = 0; i < command.arguments.size() && !command.hidden; ++i)
      text += fmt::format("    '{}/{}') {} ;;\n", command.full_name(), i,
                          bash_reply(command.arguments[i].completion));
  return text + "  esac\n}\ncomplete -F _farshore farshore\n";
}

// --- zsh

std::string zsh_reply(const Completion& completion, const std::string& what) {
  switch (completion.kind) {
    case Completion::Kind::file:
      return "_files";
    case Completion::Kind::folder:
      return "_files -/";
    case Completion::Kind::stream:
    case Completion::Kind::site:
      return "names=(${(f)\"$(" + names_command(completion.kind) + ")\"}); _describe '" + what +
             "' names";
    case Completion::Kind::words:
      return fmt::format("names=({}); _describe '{}' names", fmt::join(completion.words, " "),
                         what);
    case Completion::Kind::none:
      break;
  }
  return ":";
}

std::string zsh_options(const std::vector<Option>& options) {
  std::string text;
  for (const Option& option : options)
    text += (text.empty() ? "" : " ") + quoted(option.name + ":" + option.help, "'\\''");
  return text;
}

std::string zsh_script(const CommandTable& table) {
  std::string text =
      "#compdef farshore\n_farshore() {\n  local -a names\n  case \"${words[CURRENT-1]}\" in\n";
  for (const auto& [name, option] : options_by_name(table))
    if (!option.value.empty())
      text +=
          fmt::format("    {}) {}; return ;;\n", name, zsh_reply(option.completion, option.value));
  text += "  esac\n" + find_command(table, "words", "2", "CURRENT");
  text += "  if [[ $PREFIX == -* ]]; then\n    case \"$sofar\" in\n";
  for (const Command& command : table.commands)
    if (!command.hidden && !command.options.empty())
      text += fmt::format("      '{}') names=({}) ;;\n", command.full_name(),
                          zsh_options(command.options));
  text += "    esac\n    names+=(" + zsh_options(table.globals) +
          ")\n    _describe 'option' names\n    return\n  fi\n";
  text += "  case \"$sofar/$given\" in\n";
  for (const auto& [beginning, nexts] : tree_of(table)) {
    std::string words;
    for (const Next& next : nexts) words += " " + quoted(next.word + ":" + next.summary, "'\\''");
    text += fmt::format("    '{}/0') names=({}); _describe 'command' names ;;\n", beginning,
                        words.substr(1));
  }
  for (const Command& command : table.commands)
    for (std::size_t i = 0; i < command.arguments.size() && !command.hidden; ++i)
      text += fmt::format("    '{}/{}') {} ;;\n", command.full_name(), i,
                          zsh_reply(command.arguments[i].completion, command.arguments[i].name));
  return text +
         "  esac\n}\nif [[ $funcstack[1] == _farshore ]]; then _farshore; else compdef _farshore "
         "farshore; fi\n";
}

// --- fish

std::string fish_value(const Completion& completion) {
  if (completion.kind == Completion::Kind::file || completion.kind == Completion::Kind::folder)
    return " -r -F";
  if (asks_agent(completion)) return " -x -a '(" + names_command(completion.kind) + ")'";
  if (completion.kind == Completion::Kind::words)
    return fmt::format(" -x -a '{}'", fmt::join(completion.words, " "));
  return " -x";
}

std::string fish_option(const std::string& condition, const Option& option) {
  return fmt::format("complete -c farshore{} -l {}{} -d {}\n", condition, option.name.substr(2),
                     option.value.empty() ? "" : fish_value(option.completion),
                     quoted(option.help, "\\'"));
}

std::string fish_script(const CommandTable& table) {
  std::string text = fmt::format(R"(# fish completion of farshore
function __farshore_at
  set -l sofar
  set -l skip 0
  for w in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $w
      case {}
        set skip 1
      case '-*'
      case '*'
        set -a sofar $w
    end
  end
  test "$sofar" = "$argv[1]"; and return 0
  test (count $argv) = 2; and string match -q -- "$argv[1] *" "$sofar"
end
complete -c farshore -f
)",
                                 with_values(table, " "));
  for (const auto& [beginning, nexts] : tree_of(table))
    for (const Next& next : nexts)
      text += fmt::format("complete -c farshore -n '__farshore_at \"{}\"' -a {} -d {}\n", beginning,
                          next.word, quoted(next.summary, "\\'"));
  for (const Command& command : table.commands) {
    if (command.hidden) continue;
    const std::string within = fmt::format(" -n '__farshore_at \"{}\" more'", command.full_name());
    const std::string exactly = fmt::format(" -n '__farshore_at \"{}\"'", command.full_name());
    for (const Option& option : command.options) text += fish_option(within, option);
    if (command.arguments.empty()) continue;
    const Completion& completion = command.arguments.front().completion;
    if (completion.kind != Completion::Kind::none)
      text += "complete -c farshore" + exactly + fish_value(completion) + "\n";
  }
  for (const Option& option : table.globals) text += fish_option("", option);
  return text;
}

}  // namespace

std::string completion_script(const CommandTable& table, const std::string& shell) {
  if (shell == "bash") return bash_script(table);
  return shell == "zsh" ? zsh_script(table) : fish_script(table);
}

}  // namespace farshore::cli
