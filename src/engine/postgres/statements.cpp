#include "engine/postgres/statements.h"

#include <fmt/format.h>

#include <algorithm>

#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

constexpr std::uint32_t kTextArrayType = 1009;

std::string column_names(const TargetRelation& table, ColumnList columns) {
  std::string out;
  for (const std::size_t c : columns) {
    if (!out.empty()) out += ", ";
    out += quote_identifier(table.columns[c].name);
  }
  return out;
}

// `UPDATE t` would also touch tables that inherit from t; a partitioned table has no rows but its
// partitions'.
std::string only(const TargetRelation& table) {
  return (table.kind == 'r' ? "ONLY " : "") + table.quoted;
}

std::string overriding(const TargetRelation& table) {
  return table.has_identity_always() ? " OVERRIDING SYSTEM VALUE" : "";
}

class Parameters {
 public:
  explicit Parameters(const TargetRelation& table) : table_(table) {}

  std::string row(std::size_t column) {
    types.push_back(table_.columns[column].type);
    return fmt::format("${}", types.size());
  }

  std::string list(ColumnList columns) {
    std::string out;
    for (const std::size_t c : columns) out += (out.empty() ? "" : ", ") + row(c);
    return out;
  }

  std::string array(std::size_t column) {
    const TargetColumn& c = table_.columns[column];
    types.push_back(c.set_as_text ? kTextArrayType : c.array_type);
    return fmt::format("${}", types.size());
  }

  std::vector<std::uint32_t> types;

 private:
  const TargetRelation& table_;
};

// Column i of the unnested arrays, in the type of the target's column.
std::string element(const TargetRelation& table, std::size_t column, std::size_t i) {
  const TargetColumn& c = table.columns[column];
  return c.set_as_text ? fmt::format("v.c{}::{}", i, c.bare_type_text) : fmt::format("v.c{}", i);
}

// unnest($1, $2) AS v(c0, c1)
std::string unnested(Parameters& parameters, ColumnList first, ColumnList second) {
  std::string arrays, names;
  std::size_t i = 0;
  for (const ColumnList columns : {first, second}) {
    for (const std::size_t c : columns) {
      const char* comma = i == 0 ? "" : ", ";
      arrays += comma + parameters.array(c);
      names += fmt::format("{}c{}", comma, i++);
    }
  }
  return fmt::format("unnest({}) AS v({})", arrays, names);
}

std::string key_condition(const TargetRelation& table, ColumnList key, Parameters& parameters) {
  std::string out;
  for (const std::size_t c : key)
    out += fmt::format("{}{} {} {}", out.empty() ? "" : " AND ",
                       quote_identifier(table.columns[c].name), table.columns[c].equals,
                       parameters.row(c));
  return out;
}

std::string key_join(const TargetRelation& table, ColumnList key, std::size_t first) {
  std::string out;
  for (std::size_t i = 0; i < key.size(); ++i)
    out += fmt::format("{}t.{} {} {}", i == 0 ? "" : " AND ",
                       quote_identifier(table.columns[key[i]].name), table.columns[key[i]].equals,
                       element(table, key[i], first + i));
  return out;
}

// The text form distinguishes what `=` does not (numeric 1.0 and 1.00, -0.0), and types without
// equality have no other;
// `=` lets an index help.
std::string whole_row_condition(const TargetRelation& table, ColumnList old,
                                const std::vector<bool>& nulls, Parameters& parameters) {
  std::string out;
  for (std::size_t i = 0; i < old.size(); ++i) {
    const TargetColumn& c = table.columns[old[i]];
    const std::string name = quote_identifier(c.name);
    if (i > 0) out += " AND ";
    if (nulls[i]) {
      out += name + " IS NULL";
      continue;
    }
    const std::string value = parameters.row(old[i]);
    if (c.has_equality) out += fmt::format("{} {} {} AND ", name, c.equals, value);
    out += fmt::format("{}::text COLLATE \"C\" = {}::text COLLATE \"C\"", name, value);
  }
  return out.empty() ? "true" : out;
}

std::string one_row(const TargetRelation& table, const std::string& condition) {
  if (table.kind == 'r')
    return fmt::format("ctid = (SELECT ctid FROM {} WHERE {} LIMIT 1)", only(table), condition);
  return fmt::format("(tableoid, ctid) IN (SELECT tableoid, ctid FROM {} WHERE {} LIMIT 1)",
                     table.quoted, condition);
}

std::string assignments(const TargetRelation& table, ColumnList written, Parameters& parameters) {
  std::string out;
  for (const std::size_t c : written)
    out += fmt::format("{}{} = {}", out.empty() ? "" : ", ",
                       quote_identifier(table.columns[c].name), parameters.row(c));
  return out;
}

}  // namespace

StatementText insert_row(const TargetRelation& table, ColumnList written) {
  Parameters parameters(table);
  if (written.empty()) return {fmt::format("INSERT INTO {} DEFAULT VALUES", table.quoted), {}};
  std::string sql =
      fmt::format("INSERT INTO {} ({}){} VALUES ({})", table.quoted, column_names(table, written),
                  overriding(table), parameters.list(written));
  return {std::move(sql), std::move(parameters.types)};
}

StatementText insert_set(const TargetRelation& table, ColumnList written) {
  Parameters parameters(table);
  std::string elements;
  for (std::size_t i = 0; i < written.size(); ++i)
    elements += (i == 0 ? "" : ", ") + element(table, written[i], i);
  std::string sql = fmt::format("INSERT INTO {} ({}){} SELECT {} FROM {}", table.quoted,
                                column_names(table, written), overriding(table), elements,
                                unnested(parameters, written, {}));
  return {std::move(sql), std::move(parameters.types)};
}

StatementText update_row(const TargetRelation& table, ColumnList written, ColumnList key) {
  Parameters parameters(table);
  if (written.empty()) {
    std::string sql =
        fmt::format("SELECT FROM {} WHERE {}", only(table), key_condition(table, key, parameters));
    return {std::move(sql), std::move(parameters.types)};
  }
  const std::string set = assignments(table, written, parameters);
  std::string sql = fmt::format("UPDATE {} SET {} WHERE {}", only(table), set,
                                key_condition(table, key, parameters));
  return {std::move(sql), std::move(parameters.types)};
}

StatementText update_set(const TargetRelation& table, ColumnList written, ColumnList key) {
  Parameters parameters(table);
  const std::string from = unnested(parameters, written, key);
  std::string set;
  for (std::size_t i = 0; i < written.size(); ++i)
    set += fmt::format("{}{} = {}", i == 0 ? "" : ", ",
                       quote_identifier(table.columns[written[i]].name),
                       element(table, written[i], i));
  const std::string join = key_join(table, key, written.size());
  std::string sql =
      written.empty()
          ? fmt::format("SELECT FROM {} AS t, {} WHERE {}", only(table), from, join)
          : fmt::format("UPDATE {} AS t SET {} FROM {} WHERE {}", only(table), set, from, join);
  return {std::move(sql), std::move(parameters.types)};
}

StatementText delete_row(const TargetRelation& table, ColumnList key) {
  Parameters parameters(table);
  std::string sql =
      fmt::format("DELETE FROM {} WHERE {}", only(table), key_condition(table, key, parameters));
  return {std::move(sql), std::move(parameters.types)};
}

StatementText delete_set(const TargetRelation& table, ColumnList key) {
  Parameters parameters(table);
  const std::string from = unnested(parameters, key, {});
  std::string sql = fmt::format("DELETE FROM {} AS t USING {} WHERE {}", only(table), from,
                                key_join(table, key, 0));
  return {std::move(sql), std::move(parameters.types)};
}

StatementText replace_row(const TargetRelation& table, ColumnList written, ColumnList key) {
  Parameters parameters(table);
  std::string values = parameters.list(written);
  std::string names = column_names(table, written);
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    if (table.columns[c].generated || std::find(written.begin(), written.end(), c) != written.end())
      continue;
    const std::string name = quote_identifier(table.columns[c].name);
    names += (names.empty() ? "" : ", ") + name;
    values += (values.empty() ? "gone." : ", gone.") + name;
  }
  const std::string condition = key_condition(table, key, parameters);
  std::string sql = fmt::format(
      "WITH gone AS (DELETE FROM {} WHERE {} RETURNING *) INSERT INTO {} ({}){} SELECT {} FROM "
      "gone",
      only(table), condition, table.quoted, names, overriding(table), values);
  return {std::move(sql), std::move(parameters.types)};
}

StatementText update_whole_row(const TargetRelation& table, ColumnList written, ColumnList old,
                               const std::vector<bool>& nulls) {
  Parameters parameters(table);
  const std::string set = assignments(table, written, parameters);
  const std::string row = one_row(table, whole_row_condition(table, old, nulls, parameters));
  std::string sql = written.empty()
                        ? fmt::format("SELECT FROM {} WHERE {}", only(table), row)
                        : fmt::format("UPDATE {} SET {} WHERE {}", only(table), set, row);
  return {std::move(sql), std::move(parameters.types)};
}

StatementText delete_whole_row(const TargetRelation& table, ColumnList old,
                               const std::vector<bool>& nulls) {
  Parameters parameters(table);
  const std::string row = one_row(table, whole_row_condition(table, old, nulls, parameters));
  return {fmt::format("DELETE FROM {} WHERE {}", only(table), row), std::move(parameters.types)};
}

StatementText select_row(const TargetRelation& table, ColumnList columns, ColumnList key) {
  Parameters parameters(table);
  std::string values;
  for (const std::size_t c : columns)
    values += fmt::format("{}pg_catalog.left({}::text, {})", values.empty() ? "" : ", ",
                          quote_identifier(table.columns[c].name), kSelectedTextMax + 1);
  std::string sql = fmt::format("SELECT {} FROM {} WHERE {} LIMIT 3", values, only(table),
                                key_condition(table, key, parameters));
  return {std::move(sql), std::move(parameters.types)};
}

std::string copy_statement(const TargetRelation& table, ColumnList written) {
  return fmt::format("COPY {} ({}) FROM STDIN", table.quoted, column_names(table, written));
}

// CASCADE is not repeated on the target, as in native replication: what it reached at the source is
// in the list.
std::string truncate_statement(std::span<const TargetRelation* const> tables,
                               bool restart_identity) {
  std::string names;
  for (const TargetRelation* table : tables) names += (names.empty() ? "" : ", ") + only(*table);
  return fmt::format("TRUNCATE {}{}", names, restart_identity ? " RESTART IDENTITY" : "");
}

std::vector<std::string> empty_statements(const TargetRelation& table, bool restart_identity) {
  std::vector<std::string> out{"DELETE FROM " + only(table)};
  if (restart_identity)
    out.push_back(fmt::format(
        "DO $farshore$ DECLARE s pg_catalog.regclass; BEGIN FOR s IN SELECT d.objid FROM "
        "pg_catalog.pg_depend d JOIN pg_catalog.pg_class c ON c.oid = d.objid AND c.relkind = 'S'"
        " WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refclassid = d.classid"
        " AND d.refobjid = {} AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
        " LOOP EXECUTE pg_catalog.format('ALTER SEQUENCE %s RESTART', s); END LOOP; END $farshore$",
        table.oid));
  return out;
}

void append_array_element(std::string& out, std::string_view value) {
  out += '"';
  std::size_t from = 0;
  for (;;) {
    const std::size_t at = value.find_first_of("\"\\", from);
    if (at == std::string_view::npos) break;
    out.append(value.substr(from, at - from));
    out += '\\';
    out += value[at];
    from = at + 1;
  }
  out.append(value.substr(from));
  out += '"';
}

void append_copy_field(std::string& out, std::string_view value) {
  std::size_t from = 0;
  for (;;) {
    const std::size_t at = value.find_first_of("\\\n\r\t", from);
    if (at == std::string_view::npos) break;
    out.append(value.substr(from, at - from));
    out += '\\';
    switch (value[at]) {
      case '\n':
        out += 'n';
        break;
      case '\r':
        out += 'r';
        break;
      case '\t':
        out += 't';
        break;
      default:
        out += '\\';
    }
    from = at + 1;
  }
  out.append(value.substr(from));
}

}  // namespace farshore::postgres
