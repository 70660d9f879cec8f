// The scenario files of tests/scenario/config without the binary: `run farshore check` is load()
// and its error. The same files run against the real binary in tests/scenario/run.py.
// FARSHORE_REWRITE=1 writes what is found now into them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>

#include "config/config.h"

namespace farshore::config {
namespace {

const std::filesystem::path kFolder =
    std::filesystem::path(FARSHORE_SOURCE_DIR) / "tests/scenario/config";

std::string read_text(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  EXPECT_TRUE(in.good()) << path;
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string without_indentation(const std::string& line) {
  return line.substr(std::min(line.find_first_not_of(' '), line.size()));
}

// `- line` of the base goes, the `+ line`s after it come, as tests/scenario/README.md says.
std::string changed(const std::string& base, const std::vector<std::string>& edits) {
  std::vector<std::string> lines = lines_of(base);
  auto at = lines.begin();
  std::string indentation;
  for (const std::string& edit : edits) {
    if (edit.starts_with("+ ")) {
      at = lines.insert(at, indentation + edit.substr(2)) + 1;
      continue;
    }
    const std::string wanted = without_indentation(edit.substr(2));
    at = std::find_if(lines.begin(), lines.end(),
                      [&](auto& line) { return without_indentation(line) == wanted; });
    EXPECT_NE(at, lines.end()) << edit;
    if (at == lines.end()) return base;
    indentation = at->substr(0, at->size() - wanted.size());
    at = lines.erase(at);
  }
  std::string text;
  for (const std::string& line : lines) text += line + "\n";
  return text;
}

// What `farshore check` prints before it asks any server.
std::vector<std::string> check(const std::string& text) {
  const ParseOutcome outcome = parse(text, "farshore.yaml");
  if (outcome.ok()) return {"exit 0"};
  std::vector<std::string> output = lines_of("farshore: " + error_text(outcome));
  output.insert(output.begin(), "exit 2");
  return output;
}

struct Replay {
  std::string text;
  int cases = 0;
};

Replay replay(const std::filesystem::path& scenario) {
  Replay result;
  std::string file;
  const std::vector<std::string> lines = lines_of(read_text(scenario));
  for (std::size_t i = 0; i < lines.size();) {
    const std::string& line = lines[i];
    if (line.empty() || line.starts_with('#')) {
      result.text += line + "\n";
      ++i;
      continue;
    }
    const auto end = std::find(lines.begin() + static_cast<std::ptrdiff_t>(i), lines.end(), "----");
    EXPECT_NE(end, lines.end()) << scenario << ": no ---- after " << line;
    const std::vector<std::string> body(lines.begin() + static_cast<std::ptrdiff_t>(i) + 1, end);
    for (; i < lines.size() && lines[i] != "----"; ++i) result.text += lines[i] + "\n";
    result.text += "----\n";
    ++i;
    if (line == "run farshore check") {
      while (i < lines.size() && !lines[i].empty()) ++i;
      for (const std::string& printed : check(file)) result.text += printed + "\n";
      ++result.cases;
    } else if (const std::size_t from = line.find(" from "); from != std::string::npos) {
      file = changed(read_text(kFolder / line.substr(from + 6)), body);
    } else {
      file.clear();
      for (const std::string& written : body) file += written + "\n";
    }
  }
  return result;
}

TEST(ConfigScenario, EachFaultyFileGivesItsFindings) {
  const bool rewrite = std::getenv("FARSHORE_REWRITE") != nullptr;
  int cases = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".txt") continue;
    const Replay replayed = replay(entry.path());
    cases += replayed.cases;
    if (rewrite) {
      std::ofstream(entry.path(), std::ios::binary) << replayed.text;
    } else {
      EXPECT_EQ(replayed.text, read_text(entry.path())) << entry.path();
    }
  }
  EXPECT_GE(cases, 90);
}

TEST(ConfigScenario, TheFileThatTheyStartFromIsGood) {
  const ParseOutcome outcome = parse(read_text(kFolder / "two-regions.yaml"), "farshore.yaml");
  EXPECT_EQ(text_of(outcome.errors, "farshore.yaml"), "");
  EXPECT_EQ(text_of(outcome.config.warnings, "farshore.yaml"), "");
}

}  // namespace
}  // namespace farshore::config
