// Finding: one thing that is wrong or doubtful in a configuration file, with its place in the text.
#pragma once

#include <fmt/format.h>

#include <compare>
#include <string>
#include <string_view>
#include <vector>

namespace farshore::config {

// A place in the file; both count from 1. 0: the file as a whole.
struct Mark {
  int line = 0;
  int column = 0;
  friend auto operator<=>(const Mark&, const Mark&) = default;
};

struct Finding {
  Mark mark;
  std::string message;  // object, value, what is wrong, what to write instead; never a secret
  friend auto operator<=>(const Finding&, const Finding&) = default;
};

// "farshore.yaml:12:5: unknown key 'kep' in streams.orders.journal; did you mean 'keep'?"
inline std::string text_of(const Finding& finding, std::string_view file) {
  if (finding.mark.line == 0) return fmt::format("{}: {}", file, finding.message);
  return fmt::format("{}:{}:{}: {}", file, finding.mark.line, finding.mark.column, finding.message);
}

// One line each, in the order of the file, without a line break at the end.
inline std::string text_of(const std::vector<Finding>& findings, std::string_view file) {
  std::string text;
  for (const Finding& finding : findings) {
    if (!text.empty()) text += '\n';
    text += text_of(finding, file);
  }
  return text;
}

}  // namespace farshore::config
