#include "engine/postgres/table_differences.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <set>

#include "engine/postgres/ddl.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr const char* kDropIdentity = "DROP IDENTITY IF EXISTS";  // another remedy may hold it too

// "numeric(10,2)[]" is "numeric[]" and "10,2".
struct TypeText {
  std::string bare, modifier;
};
TypeText split(const std::string& type) {
  const std::size_t open = type.find('('), close = type.find(')');
  const bool quoted = type.find('"') != std::string::npos;  // a name may hold anything
  if (quoted || open == std::string::npos || close == std::string::npos || close < open)
    return {type, ""};
  return {type.substr(0, open) + type.substr(close + 1), type.substr(open + 1, close - open - 1)};
}

// A domain takes the values of what lies beneath it, or refuses them aloud. A shorter or coarser
// column would refuse values or round them without a word. The stream judges in the same way
// (relation_map.cpp).
bool holds(const ColumnDefinition& source, const ColumnDefinition& target) {
  const TypeText from = split(source.type), to = split(target.type);
  const auto beneath = [](const ColumnDefinition& column, const TypeText& type) {
    return column.base_type.empty() ? type.bare : column.base_type;
  };
  if (beneath(source, from) != beneath(target, to)) return false;
  if (to.modifier.empty() || to.modifier == from.modifier) return true;
  const bool by_length = to.bare == "character varying" || to.bare == "bit varying";
  return by_length && !from.modifier.empty() &&
         std::atol(to.modifier.c_str()) >= std::atol(from.modifier.c_str());
}

bool fills_itself(const ColumnDefinition& column) {
  return !column.not_null || !column.default_expression.empty() || !column.identity.empty();
}

class ColumnComparison {
 public:
  ColumnComparison(const TableDefinition& source, const TableDefinition& target, int server_version)
      : source_(source),
        target_(target),
        table_(target.quoted_name()),
        server_version_(server_version) {}

  std::vector<TableDifference> all() {
    for (const ColumnDefinition& column : source_.columns) {
      const ColumnDefinition* have = target_.column(column.name);
      if (have == nullptr)
        missing(column);
      else if (!column.generated.empty())
        generated_at_source(column, *have);
      else
        both_plain(column, *have);
    }
    for (const ColumnDefinition& have : target_.columns)
      if (source_.column(have.name) == nullptr) extra(have);
    return std::move(found_);
  }

 private:
  void add(FindingLevel level, const char* code, std::string what, std::string remedy) {
    found_.push_back({level, code, std::move(what), std::move(remedy)});
  }
  std::string alter(const ColumnDefinition& column, const std::string& action) const {
    return fmt::format("ALTER TABLE {} ALTER COLUMN {} {};", table_, quote_identifier(column.name),
                       action);
  }

  void missing(const ColumnDefinition& column) {
    const bool travels = column.generated.empty();
    add(travels ? FindingLevel::error : FindingLevel::note,
        travels ? "column_missing" : "column_generated",
        fmt::format("column {} is missing{}", quote_identifier(column.name),
                    travels ? "" : ", which the source generates"),
        add_column(table_, column, server_version_) + ";");
  }

  // Its values do not travel: the target makes them itself, or nobody does.
  void generated_at_source(const ColumnDefinition& column, const ColumnDefinition& have) {
    if (!have.generated.empty()) return;
    const std::string name = quote_identifier(column.name);
    if (!fills_itself(have))
      add(FindingLevel::error, "column_not_null",
          fmt::format("column {} is generated at the source, whose values do not travel, and must "
                      "not be NULL here",
                      name),
          alter(have, "DROP NOT NULL"));
    else
      add(FindingLevel::warning, "column_generated",
          fmt::format("column {} is generated at the source, whose values do not travel, and not "
                      "generated here: it stays {}",
                      name, have.default_expression.empty() ? "NULL" : "at its default"),
          fmt::format("ALTER TABLE {} DROP COLUMN {}; {};", table_, name,
                      add_column(table_, column, server_version_)));
  }

  void both_plain(const ColumnDefinition& column, const ColumnDefinition& have) {
    const std::string name = quote_identifier(column.name);
    if (!have.generated.empty()) {
      add(FindingLevel::error, "column_generated",
          fmt::format("column {} is generated here and not at the source", name),
          alter(have, "DROP EXPRESSION"));
      return;
    }
    if (!holds(column, have))
      add(FindingLevel::error, "column_type",
          fmt::format("column {} is {} here and {} at the source", name, have.type, column.type),
          alter(have, fmt::format("TYPE {} USING {}::{}", column.type, name, column.type)));
    if (have.not_null && !column.not_null)
      add(FindingLevel::warning, "column_not_null",
          fmt::format("column {} must not be NULL here and may be at the source", name),
          // While it is an identity column it cannot be NULL.
          (have.identity.empty() ? "" : alter(have, kDropIdentity) + " ") +
              alter(have, "DROP NOT NULL"));
    fills(column, have);
  }

  // Not needed to replicate, but once the application writes here.
  void fills(const ColumnDefinition& column, const ColumnDefinition& have) {
    const std::string name = quote_identifier(column.name);
    const auto kind = [](const ColumnDefinition& of) {
      return of.identity.empty()  ? "no identity column"
             : of.identity == "a" ? "GENERATED ALWAYS AS IDENTITY"
                                  : "GENERATED BY DEFAULT AS IDENTITY";
    };
    if (have.identity != column.identity)
      add(column.identity.empty() ? FindingLevel::note : FindingLevel::warning, "column_identity",
          fmt::format("column {} is {} here and {} at the source", name, kind(have), kind(column)),
          identity_remedy(column, have));
    else if (have.default_expression.empty() && !column.default_expression.empty())
      add(FindingLevel::note, "column_default",
          fmt::format("column {} has no default here; at the source it is {}", name,
                      column.default_expression),
          alter(have, "SET DEFAULT " + column.default_expression));
  }

  std::string identity_remedy(const ColumnDefinition& column, const ColumnDefinition& have) const {
    if (column.identity.empty()) return alter(have, kDropIdentity);
    const std::string how = column.identity == "a" ? "GENERATED ALWAYS" : "GENERATED BY DEFAULT";
    if (!have.identity.empty()) return alter(have, "SET " + how);
    std::string lines;
    if (!have.default_expression.empty()) lines += alter(have, "DROP DEFAULT") + " ";
    if (!have.not_null) lines += alter(have, "SET NOT NULL") + " ";
    return lines + alter(have, "ADD " + how + " AS IDENTITY");
  }

  void extra(const ColumnDefinition& have) {
    const std::string name = quote_identifier(have.name);
    if (fills_itself(have))
      add(FindingLevel::note, "column_extra", fmt::format("column {} is not at the source", name),
          "");
    else
      add(FindingLevel::error, "column_not_null",
          fmt::format("column {} is not at the source and must not be NULL", name),
          alter(have, "DROP NOT NULL"));
  }

  const TableDefinition& source_;
  const TableDefinition& target_;
  const std::string table_;
  const int server_version_;
  std::vector<TableDifference> found_;
};

bool is_key(const ConstraintDefinition& constraint) {
  return constraint.kind == 'p' || constraint.kind == 'u';
}

std::set<std::string> set_of(const std::vector<std::string>& names) {
  return {names.begin(), names.end()};
}

// Of whole rows and checked at once: what finds a row by these columns, in any order.
bool has_key(const TableDefinition& table, const std::vector<std::string>& columns) {
  return std::ranges::any_of(
             table.constraints,
             [&](const ConstraintDefinition& constraint) {
               return is_key(constraint) && set_of(constraint.columns) == set_of(columns) &&
                      constraint.definition.find(" DEFERRABLE") == std::string::npos;
             }) ||
         std::ranges::any_of(table.indexes, [&](const IndexDefinition& index) {
           return index.unique && !index.columns.empty() &&
                  set_of(index.columns) == set_of(columns);
         });
}

// What the source's changes name a row by. With whole old rows the target's own key would do, for
// which the source's primary key is the best.
std::vector<std::string> key_of(const TableDefinition& source) {
  if (!source.identity_columns.empty()) return source.identity_columns;
  for (const ConstraintDefinition& constraint : source.constraints)
    if (constraint.kind == 'p') return constraint.columns;
  return {};
}

bool source_holds_to(const TableDefinition& source, const ConstraintDefinition& constraint) {
  if (is_key(constraint) && has_key(source, constraint.columns)) return true;
  // Two versions of the server may write one expression in two ways, but not its name.
  return std::ranges::any_of(source.constraints, [&](const ConstraintDefinition& theirs) {
    return theirs.kind == constraint.kind &&
           (theirs.definition == constraint.definition || theirs.name == constraint.name);
  });
}

}  // namespace

std::vector<TableDifference> column_differences(const TableDefinition& source,
                                                const TableDefinition& target, int server_version) {
  return ColumnComparison(source, target, server_version).all();
}

std::vector<TableDifference> key_differences(const TableDefinition& source,
                                             const TableDefinition& target) {
  std::vector<TableDifference> found;
  const std::string table = target.quoted_name();
  const std::vector<std::string> key = key_of(source);
  if (!key.empty() && !has_key(target, key)) {
    const std::string columns = quote_identifiers(key);
    const bool has_primary = std::ranges::any_of(
        target.constraints, [](const ConstraintDefinition& c) { return c.kind == 'p'; });
    found.push_back({FindingLevel::warning, "no_key",
                     fmt::format("no primary key or unique index is on ({}), by which the source "
                                 "names its rows: each UPDATE and DELETE reads the whole table",
                                 columns),
                     fmt::format("ALTER TABLE {} ADD {} ({});", table,
                                 has_primary ? "UNIQUE" : "PRIMARY KEY", columns)});
  }
  for (const ConstraintDefinition& constraint : target.constraints) {
    if (constraint.inherited || source_holds_to(source, constraint)) continue;
    const std::string name = quote_identifier(constraint.name);
    found.push_back({FindingLevel::warning, "constraint_extra",
                     fmt::format("constraint {} ({}) is not at the source: it may refuse rows that "
                                 "the source takes",
                                 name, constraint.definition),
                     fmt::format("ALTER TABLE {} DROP CONSTRAINT {};", table, name)});
  }
  return found;
}

}  // namespace farshore::postgres
