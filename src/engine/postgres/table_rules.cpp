#include "engine/postgres/table_rules.h"

#include <algorithm>
#include <map>

namespace farshore::postgres {
namespace {

class Chooser {
 public:
  Chooser(std::span<const TableRule> rules, std::span<const CatalogTable> tables) : rules_(rules) {
    for (const CatalogTable& table : tables)
      (table.root == TableName{} ? roots_ : parts_[table.root]).push_back(&table);
  }

  TableChoice choose() {
    for (const CatalogTable* root : roots_) {
      const TableRule* rule = rule_of(rules_, root->name);
      if (root->kind == 'r') {
        take(*root, rule);
      } else if (rule != nullptr && can_be_whole(*root)) {
        take_whole(*root);
      } else {
        for (const CatalogTable* part : parts_[root->name])
          if (part->kind == 'r') take(*part, rule != nullptr ? rule : rule_of(rules_, part->name));
      }
    }
    return std::move(choice_);
  }

 private:
  void take(const CatalogTable& table, const TableRule* rule) {
    if (rule == nullptr) return;
    if (table.unlogged) {
      choice_.unlogged.insert(table.name);
    } else if (table.identity.usable()) {
      choice_.publish.insert(table.name);
    } else if (rule->identity_full && table.identity.full_works) {
      choice_.needs_full.insert(table.name);
    } else {
      choice_.keyless.emplace(table.name, table.identity);
    }
  }

  void take_whole(const CatalogTable& root) {
    std::set<TableName>& parts = choice_.whole[root.name];
    for (const CatalogTable* part : parts_[root.name])
      if (part->kind == 'r') parts.insert(part->name);
    choice_.publish.insert(root.name);
    choice_.publish.insert(parts.begin(), parts.end());
  }

  // The root's own primary key is what later partitions inherit.
  bool can_be_whole(const CatalogTable& root) {
    return root.identity.inherited() &&
           std::ranges::all_of(parts_[root.name], [](const CatalogTable* part) {
             return part->kind != 'r' || (part->identity.usable() && !part->unlogged);
           });
  }

  std::span<const TableRule> rules_;
  std::vector<const CatalogTable*> roots_;
  std::map<TableName, std::vector<const CatalogTable*>> parts_;
  TableChoice choice_;
};

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t at = 0, in = 0, star = std::string_view::npos, star_in = 0;
  while (in < text.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = at++;
      star_in = in;
    } else if (at < pattern.size() && (pattern[at] == '?' || pattern[at] == text[in])) {
      ++at, ++in;
    } else if (star != std::string_view::npos) {
      at = star + 1;
      in = ++star_in;
    } else {
      return false;
    }
  }
  return pattern.find_first_not_of('*', at) == std::string_view::npos;
}

bool matches(const TableRule& rule, const TableName& table) {
  return glob_matches(rule.match, table.schema + "." + table.name);
}

const TableRule* matching_rule(std::span<const TableRule> rules, const TableName& table) {
  const auto found =
      std::ranges::find_if(rules, [&](const TableRule& rule) { return matches(rule, table); });
  return found == rules.end() ? nullptr : &*found;
}

const TableRule* rule_of(std::span<const TableRule> rules, const TableName& table) {
  const TableRule* rule = matching_rule(rules, table);
  return rule == nullptr || rule->exclude ? nullptr : rule;
}

TableChoice choose_tables(std::span<const TableRule> rules, std::span<const CatalogTable> tables) {
  return Chooser(rules, tables).choose();
}

}  // namespace farshore::postgres
