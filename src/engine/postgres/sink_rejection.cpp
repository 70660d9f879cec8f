#include "engine/postgres/sink_rejection.h"

#include <algorithm>

#include "engine/postgres/connection.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/relation_map.h"
#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

constexpr std::size_t kKeyTextMax = 200;
constexpr const char* kThen =
    "then `farshore stream resume`; or pass over the transaction with `farshore stream skip`";

const char* verb_of(RowOp op) {
  switch (op) {
    case RowOp::insert:
      return "INSERT";
    case RowOp::update:
      return "UPDATE";
    case RowOp::remove:
      return "DELETE";
    case RowOp::truncate:
      return "TRUNCATE";
    case RowOp::copy:
      return "COPY";
    case RowOp::none:
      break;
  }
  return "change";
}

std::string values_text(const TargetRelation& table, ColumnList columns,
                        const std::vector<std::optional<std::string>>& values) {
  std::string names, text;
  for (const std::size_t c : columns) {
    names += (names.empty() ? "" : ", ") + quote_identifier(table.columns[c].name);
    text += (text.empty() ? "" : ", ") +
            (c < values.size() && values[c] ? *values[c] : std::string("NULL"));
  }
  if (text.size() > kKeyTextMax) text = text.substr(0, kKeyTextMax) + "…";
  return fmt::format("({})=({})", names, text);
}

std::vector<std::size_t> key_columns(const MappedRelation& relation) {
  std::vector<std::size_t> columns;
  for (const std::size_t i : relation.key) columns.push_back(relation.target_of[i]);
  return columns;
}

std::string place_text(const CursorItem& item) {
  return fmt::format("transaction {} at {}", item.xid, item.place);
}

struct FoundRows {
  int count = 0;
  std::vector<std::string> differing;  // columns of the first
};

// The target's rows with these values in `by`, compared with the source's new row where that is
// known.
Result<FoundRows> look_up(Pipeline& pipeline, const RowTrace& trace, ColumnList by,
                          const std::vector<std::optional<std::string>>& values) {
  const TargetRelation& table = trace.relation->target;
  std::vector<std::size_t> compared;
  for (std::size_t c = 0; c < table.columns.size(); ++c)
    if (c < trace.values.size() && trace.values[c]) compared.push_back(c);
  if (compared.empty()) compared.assign(by.begin(), by.end());
  const StatementText text = select_row(table, compared, by);
  ParameterList parameters;
  for (const std::size_t c : by)
    parameters.values.push_back(c < values.size() && values[c] ? values[c]->c_str() : nullptr);
  FARSHORE_TRY_ASSIGN(const Answer answer, pipeline.query(text.sql, parameters.values));
  FoundRows found{.count = PQntuples(answer.get()), .differing = {}};
  for (std::size_t n = 0; found.count > 0 && n < compared.size() && !trace.values.empty(); ++n) {
    const int column = static_cast<int>(n);
    const bool null = PQgetisnull(answer.get(), 0, column) != 0;
    const auto& wanted = trace.values[compared[n]];
    if (wanted && (null || *wanted != PQgetvalue(answer.get(), 0, column)))
      found.differing.push_back(table.columns[compared[n]].name);
  }
  return found;
}

Result<std::string> existing_row(Pipeline& pipeline, const Failure& failure) {
  const RowTrace& trace = *failure.trace;
  const TargetRelation& table = trace.relation->target;
  const auto unique =
      std::find_if(table.uniques.begin(), table.uniques.end(),
                   [&](const UniqueIndex& index) { return index.name == failure.constraint; });
  if (unique == table.uniques.end() || unique->columns.empty()) return failure.detail;
  FARSHORE_TRY_ASSIGN(const FoundRows found,
                      look_up(pipeline, trace, unique->columns, trace.values));
  std::string text = fmt::format("a row with {} is there already (constraint {})",
                                 values_text(table, unique->columns, trace.values),
                                 quote_identifier(unique->name));
  if (found.count == 0) return text;
  if (found.differing.empty()) return text + "; it equals the source's row";
  return text + "; it differs from the source's row in " + quote_identifiers(found.differing);
}

Result<std::string> counted_rows(Pipeline& pipeline, const Failure& failure) {
  const RowTrace& trace = *failure.trace;
  if (failure.rows_found > 1)
    return fmt::format("{} rows were touched instead of one", failure.rows_found);
  if (failure.rows_found == 1)
    return fmt::format("one row was touched instead of {}", failure.rows_expected);
  if (trace.relation->whole_row)
    return std::string("the target has no row that equals the source's old one");
  if (trace.op == RowOp::insert)
    return std::string("the row was not inserted: a trigger or rule of the target took it");
  const std::vector<std::size_t> key = key_columns(*trace.relation);
  FARSHORE_TRY_ASSIGN(const FoundRows found, look_up(pipeline, trace, key, trace.key));
  if (found.count == 0) return std::string("the target has no such row");
  return std::string(
      "the target has the row, but it could not be changed: a trigger or rule of the target kept "
      "it");
}

std::string remedy_for(const Failure& failure) {
  const RowTrace& trace = *failure.trace;
  const std::string& table = trace.relation->target.quoted;
  const std::string column = quote_identifier(failure.column);
  if (failure.sqlstate == "42501") {
    const bool of_schema = failure.message.find("for schema") != std::string::npos;
    const std::string right =
        of_schema ? "USAGE ON SCHEMA " + quote_identifier(trace.relation->target.schema)
                  : "SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON " + table;
    return fmt::format("as the owner run on the target: GRANT {} TO <this role>", right);
  }
  if (failure.sqlstate == "23502" && !failure.column.empty())
    return fmt::format(
        "run on the target: ALTER TABLE {} ALTER COLUMN {} DROP NOT NULL; or SET DEFAULT", table,
        column);
  if (failure.sqlstate == "23514" && !failure.constraint.empty())
    return fmt::format("run on the target: ALTER TABLE {} DROP CONSTRAINT {};", table,
                       quote_identifier(failure.constraint));
  if (failure.sqlstate == "22P02" && failure.message.find("for enum") != std::string::npos)
    return "run on the target: ALTER TYPE … ADD VALUE '…'; with the value that is missing";
  if (failure.sqlstate == "0A000" && trace.op == RowOp::truncate)
    return "a table outside of the stream refers to it: drop that foreign key on the target";
  return "repair the target";
}

}  // namespace

Error in_transaction(Error error, const CursorItem& item) {
  error.what = fmt::format("{}: {}", place_text(item), error.what);
  return error;
}

Error explain_failure(Pipeline& pipeline, const Failure& failure, const CursorItem& item) {
  if (failure.miscounted() && !failure.trace)
    return transient(ErrorKind::conflict, "{}: the stream's row in farshore.progress is gone",
                     place_text(item));
  if (!failure.trace || !failure.trace->relation) {
    const Classification is = classify(failure.sqlstate);
    const bool names_key = failure.sqlstate == "23505" || failure.sqlstate == "23503";
    return Error{is.kind, is.retry,
                 fmt::format("{}: {}{} ({})", place_text(item), failure.message,
                             names_key ? ": " + failure.detail : "", failure.sqlstate)};
  }
  const RowTrace& trace = *failure.trace;
  const MappedRelation& relation = *trace.relation;
  std::string subject = fmt::format("table {}", relation.target.quoted);
  if (!relation.key.empty() && !trace.key.empty())
    subject += ", key " + values_text(relation.target, key_columns(relation), trace.key);
  subject += fmt::format(", {} of {}", verb_of(trace.op), place_text(item));
  if (failure.miscounted()) {
    const Result<std::string> counted = counted_rows(pipeline, failure);
    const std::string found = counted.ok() ? *counted : counted.error().what;
    return permanent(ErrorKind::rejected, "{}: {}; repair the row on the target, {}", subject,
                     found, kThen);
  }
  const Classification is = classify(failure.sqlstate);
  if (is.retry == Retry::yes)
    return Error{is.kind, is.retry,
                 fmt::format("{}: {} ({})", subject, failure.message, failure.sqlstate)};
  std::string found = failure.message;
  if (failure.sqlstate == "23505" && trace.op != RowOp::truncate) {
    if (auto existing = existing_row(pipeline, failure); existing.ok()) found = *existing;
  } else if (failure.sqlstate == "23503") {
    found += ": " + failure.detail;  // of others the detail would be the whole row
  }
  const ErrorKind kind = is.kind == ErrorKind::denied ? is.kind : ErrorKind::rejected;
  return permanent(kind, "{}: {} ({}); {}, {}", subject, found, failure.sqlstate,
                   remedy_for(failure), kThen);
}

}  // namespace farshore::postgres
