#include "engine/postgres/sink_statements.h"

#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

void write_key(const MappedRelation& relation, const StatementShape& shape, std::string& out) {
  out.clear();
  ByteWriter writer(out);
  writer.number(relation.id)
      .number(shape.form)
      .number(static_cast<std::uint16_t>(shape.written.size()));
  for (const std::size_t i : shape.written) writer.number(static_cast<std::uint16_t>(i));
  for (const std::size_t i : shape.key) writer.number(static_cast<std::uint16_t>(i));
  for (const bool null : shape.nulls) writer.number(static_cast<std::uint8_t>(null));
}

StatementText text_of(const MappedRelation& relation, const StatementShape& shape) {
  std::vector<std::size_t> written, key;
  for (const std::size_t i : shape.written) written.push_back(relation.target_of[i]);
  for (const std::size_t i : shape.key) key.push_back(relation.target_of[i]);
  const TargetRelation& table = relation.target;
  switch (shape.form) {
    case StatementForm::insert_row:
      return insert_row(table, written);
    case StatementForm::insert_set:
      return insert_set(table, written);
    case StatementForm::update_row:
      return update_row(table, written, key);
    case StatementForm::update_set:
      return update_set(table, written, key);
    case StatementForm::delete_row:
      return delete_row(table, key);
    case StatementForm::delete_set:
      return delete_set(table, key);
    case StatementForm::replace_row:
      return replace_row(table, written, key);
    case StatementForm::update_whole_row:
      return update_whole_row(table, written, key, shape.nulls);
    case StatementForm::delete_whole_row:
      return delete_whole_row(table, key, shape.nulls);
  }
  FARSHORE_CHECK(false, "statement form {}", static_cast<int>(shape.form));
  return {};
}

}  // namespace

Result<const std::string*> PreparedStatements::name_of(
    const std::shared_ptr<const MappedRelation>& mapped, const StatementShape& shape) {
  const MappedRelation& relation = *mapped;
  write_key(relation, shape, key_);
  if (const auto found = by_key_.find(key_); found != by_key_.end()) {
    known_.splice(known_.begin(), known_, found->second);
    return &known_.front().name;
  }
  if (known_.size() >= max_) {
    by_key_.erase(known_.back().key);
    const std::string name = std::move(known_.back().name);
    known_.pop_back();
    FARSHORE_TRY(pipeline_.run("DEALLOCATE " + name));
  }
  const StatementText text = text_of(relation, shape);
  known_.push_front({key_, "farshore_" + std::to_string(++made_)});
  by_key_.emplace(known_.front().key, known_.begin());
  FARSHORE_TRY(pipeline_.prepare(known_.front().name, text.sql, text.types,
                                 std::make_shared<RowTrace>(RowTrace{.relation = mapped})));
  return &known_.front().name;
}

Result<void> PreparedStatements::forget_all() {
  by_key_.clear();
  known_.clear();
  return pipeline_.run("DEALLOCATE ALL");
}

}  // namespace farshore::postgres
