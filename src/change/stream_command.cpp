#include "change/stream_command.h"

#include <algorithm>
#include <cctype>

namespace farshore {
namespace {

constexpr std::string_view kBegin = "`farshore stream ";

std::string shell_word(const std::string& word) {
  const bool plain = !word.empty() && std::all_of(word.begin(), word.end(), [](unsigned char c) {
    return std::isalnum(c) ||
           std::string_view("-_.:/,@+").find(static_cast<char>(c)) != std::string_view::npos;
  });
  if (plain) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

}  // namespace

std::string stream_command(const LegName& leg, std::string_view verb,
                           const std::vector<std::string>& words) {
  std::string line(kBegin);
  line += verb;
  line += " " + shell_word(leg.stream);
  for (const std::string& word : words) line += " " + shell_word(word);
  if (!leg.target.empty()) line += " --to " + shell_word(leg.target);
  if (!leg.region.empty()) line += " --region " + shell_word(leg.region);
  return line + "`";
}

bool names_stream_command(std::string_view text) {
  return text.find(kBegin) != std::string_view::npos;
}

}  // namespace farshore
