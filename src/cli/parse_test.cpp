#include "cli/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>
#include <memory>

#include "cli/completion.h"
#include "cli/help_text.h"
#include "cli/terminal.h"

namespace farshore::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

Hooks all_hooks() {
  Hooks hooks{.version = "0.1.0"};
  hooks.check = [](const CheckArguments&) { return std::string(); };
  hooks.run = [](const RunArguments&, Output) { return 0; };
  hooks.init = [](const InitArguments&, Output) { return 0; };
  hooks.cert_show = [](const CertShowArguments&, Output) { return 0; };
  hooks.cert_renew = [](const CertRenewArguments&, Output) { return 0; };
  hooks.journal_inspect = [](const InspectArguments&, Output) { return 0; };
  return hooks;
}

const CommandTable& table() {
  static const CommandTable made = make_command_table(all_hooks());
  return made;
}

std::string refusal(const std::vector<std::string>& words) {
  const auto parsed = parse(table(), words);
  return parsed.ok() ? "" : parsed.error().what;
}

TEST(Parse, FindsTheCommandAndItsValues) {
  const auto parsed = parse(
      table(), {"--json", "stream", "pause", "orders", "--to", "orders-eu", "--config=x.yaml"});
  ASSERT_TRUE(parsed.ok()) << parsed.error().what;
  EXPECT_EQ(parsed->command->full_name(), "stream pause");
  EXPECT_THAT(parsed->values.at("STREAM"), ElementsAre("orders"));
  EXPECT_THAT(parsed->values.at("--to"), ElementsAre("orders-eu"));
  EXPECT_THAT(parsed->values.at("--config"), ElementsAre("x.yaml"));
  EXPECT_TRUE(parsed->values.contains("--json"));
  EXPECT_FALSE(parsed->values.contains("--yes"));
}

TEST(Parse, GlobalOptionsMayStandAnywhere) {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"--api", "http://x", "status"},
                                             {"status", "--api", "http://x"},
                                             {"status", "orders", "--api=http://x"}}) {
    const auto parsed = parse(table(), words);
    ASSERT_TRUE(parsed.ok()) << parsed.error().what;
    EXPECT_THAT(parsed->values.at("--api"), ElementsAre("http://x"));
  }
}

TEST(Parse, TakesRepeatedAndPresetValues) {
  EXPECT_THAT(
      parse(table(), {"init", "shop", "--regions", "a", "--regions", "b"})->values.at("--regions"),
      ElementsAre("a", "b"));
  EXPECT_THAT(parse(table(), {"cert", "show", "a.crt", "b.crt"})->values.at("FILE"),
              ElementsAre("a.crt", "b.crt"));
  EXPECT_THAT(parse(table(), {"run", "--region", "x"})->values.at("--log-format"),
              ElementsAre("text"));
}

TEST(Parse, SaysWhatIsWrongAndWhatIsNear) {
  EXPECT_THAT(refusal({}), HasSubstr("a command is missing; see `farshore --help`"));
  EXPECT_THAT(refusal({"statsu"}), HasSubstr("'statsu' is no command, did you mean 'status'?"));
  EXPECT_THAT(refusal({"stream"}),
              HasSubstr("'stream' needs a verb; see `farshore stream --help`"));
  EXPECT_THAT(refusal({"stream", "resum"}), HasSubstr("did you mean 'stream resume'?"));
  EXPECT_THAT(refusal({"stream", "pause"}),
              HasSubstr("usage: farshore stream pause STREAM [--to SITE] [--at TIME]"));
  EXPECT_THAT(refusal({"stream", "pause"}), HasSubstr("STREAM is required"));
  EXPECT_THAT(refusal({"status", "--wacth"}),
              HasSubstr("'--wacth' is not expected here, did you mean '--watch'?"));
  EXPECT_THAT(refusal({"status", "a", "b"}), HasSubstr("'b' is not expected here"));
  EXPECT_THAT(refusal({"status", "--for"}), HasSubstr("--for"));
  EXPECT_THAT(refusal({"status", "--for", "1s", "--for", "2s"}), HasSubstr("--for"));
  EXPECT_THAT(refusal({"run", "--log-format", "xml"}),
              HasSubstr("--log-format 'xml' is not known: text, json"));
  EXPECT_THAT(refusal({"completion", "tcsh"}), HasSubstr("bash, zsh, fish"));
}

// A script whose variable is not set must not reach more than it names.
TEST(Parse, AnEmptyValueIsRefused) {
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"stream", "remove", "orders", "--to", ""},
                                             {"stream", "remove", "orders", "--to", "", "--yes"},
                                             {"stream", "remove", "orders", "--to=", "--yes"},
                                             {"stream", "remove", "orders", "--to=", "x"},
                                             {"stream", "resnapshot", "orders", "--table", ""},
                                             {"status", "--region", ""},
                                             {"init", "--regions", "a", "--regions", ""},
                                             {"status", ""},
                                             {"stream", "resume", ""},
                                             {"cert", "show", "a.crt", ""}})
    EXPECT_THAT(refusal(words), HasSubstr("is empty: give a value"))
        << testing::PrintToString(words);
}

TEST(Parse, HelpIsForWhatStandsBeforeIt) {
  EXPECT_TRUE(parse(table(), {"--help"})->help);
  EXPECT_EQ(parse(table(), {"stream", "pause", "--help"})->command->full_name(), "stream pause");
  EXPECT_THAT(parse(table(), {"stream", "-h"})->group, ElementsAre("stream"));
  EXPECT_EQ(parse(table(), {"help", "status"})->command->full_name(), "status");
  EXPECT_EQ(parse(table(), {"--version"})->command->full_name(), "version");
}

TEST(CommandTable, LeavesOutWhatHasNoHook) {
  const CommandTable without = make_command_table({});
  for (const char* name : {"run", "init", "cert show", "journal inspect"})
    for (const Command& command : without.commands) EXPECT_NE(command.full_name(), name);
  EXPECT_THAT(help_of_all(without, {}), Not(HasSubstr("journal inspect")));
}

TEST(CommandTable, EveryExampleIsAValidCommandLine) {
  for (const Command& command : table().commands)
    for (const std::string& example : command.examples) {
      std::vector<std::string> words;
      std::string line = example.substr(example.find("farshore ") + 9);
      std::istringstream stream(line.substr(0, line.find_first_of("|>)")));
      for (std::string word; stream >> word;) words.push_back(word);
      const auto parsed = parse(table(), words);
      ASSERT_TRUE(parsed.ok()) << example << ": " << parsed.error().what;
      EXPECT_EQ(parsed->command, &command) << example;
    }
}

TEST(Help, NamesEveryCommandAndFitsTheScreen) {
  const std::string text = help_of_all(table(), {});
  for (const Command& command : table().commands) {
    EXPECT_EQ(text.find("  " + command.full_name() + " ") != std::string::npos, !command.hidden)
        << command.full_name();
    std::istringstream lines(help_of(table(), command));
    for (std::string line; std::getline(lines, line);)
      EXPECT_TRUE(shown_width(line) <= 100 || line.starts_with("  farshore")) << line;
  }
  EXPECT_THAT(help_of_all(table(), {"stream"}), HasSubstr("  stream skip "));
  EXPECT_THAT(help_of_all(table(), {"stream"}), Not(HasSubstr("  status ")));
}

TEST(ManPage, HoldsEveryCommandAndNoStrayRoff) {
  const std::string page = man_page(table(), "0.1.0");
  EXPECT_THAT(page, HasSubstr("does not move applications")) << "no more than this version does";
  EXPECT_THAT(page,
              HasSubstr(".SS \"farshore stream pause STREAM [\\-\\-to SITE] [\\-\\-at TIME]\"\n"));
  for (const char* section :
       {"NAME", "SYNOPSIS", "COMMANDS", "OPTIONS", "\"EXIT STATUS\"", "ENVIRONMENT", "FILES"})
    EXPECT_THAT(page, HasSubstr(std::string(".SH ") + section));
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);) {
    for (char c : line) EXPECT_LT(static_cast<unsigned char>(c), 0x80) << line;
    const bool request =
        line.starts_with(".TH") || line.starts_with(".S") || line.starts_with(".TP") ||
        line.starts_with(".B ") || line.starts_with(".I ") || line.starts_with(".RI") ||
        line.starts_with(".PP") || line.starts_with(".EX") || line.starts_with(".EE");
    EXPECT_TRUE(!line.starts_with(".") || request) << line;
  }
}

// The list of commands in docs/operating/commands.md stands between two marks; with
// FARSHORE_REWRITE it is written anew.
TEST(Documents, CommandsPageIsMadeFromTheTable) {
  const std::string here = __FILE__;
  const std::string path = here.substr(0, here.rfind("src/cli/")) + "docs/operating/commands.md";
  std::ifstream file(path);
  ASSERT_TRUE(file) << path;
  std::string text((std::istreambuf_iterator<char>(file)), {});
  const std::string begin = "<!-- from here on: farshore man --markdown -->\n\n";
  const auto at = text.find(begin);
  ASSERT_NE(at, std::string::npos);
  const std::string list = markdown_of(table());
  if (std::getenv("FARSHORE_REWRITE") != nullptr)
    std::ofstream(path) << text.substr(0, at) + begin + list;
  EXPECT_EQ(text.substr(at + begin.size()), list) << "run again with FARSHORE_REWRITE=1";
}

// --- completion, asked as bash asks it

std::vector<std::string> offered(const std::vector<std::string>& words) {
  std::string script = completion_script(table(), "bash");
  script +=
      "farshore() { if [[ $* == 'complete streams' ]]; then echo orders; echo audit; else echo "
      "orders-eu; fi; }\n";
  script += "COMP_WORDS=(farshore";
  for (const std::string& word : words) script += " '" + word + "'";
  script += fmt::format(")\nCOMP_CWORD={}\n_farshore\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
                        words.size());
  const std::string path =
      testing::TempDir() + fmt::format("farshore_completion_{}.bash", getpid());
  std::ofstream(path) << script;
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("bash " + path + " 2>&1").c_str(), "r"),
                                                   pclose);
  std::vector<std::string> lines;
  std::array<char, 1024> line{};
  while (fgets(line.data(), line.size(), pipe.get()) != nullptr) {
    lines.emplace_back(line.data());
    lines.back().pop_back();
  }
  std::remove(path.c_str());
  return lines;
}

TEST(Completion, BashOffersWhatMayFollow) {
  EXPECT_THAT(offered({"sta"}), ElementsAre("status"));
  EXPECT_THAT(offered({"stream", ""}),
              ElementsAre("pause", "resume", "resnapshot", "skip", "remove"));
  EXPECT_THAT(offered({"stream", "pause", ""}), ElementsAre("orders", "audit"));
  EXPECT_THAT(offered({"--json", "--config", "x", "stream", "re"}),
              ElementsAre("resume", "resnapshot", "remove"));
  EXPECT_THAT(offered({"stream", "pause", "orders", "--to", ""}), ElementsAre("orders-eu"));
  EXPECT_THAT(offered({"stream", "pause", "orders", "--t"}), ElementsAre("--to", "--token-file"));
  EXPECT_THAT(offered({"events", "--severity", "w"}), ElementsAre("warning"));
  EXPECT_THAT(offered({"completion", ""}), ElementsAre("bash", "zsh", "fish"));
}

TEST(Completion, ScriptsOfTheOtherShellsNameEveryCommandAndOption) {
  for (const char* shell : {"zsh", "fish"}) {
    const std::string script = completion_script(table(), shell);
    for (const Command& command : table().commands) {
      if (command.hidden) continue;
      EXPECT_THAT(script, HasSubstr(command.path.back())) << shell;
      for (const Option& option : command.options)
        EXPECT_THAT(script, HasSubstr(option.name.substr(2))) << shell;
    }
  }
}

}  // namespace
}  // namespace farshore::cli
