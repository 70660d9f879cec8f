#include "engine/postgres/sink_rejection.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "change/remedy.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/relation_map.h"
#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

using Json = nlohmann::ordered_json;

// What is set aside lies behind the leg: there is nothing to skip there.
std::string then(const SinkOptions& options, const CursorItem& item) {
  std::string resume = "then " + stream_command(options.leg, "resume");
  if (options.aside) return resume;
  return resume + "; or pass over the transaction with " +
         stream_command(options.leg, "skip", {fmt::format("{}", item.place)});
}

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

std::string names_text(const TargetRelation& table, ColumnList columns) {
  std::vector<std::string> names;
  for (const std::size_t c : columns) names.push_back(table.columns[c].name);
  return "(" + quote_identifiers(names) + ")";
}

std::vector<std::size_t> key_columns(const MappedRelation& relation) {
  std::vector<std::size_t> columns;
  columns.reserve(relation.key.size());
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

Json values_json(const TargetRelation& table,
                 const std::vector<std::optional<std::string>>& values) {
  Json out = Json::object();
  for (std::size_t c = 0; c < values.size(); ++c)
    if (values[c]) out[table.columns[c].name] = *values[c];
  return out;
}

// The target's rows with these values in `by`, compared with the source's new row where that is
// known.
Result<FoundRows> look_up(Pipeline& pipeline, const RowTrace& trace, ColumnList by,
                          const std::vector<std::optional<std::string>>& values,
                          std::vector<Json>& lines) {
  const TargetRelation& table = trace.relation->target;
  std::vector<std::size_t> all(table.columns.size());
  for (std::size_t c = 0; c < all.size(); ++c) all[c] = c;
  const StatementText text = select_row(table, all, by);
  ParameterList parameters;
  for (const std::size_t c : by)
    parameters.values.push_back(c < values.size() && values[c] ? values[c]->c_str() : nullptr);
  FARSHORE_TRY_ASSIGN(const Answer answer, pipeline.query(text.sql, parameters.values));
  FoundRows found{.count = PQntuples(answer.get()), .differing = {}};
  for (int row = 0; row < found.count; ++row) {
    Json theirs = Json::object();
    for (std::size_t c = 0; c < all.size(); ++c) {
      const int column = static_cast<int>(c);
      const bool null = PQgetisnull(answer.get(), row, column) != 0;
      const std::string value = PQgetvalue(answer.get(), row, column);
      theirs[table.columns[c].name] = null ? Json() : Json(value);
      const bool known = c < trace.values.size() && trace.values[c];
      if (row == 0 && known && (null || *trace.values[c] != value))
        found.differing.push_back(table.columns[c].name);
    }
    lines.push_back({{"target", std::move(theirs)}});
  }
  return found;
}

Result<std::string> existing_row(Pipeline& pipeline, const Failure& failure,
                                 std::vector<Json>& lines) {
  const RowTrace& trace = *failure.trace;
  const TargetRelation& table = trace.relation->target;
  const auto unique =
      std::find_if(table.uniques.begin(), table.uniques.end(),
                   [&](const UniqueIndex& index) { return index.name == failure.constraint; });
  if (unique == table.uniques.end() || unique->columns.empty()) return failure.shown_message();
  FARSHORE_TRY_ASSIGN(const FoundRows found,
                      look_up(pipeline, trace, unique->columns, trace.values, lines));
  std::string text =
      fmt::format("a row with the same {} is there already (constraint {})",
                  names_text(table, unique->columns), quote_identifier(unique->name));
  if (found.count == 0) return text;
  if (found.differing.empty()) return text + "; it equals the source's row";
  return text + "; it differs from the source's row in " + quote_identifiers(found.differing);
}

Result<std::string> counted_rows(Pipeline& pipeline, const Failure& failure,
                                 std::vector<Json>& lines) {
  const RowTrace& trace = *failure.trace;
  if (trace.relation->whole_row && failure.rows_found == 0)
    return std::string("the target has no row that equals the source's old one");
  if (trace.op == RowOp::insert && failure.rows_found == 0)
    return std::string("the row was not inserted: a trigger or rule of the target took it");
  FoundRows found;
  const std::vector<std::size_t> key = key_columns(*trace.relation);
  if (!key.empty()) {
    FARSHORE_TRY_ASSIGN(found, look_up(pipeline, trace, key, trace.key, lines));
  }
  if (failure.rows_found > 1)
    return fmt::format("{} rows were touched instead of one", failure.rows_found);
  if (failure.rows_found == 1)
    return fmt::format("one row was touched instead of {}", failure.rows_expected);
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
    return fmt::format("as the owner run on the target: GRANT {} TO {};", right,
                       trace.relation->target.role);
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

std::string subject_of(const RowTrace& trace, const CursorItem& item) {
  const MappedRelation& relation = *trace.relation;
  std::string subject = fmt::format("table {}", relation.target.quoted);
  if (!relation.key.empty() && !trace.key.empty())
    subject += ", key " + names_text(relation.target, key_columns(relation));
  return subject + fmt::format(", {} of {}", verb_of(trace.op), place_text(item));
}

// All that is known without asking the target.
std::vector<Json> report_of(const Failure& failure, const CursorItem& item) {
  Json head{{"format", 1},
            {"place", fmt::format("{}", item.place)},
            {"xid", item.xid},
            {"commit_time", format_time(item.commit_time)}};
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) head[name] = text;
  };
  add("sqlstate", failure.sqlstate);
  add("message", failure.message);
  add("detail", failure.detail);
  add("hint", failure.hint);
  add("constraint", failure.constraint);
  if (!failure.trace || !failure.trace->relation) return {head};
  const RowTrace& trace = *failure.trace;
  const MappedRelation& relation = *trace.relation;
  head["table"] = relation.target.quoted;
  head["operation"] = verb_of(trace.op);
  std::vector<std::optional<std::string>> key(trace.key.size());
  for (const std::size_t c : key_columns(relation))
    if (c < key.size()) key[c] = trace.key[c];
  return {head,
          {{"key", values_json(relation.target, relation.whole_row ? trace.key : key)}},
          {{"source", values_json(relation.target, trace.values)}}};
}

Bytes text_of(const std::vector<Json>& lines) {
  Bytes out;
  for (const Json& line : lines)
    out += line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
  return out;
}

}  // namespace

Error in_transaction(Error error, const CursorItem& item) {
  error.what = fmt::format("{}: {}", place_text(item), error.what);
  return error;
}

Rejection explain_failure(Pipeline& pipeline, const Failure& failure, const CursorItem& item,
                          const SinkOptions& options) {
  if (failure.miscounted() && !failure.trace)
    return {transient(ErrorKind::conflict, "{}: the stream's row in farshore.progress is gone",
                      place_text(item)),
            {}};
  const Classification is = classify(failure.sqlstate);
  const bool traced = failure.trace && failure.trace->relation;
  const std::string subject = traced ? subject_of(*failure.trace, item) : place_text(item);
  if (!failure.miscounted() && is.retry == Retry::yes)
    return {Error{is.kind, is.retry,
                  fmt::format("{}: {} ({})", subject, failure.shown_message(), failure.sqlstate)},
            {}};
  std::vector<Json> lines = report_of(failure, item);
  if (!traced)
    return {Error{is.kind, is.retry,
                  fmt::format("{}: {} ({})", subject, failure.shown_message(), failure.sqlstate)},
            text_of(lines)};
  if (failure.miscounted()) {
    const Result<std::string> counted = counted_rows(pipeline, failure, lines);
    const std::string found = counted.ok() ? *counted : counted.error().what;
    return {permanent(ErrorKind::rejected, "{}: {}{}", subject, found,
                      to_do("repair the row on the target, " + then(options, item))),
            text_of(lines)};
  }
  std::string found = failure.shown_message();
  if (failure.sqlstate == "23505" && failure.trace->op != RowOp::truncate)
    if (auto existing = existing_row(pipeline, failure, lines); existing.ok()) found = *existing;
  const ErrorKind kind = is.kind == ErrorKind::denied ? is.kind : ErrorKind::rejected;
  const std::string remedy = remedy_for(failure);
  return {permanent(kind, "{}: {} ({}){}", subject, found, failure.sqlstate,
                    to_do(fmt::format("{}{} {}", remedy, remedy.ends_with(';') ? "" : ",",
                                      then(options, item)))),
          text_of(lines)};
}

Error with_report(Rejection rejection, os::Files& files, const std::string& folder,
                  const std::string& name) {
  Error error = std::move(rejection.error);
  if (rejection.report.empty() || folder.empty()) return error;
  const std::string path = folder + "/" + name;
  Result<void> saved = files.create_folder(folder);
  if (saved.ok()) saved = os::replace_file(files, path, rejection.report);
  const Told told = split_remedy(error.what);
  error.what = told.why +
               (saved.ok() ? "; the values are in " + path
                           : "; the values could not be saved: " + saved.error().what) +
               to_do(told.remedy);
  return error;
}

}  // namespace farshore::postgres
