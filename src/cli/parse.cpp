#include "cli/parse.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/nearest.h"

namespace farshore::cli {
namespace {

using Values = std::map<std::string, std::vector<std::string>>;

// The words of the command line up to the first that is no part of a command's name; options before
// it are passed over.
struct Head {
  std::vector<std::string> path;
  const Command* command = nullptr;
  std::string unknown;  // the word at which no command fitted any more
  bool help = false;
};

bool begins_with(const std::vector<std::string>& whole, const std::vector<std::string>& start) {
  return whole.size() >= start.size() && std::equal(start.begin(), start.end(), whole.begin());
}

const Option* find_option(const std::vector<Option>& options, const std::string& word) {
  const std::string name = word.substr(0, word.find('='));
  for (const Option& option : options)
    if (option.name == name) return &option;
  return nullptr;
}

Head read_head(const CommandTable& table, const std::vector<std::string>& words) {
  Head head;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const std::string& word = words[i];
    if (word == "--") break;
    if (word == "--help" || word == "-h") head.help = true;
    if (word.starts_with("-")) {
      const Option* global = find_option(table.globals, word);
      if (global != nullptr && !global->value.empty() && word.find('=') == std::string::npos) ++i;
      continue;
    }
    if (head.command != nullptr || !head.unknown.empty()) continue;
    if (head.path.empty() && word == "help") {
      head.help = true;
      continue;
    }
    auto longer = head.path;
    longer.push_back(word);
    bool known = false;
    for (const Command& command : table.commands) {
      known = known || begins_with(command.path, longer);
      if (command.path == longer) head.command = &command;
    }
    if (known)
      head.path = longer;
    else
      head.unknown = word;
  }
  return head;
}

Error unknown_command(const CommandTable& table, const Head& head) {
  std::vector<std::string_view> next;
  for (const Command& command : table.commands)
    if (!command.hidden && begins_with(command.path, head.path))
      next.push_back(command.path[head.path.size()]);
  std::string prefix;
  for (const std::string& word : head.path) prefix += word + " ";
  if (head.unknown.empty())
    return permanent(ErrorKind::invalid, "{}; see `farshore {}--help`",
                     prefix.empty() ? "a command is missing"
                                    : fmt::format("'{}' needs a verb", head.path.back()),
                     prefix);
  const std::string nearest = nearest_word(head.unknown, next);
  return permanent(
      ErrorKind::invalid, "'{}{}' is no command{}; see `farshore {}--help`", prefix, head.unknown,
      nearest.empty() ? "" : fmt::format(", did you mean '{}{}'?", prefix, nearest), prefix);
}

// Where CLI11 writes what it finds, by name. Addresses in a map stay.
struct Found {
  std::map<std::string, std::string> single;
  Values repeated;
  std::map<std::string, bool> flags;

  Values values() const {
    Values all = repeated;
    for (const auto& [name, value] : single)
      if (!value.empty()) all[name] = {value};
    for (const auto& [name, given] : flags)
      if (given) all[name] = {"true"};
    std::erase_if(all, [](const auto& entry) { return entry.second.empty(); });
    return all;
  }
};

constexpr const char* kGiveOrLeaveOut = "is empty: give a value, or leave it out";

// Left out it would mean another thing: all targets, all tables.
CLI::Validator not_empty(const char* refusal) {
  return CLI::Validator(
      [refusal](const std::string& value) { return std::string(value.empty() ? refusal : ""); },
      "");
}

void add_options(CLI::App& app, const std::vector<Option>& options, Found& found) {
  const CLI::Validator given = not_empty(kGiveOrLeaveOut);
  for (const Option& option : options) {
    if (option.value.empty())
      app.add_flag(option.name, found.flags[option.name]);
    else if (option.repeated)
      app.add_option(option.name, found.repeated[option.name])
          ->type_size(1)
          ->allow_extra_args(false)
          ->check(given);
    else
      app.add_option(option.name, found.single[option.name])->check(given);
  }
}

void add_arguments(CLI::App& app, const Command& command, Found& found) {
  for (const Argument& argument : command.arguments) {
    CLI::Option* added = argument.repeated
                             ? app.add_option(argument.name, found.repeated[argument.name])
                             : app.add_option(argument.name, found.single[argument.name]);
    added->required(argument.required);
    added->check(not_empty(argument.required ? "is empty: give a value" : kGiveOrLeaveOut));
  }
}

std::string nearest_option(const CommandTable& table, const Command& command,
                           const std::string& word) {
  std::vector<std::string_view> names;
  for (const auto* options : {&command.options, &table.globals})
    for (const Option& option : *options) names.push_back(option.name);
  return nearest_word(word.substr(0, word.find('=')), names);
}

Error bad_words(const CommandTable& table, const Command& command, const CLI::App& app,
                const CLI::ParseError& error) {
  std::string what = error.what();
  const auto extra = app.remaining(true);
  if (!extra.empty() && dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
    const std::string nearest = nearest_option(table, command, extra.front());
    what = fmt::format("'{}' is not expected here{}", extra.front(),
                       nearest.empty() ? "" : fmt::format(", did you mean '{}'?", nearest));
  }
  return permanent(ErrorKind::invalid, "{}\nusage: {}", what, command.usage());
}

// A word outside of what an option allows is a wrong usage like any other.
Result<void> check_words(const Command& command, const Values& values) {
  const auto check = [&](const std::string& name, const Completion& completion) -> Result<void> {
    const auto given = values.find(name);
    if (completion.kind != Completion::Kind::words || given == values.end()) return {};
    for (const std::string& value : given->second) {
      const auto& words = completion.words;
      if (std::find(words.begin(), words.end(), value) == words.end())
        return permanent(ErrorKind::invalid, "{} '{}' is not known: {}", name, value,
                         fmt::join(words, ", "));
    }
    return {};
  };
  for (const Argument& argument : command.arguments)
    FARSHORE_TRY(check(argument.name, argument.completion));
  for (const Option& option : command.options) FARSHORE_TRY(check(option.name, option.completion));
  return {};
}

// "--to=" would take the word behind it.
Result<void> check_equals(const Command& command, const std::vector<Option>& globals,
                          const std::vector<std::string>& words) {
  for (const std::string& word : words) {
    if (word == "--") break;
    const bool known = find_option(command.options, word) || find_option(globals, word);
    if (known && word.ends_with('='))
      return permanent(ErrorKind::invalid, "{} {}\nusage: {}", word, kGiveOrLeaveOut,
                       command.usage());
  }
  return {};
}

Result<Values> parse_words(const CommandTable& table, const Command& command,
                           const std::vector<std::string>& words) {
  FARSHORE_TRY(check_equals(command, table.globals, words));
  Found found;
  CLI::App app;
  app.set_help_flag();
  app.fallthrough();
  add_options(app, table.globals, found);
  CLI::App* leaf = &app;
  for (const std::string& word : command.path) leaf = leaf->add_subcommand(word);
  add_options(*leaf, command.options, found);
  add_arguments(*leaf, command, found);
  try {
    app.parse(std::vector<std::string>(words.rbegin(), words.rend()));
  } catch (const CLI::ParseError& error) {
    return bad_words(table, command, app, error);
  }
  Values values = found.values();
  for (const Option& option : command.options)
    if (!option.preset.empty() && !values.contains(option.name))
      values[option.name] = {option.preset};
  FARSHORE_TRY(check_words(command, values));
  return values;
}

}  // namespace

Result<Parsed> parse(const CommandTable& table, const std::vector<std::string>& words) {
  const Head head = read_head(table, words);
  if (head.help && head.unknown.empty())
    return Parsed{.command = head.command, .help = true, .group = head.path};
  if (head.command == nullptr) {
    if (words.size() == 1 && words.front() == "--version") return parse(table, {"version"});
    return unknown_command(table, head);
  }
  FARSHORE_TRY_ASSIGN(auto values, parse_words(table, *head.command, words));
  return Parsed{.command = head.command, .group = head.path, .values = std::move(values)};
}

}  // namespace farshore::cli
