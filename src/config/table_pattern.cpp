#include "config/table_pattern.h"

#include <string>
#include <vector>

namespace farshore::config {

namespace {

// `any` of the text is taken by '*' alone: a text that is a pattern itself stands there for more
// than one character.
bool matches(std::string_view pattern, std::string_view table, char any) {
  std::size_t at = 0;
  std::size_t in = 0;
  std::size_t star = std::string_view::npos;
  std::size_t star_in = 0;
  while (in < table.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_in = in;
    } else if (at < pattern.size() &&
               ((pattern[at] == '?' && table[in] != any) || pattern[at] == table[in])) {
      ++at, ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++star_in;
    } else {
      return false;
    }
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

}  // namespace

bool pattern_matches(std::string_view pattern, std::string_view table) {
  return matches(pattern, table, '\0');
}

bool patterns_meet(std::string_view a, std::string_view b) {
  // meets[j]: the rest of `a` from i and the rest of `b` from j have a common word; filled from the
  // ends.
  std::vector<bool> below(b.size() + 1);
  for (std::size_t i = a.size() + 1; i-- > 0;) {
    std::vector<bool> meets(b.size() + 1);
    for (std::size_t j = b.size() + 1; j-- > 0;) {
      const bool a_ends = i == a.size();
      const bool b_ends = j == b.size();
      if (a_ends && b_ends) {
        meets[j] = true;
      } else if (!a_ends && a[i] == '*') {
        meets[j] = below[j] || (!b_ends && meets[j + 1]);
      } else if (!b_ends && b[j] == '*') {
        meets[j] = meets[j + 1] || (!a_ends && below[j]);
      } else if (!a_ends && !b_ends) {
        meets[j] = (a[i] == '?' || b[j] == '?' || a[i] == b[j]) && below[j + 1];
      }
    }
    below = std::move(meets);
  }
  return below[0];
}

bool pattern_covers(std::string_view wide, std::string_view narrow) {
  return matches(wide, narrow, '*');
}

const TableRule* rule_for(std::span<const TableRule> rules, std::string_view schema,
                          std::string_view table) {
  const std::string whole = std::string(schema) + "." + std::string(table);
  for (const TableRule& rule : rules)
    if (pattern_matches(rule.match, whole)) return &rule;
  return nullptr;
}

}  // namespace farshore::config
