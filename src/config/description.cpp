#include "config/description.h"

#include <algorithm>
#include <set>

namespace farshore::config {
namespace {

std::string shown(const std::string* text) {
  return text == nullptr || text->empty() ? "(none)" : *text;
}

// "{ match: public.*, class: far }": without what a rule has when it says nothing.
std::string rule_text(const Values& rule) {
  const Values defaults = values_of(rule_keys(), TableRule{}, Extent::everything);
  std::string text;
  for (const auto& [key, value] : rule) {
    const std::string* usual = find_value(defaults, key);
    if (usual != nullptr && *usual == value) continue;
    text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", key, value);
  }
  return "{ " + text + " }";
}

void add_rule_differences(std::vector<std::string>& lines, const std::string& path,
                          const std::vector<Values>& before, const std::vector<Values>& after) {
  if (before == after) return;
  const std::size_t first_line = lines.size();
  const auto holds = [](const std::vector<Values>& rules, const Values& rule) {
    return std::find(rules.begin(), rules.end(), rule) != rules.end();
  };
  for (const Values& rule : before)
    if (!holds(after, rule)) lines.push_back(fmt::format("{}.tables: - {}", path, rule_text(rule)));
  for (const Values& rule : after)
    if (!holds(before, rule))
      lines.push_back(fmt::format("{}.tables: + {}", path, rule_text(rule)));
  if (lines.size() == first_line)
    lines.push_back(path + ".tables: the same rules in another order");
}

std::string site_of(const Values& target) {
  return shown(find_value(target, "site"));
}

const Values* find_target(const std::vector<Values>& targets, const std::string& site) {
  const auto found = std::find_if(targets.begin(), targets.end(),
                                  [&](const Values& target) { return site_of(target) == site; });
  return found == targets.end() ? nullptr : &*found;
}

// Their order means nothing.
void add_target_differences(std::vector<std::string>& lines, const std::string& path,
                            const std::vector<Values>& before, const std::vector<Values>& after) {
  for (const Values& target : before) {
    if (const Values* now = find_target(after, site_of(target))) {
      add_differences(lines, fmt::format("{}.to.{}", path, site_of(target)), target, *now);
    } else {
      lines.push_back(fmt::format("{}.to: - {}", path, site_of(target)));
    }
  }
  for (const Values& target : after)
    if (find_target(before, site_of(target)) == nullptr)
      lines.push_back(fmt::format("{}.to: + {}", path, site_of(target)));
}

}  // namespace

const std::string* find_value(const Values& values, std::string_view key) {
  for (const auto& [name, text] : values)
    if (name == key) return &text;
  return nullptr;
}

Description describe(const StreamConfig& stream, Extent extent) {
  Description description{.values = values_of(stream_keys(), stream, extent)};
  for (const TargetConfig& target : stream.to)
    description.to.push_back(values_of(target_keys(), target, extent));
  for (const TableRule& rule : stream.tables)
    description.tables.push_back(values_of(rule_keys(), rule, extent));
  return description;
}

void add_differences(std::vector<std::string>& lines, const std::string& path, const Values& before,
                     const Values& after) {
  const auto add = [&](const std::string& key, const std::string* from, const std::string* to) {
    if (shown(from) != shown(to))
      lines.push_back(fmt::format("{}.{}: {} -> {}", path, key, shown(from), shown(to)));
  };
  for (const auto& [key, text] : before) add(key, &text, find_value(after, key));
  for (const auto& [key, text] : after)
    if (find_value(before, key) == nullptr) add(key, nullptr, &text);
}

void add_differences(std::vector<std::string>& lines, const std::string& path,
                     const Description& before, const Description& after) {
  add_differences(lines, path, before.values, after.values);
  add_target_differences(lines, path, before.to, after.to);
  add_rule_differences(lines, path, before.tables, after.tables);
}

}  // namespace farshore::config
