// RowWriter: one statement for each changed row, each with the number of rows it must touch (one).
// The slow and exact way: the set-based writer falls back on it, and a group that failed is redone
// with it so that the row that fails is known. One thread; belongs to one session.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/postgres/pgoutput.h"
#include "engine/postgres/sink_statements.h"

namespace farshore::postgres {

// A changed row as the stream gives it. Values live as long as the transaction's buffered bytes.
struct RowChange {
  RowOp op = RowOp::none;
  std::shared_ptr<const MappedRelation> relation;
  OldTuple old_kind = OldTuple::none;
  std::span<const Value> old_row;
  std::span<const Value> row;
};

// Which statement a change needs, and from where its values come.
struct RowPlan {
  StatementShape shape;
  bool key_changed = false;
  bool key_from_old = false;
  bool delete_and_insert = false;  // a whole-row table with a column that nobody may update
};

// invalid, rejected, denied: the change cannot be written; names the table or the column. `plan` is
// reused to save allocations.
Result<void> plan_row(const RowChange& change, RowPlan& plan);

class RowWriter {
 public:
  RowWriter(Pipeline& pipeline, PreparedStatements& statements)
      : pipeline_(pipeline), statements_(statements) {}

  // traced: the row's values are kept while the statement is in flight, so that a failure can name
  // it.
  Result<void> write(const RowChange& change, bool traced);

 private:
  Result<void> execute(const RowChange& change, const RowPlan& plan,
                       std::shared_ptr<const RowTrace> trace);
  void add_parameters(const RowChange& change, const StatementShape& shape,
                      std::span<const Value> written, std::span<const Value> key);
  Result<void> delete_and_insert(const RowChange& change, bool traced);

  Pipeline& pipeline_;
  PreparedStatements& statements_;
  RowPlan plan_;
  ParameterList parameters_;
  std::string text_;  // terminated values of the statement being sent
};

// Parameters of a row: text-like types travel as they are, all others as terminated text in `text`,
// which must have room for them (add `room_for` first), since pointers into it are kept.
std::size_t room_for(const TargetColumn& column, const Value& value);
void add_parameter(const TargetColumn& column, const Value& value, std::string& text,
                   ParameterList& parameters);

}  // namespace farshore::postgres
