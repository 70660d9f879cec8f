#include "engine/postgres/sink_sets.h"

#include <algorithm>
#include <functional>

#include "engine/postgres/statements.h"

namespace farshore::postgres {
namespace {

constexpr std::uint64_t kWideRow = 64_KiB;  // a wider row is written alone
constexpr std::size_t kSetRowsMin = 3;      // fewer rows are written one by one
constexpr std::uint64_t kCopyBuffer =
    64_KiB;                                // rows are handed to libpq in pieces of about this size
constexpr std::size_t kBatchesMax = 4096;  // tables whose empty batches are kept
constexpr std::size_t kCollectionsMax =
    16;  // sets of columns of one table's changes, collected side by side

// Types whose text never needs quotes in an array literal.
bool plain_in_array(const TargetColumn& column) {
  switch (column.base_type) {
    case 16:
    case 20:
    case 21:
    case 23:
    case 26:  // bool, integers, oid
    case 700:
    case 701:
    case 1700:  // floats, numeric
    case 1082:
    case 1114:
    case 1184:
    case 2950:
      return true;  // date, timestamps, uuid
    default:
      return false;
  }
}

StatementForm set_form(StatementForm form) {
  switch (form) {
    case StatementForm::insert_row:
      return StatementForm::insert_set;
    case StatementForm::update_row:
      return StatementForm::update_set;
    default:
      return StatementForm::delete_set;
  }
}

}  // namespace

bool SetWriter::Batch::empty() const {
  return std::all_of(collections.begin(), collections.end(),
                     [](const Collection& c) { return c.rows == 0; });
}

std::span<const Value> SetWriter::key_row(const RowChange& change) const {
  return plan_.key_from_old ? change.old_row : change.row;
}

Result<void> SetWriter::write(const RowChange& change) {
  FARSHORE_TRY(plan_row(change, plan_));
  if (copying_ == change.relation) {
    if (change.op == RowOp::insert) return copy_row(change.row);
    FARSHORE_TRY(end_copy());
  }
  if (last_ == nullptr || last_->relation != change.relation) {
    if (keep_order_) FARSHORE_TRY(flush());
    if (batches_.size() >= kBatchesMax) {
      FARSHORE_TRY(flush());
      batches_.clear();
    }
    auto& batch = batches_[change.relation.get()];
    if (!batch) batch = std::make_unique<Batch>(Batch{.relation = change.relation});
    last_ = batch.get();
    run_ = 0;
  }
  run_ = change.op == RowOp::insert ? run_ + 1 : 0;
  return fits_a_set(change) ? collect(change, *last_) : write_alone(change, *last_);
}

bool SetWriter::fits_a_set(const RowChange& change) const {
  if (alone_.contains(change.relation->target.quoted)) return false;
  const StatementForm form = plan_.shape.form;
  if (form == StatementForm::insert_row) {
    if (plan_.shape.written.empty()) return false;
  } else if (form == StatementForm::update_row || form == StatementForm::delete_row) {
    if (plan_.key_changed || !change.relation->key_is_unique) return false;
  } else {
    return false;
  }
  std::uint64_t bytes = 0;
  for (const Value& value : change.row) bytes += value.bytes.size();
  return bytes <= kWideRow;
}

Result<void> SetWriter::write_alone(const RowChange& change, Batch& batch) {
  FARSHORE_TRY(flush(batch));
  FARSHORE_TRY(end_copy());
  return rows_.write(change, false);
}

Result<void> SetWriter::collect(const RowChange& change, Batch& batch) {
  const MappedRelation& relation = *batch.relation;
  const bool keyed = !relation.key.empty() && !relation.whole_row;
  std::uint64_t hash = 0;
  if (keyed) {
    hash = key_hash(change);
    if (const auto known = batch.keys.find(hash); known != batch.keys.end()) {
      FARSHORE_TRY_ASSIGN(const bool merged, merge(change, batch, known->second));
      if (merged) return {};
    }
  }
  FARSHORE_TRY_ASSIGN(Collection * collection, collection_for(batch));
  if (!relation.order_free && collection->rows == 0) FARSHORE_TRY(flush(batch));
  append(change, *collection);
  if (keyed)
    batch.keys[hash] = {static_cast<std::uint32_t>(collection - batch.collections.data()),
                        static_cast<std::uint32_t>(collection->rows - 1)};
  if (change.op == RowOp::insert && run_ >= options_.copy_rows_min &&
      collection->rows >= options_.copy_rows_min)
    return start_copy(batch);
  return flush_if_full(batch, *collection);
}

Result<void> SetWriter::flush_if_full(Batch& batch, const Collection& collection) {
  if (collection.rows < options_.batch_rows_max && collection.bytes < options_.batch_bytes_max)
    return {};
  return flush(batch);
}

// The row of that key waits already. True: it takes over the change; else the batch was sent and
// holds it no more.
Result<bool> SetWriter::merge(const RowChange& change, Batch& batch, RowAt at) {
  Collection& collection = batch.collections[at.collection];
  const bool into_insert = collection.shape.form == StatementForm::insert_row;
  const bool into_update = collection.shape.form == StatementForm::update_row &&
                           collection.shape.written == plan_.shape.written;
  if (change.op != RowOp::update || !(into_insert || into_update) || !batch.relation->order_free ||
      !same_key(change, batch, at)) {
    FARSHORE_TRY(flush(batch));
    return false;
  }
  Value* row = collection.values.data() + at.row * collection.width;
  std::size_t into = 0;
  for (const std::size_t i : plan_.shape.written) {
    while (collection.shape.written[into] != i)
      ++into;  // both are in ascending order; an INSERT wrote them all
    collection.bytes += change.row[i].bytes.size();
    row[into] = change.row[i];
  }
  FARSHORE_TRY(flush_if_full(batch, collection));
  return true;
}

Result<SetWriter::Collection*> SetWriter::collection_for(Batch& batch) {
  for (Collection& collection : batch.collections)
    if (collection.shape.form == plan_.shape.form &&
        collection.shape.written == plan_.shape.written)
      return &collection;
  if (batch.collections.size() >= kCollectionsMax) {
    FARSHORE_TRY(flush(batch));
    batch.collections.clear();
  }
  Collection collection{.shape = plan_.shape};
  if (plan_.shape.form == StatementForm::insert_row) {
    collection.width = plan_.shape.written.size();
    for (const std::size_t key : batch.relation->key) {
      const auto found = std::find(plan_.shape.written.begin(), plan_.shape.written.end(), key);
      collection.key_at.push_back(static_cast<std::size_t>(found - plan_.shape.written.begin()));
    }
  } else {
    collection.width = plan_.shape.written.size() + plan_.shape.key.size();
    for (std::size_t i = 0; i < plan_.shape.key.size(); ++i)
      collection.key_at.push_back(plan_.shape.written.size() + i);
  }
  batch.collections.push_back(std::move(collection));
  return &batch.collections.back();
}

void SetWriter::append(const RowChange& change, Collection& collection) {
  const auto add = [&](const Value& value) {
    collection.values.push_back(value);
    collection.bytes += value.bytes.size() + 4;
  };
  for (const std::size_t i : plan_.shape.written) add(change.row[i]);
  for (const std::size_t i : plan_.shape.key) add(key_row(change)[i]);
  ++collection.rows;
}

std::uint64_t SetWriter::key_hash(const RowChange& change) const {
  const std::span<const Value> row = key_row(change);
  std::uint64_t hash = 0xcbf29ce484222325ULL;
  for (const std::size_t i : change.relation->key)
    hash = (hash ^ std::hash<std::string_view>()(row[i].bytes)) * 0x9E3779B97F4A7C15ULL;
  return hash;
}

bool SetWriter::same_key(const RowChange& change, const Batch& batch, RowAt at) const {
  const Collection& collection = batch.collections[at.collection];
  const Value* row = collection.values.data() + at.row * collection.width;
  const std::span<const Value> key = key_row(change);
  for (std::size_t n = 0; n < collection.key_at.size(); ++n) {
    if (collection.key_at[n] >= collection.width) return false;
    const Value& have = row[collection.key_at[n]];
    const Value& want = key[batch.relation->key[n]];
    if (have.kind != want.kind || have.bytes != want.bytes) return false;
  }
  return true;
}

Result<void> SetWriter::flush_collected() {
  for (auto& [relation, batch] : batches_) FARSHORE_TRY(flush(*batch));
  if (!copy_buffer_.empty()) {
    FARSHORE_TRY(pipeline_.copy_data(copy_buffer_));
    copy_buffer_.clear();
  }
  return {};
}

Result<void> SetWriter::flush() {
  FARSHORE_TRY(flush_collected());
  return end_copy();
}

void SetWriter::forget() {
  batches_.clear();
  last_ = nullptr;
  run_ = 0;
  copying_.reset();
  copy_buffer_.clear();
}

Result<void> SetWriter::flush(Batch& batch) {
  if (batch.empty()) return {};
  FARSHORE_TRY(end_copy());
  for (Collection& collection : batch.collections) {
    if (collection.rows >= kSetRowsMin)
      FARSHORE_TRY(send_set(batch, collection));
    else
      FARSHORE_TRY(send_rows(batch, collection));
    collection.values.clear();
    collection.rows = 0;
    collection.bytes = 0;
  }
  batch.keys.clear();
  return {};
}

Result<void> SetWriter::send_rows(const Batch& batch, const Collection& collection) {
  const auto trace = std::make_shared<RowTrace>(RowTrace{.relation = batch.relation});
  for (std::size_t row = 0; row < collection.rows; ++row) {
    FARSHORE_TRY_ASSIGN(const std::string* name,
                        statements_.name_of(batch.relation, collection.shape));
    const Value* values = collection.values.data() + row * collection.width;
    const auto column = [&](std::size_t n) -> const TargetColumn& {
      const auto& shape = collection.shape;
      const std::size_t i =
          n < shape.written.size() ? shape.written[n] : shape.key[n - shape.written.size()];
      return batch.relation->target.columns[batch.relation->target_of[i]];
    };
    parameters_.clear();
    literals_.clear();
    std::size_t room = 0;
    for (std::size_t n = 0; n < collection.width; ++n) room += room_for(column(n), values[n]);
    literals_.reserve(room);
    for (std::size_t n = 0; n < collection.width; ++n)
      add_parameter(column(n), values[n], literals_, parameters_);
    FARSHORE_TRY(pipeline_.execute(*name, parameters_, 1, trace));
  }
  return {};
}

Result<void> SetWriter::send_set(const Batch& batch, const Collection& collection) {
  StatementShape shape = collection.shape;
  shape.form = set_form(shape.form);
  FARSHORE_TRY_ASSIGN(const std::string* name, statements_.name_of(batch.relation, shape));
  literals_.clear();
  std::vector<std::size_t> starts;
  for (std::size_t n = 0; n < collection.width; ++n) {
    const std::size_t i =
        n < shape.written.size() ? shape.written[n] : shape.key[n - shape.written.size()];
    const bool plain = plain_in_array(batch.relation->target.columns[batch.relation->target_of[i]]);
    starts.push_back(literals_.size());
    literals_ += '{';
    const Value* value = collection.values.data() + n;
    for (std::size_t row = 0; row < collection.rows; ++row, value += collection.width) {
      if (row > 0) literals_ += ',';
      if (value->kind == ValueKind::null)
        literals_ += "NULL";
      else if (plain)
        literals_.append(value->bytes);
      else
        append_array_element(literals_, value->bytes);
    }
    literals_ += '}';
    literals_ += '\0';
  }
  parameters_.clear();
  starts.push_back(literals_.size());
  for (std::size_t n = 0; n < collection.width; ++n) {
    parameters_.values.push_back(literals_.data() + starts[n]);
    parameters_.lengths.push_back(static_cast<int>(starts[n + 1] - starts[n] - 1));
    parameters_.formats.push_back(0);
  }
  return pipeline_.execute(*name, parameters_, collection.rows,
                           std::make_shared<RowTrace>(RowTrace{.relation = batch.relation}));
}

// All that waits in the batch is one collection of INSERTs: it goes first, the run's further rows
// follow.
Result<void> SetWriter::start_copy(Batch& batch) {
  Collection* inserts = nullptr;
  for (Collection& collection : batch.collections) {
    if (collection.rows == 0) continue;
    if (inserts != nullptr) return flush(batch);
    inserts = &collection;
  }
  FARSHORE_TRY(end_copy());
  const MappedRelation& relation = *batch.relation;
  copy_columns_ = inserts->shape.written;
  std::vector<std::size_t> columns;
  columns.reserve(copy_columns_.size());
  for (const std::size_t i : copy_columns_) columns.push_back(relation.target_of[i]);
  FARSHORE_TRY(pipeline_.copy_begin(
      copy_statement(relation.target, columns),
      std::make_shared<RowTrace>(RowTrace{.op = RowOp::copy, .relation = batch.relation})));
  if (pipeline_.failed()) return {};
  copying_ = batch.relation;
  copied_rows_ = 0;
  std::vector<Value> row(relation.source.columns.size());
  for (std::size_t r = 0; r < inserts->rows; ++r) {
    for (std::size_t n = 0; n < copy_columns_.size(); ++n)
      row[copy_columns_[n]] = inserts->values[r * inserts->width + n];
    FARSHORE_TRY(copy_row(row));
  }
  inserts->values.clear();
  inserts->rows = 0;
  inserts->bytes = 0;
  batch.keys.clear();
  return {};
}

Result<void> SetWriter::copy_row(std::span<const Value> values) {
  const char* tab = "";
  for (const std::size_t i : copy_columns_) {
    copy_buffer_ += tab;
    tab = "\t";
    if (values[i].kind == ValueKind::text)
      append_copy_field(copy_buffer_, values[i].bytes);
    else
      copy_buffer_ += "\\N";
  }
  copy_buffer_ += '\n';
  ++copied_rows_;
  if (copy_buffer_.size() < kCopyBuffer) return {};
  FARSHORE_TRY(pipeline_.copy_data(copy_buffer_));
  copy_buffer_.clear();
  if (copy_buffer_.capacity() > 4 * kCopyBuffer) copy_buffer_.shrink_to_fit();
  return {};
}

Result<void> SetWriter::end_copy() {
  if (!copying_) return {};
  copying_.reset();
  if (!copy_buffer_.empty()) FARSHORE_TRY(pipeline_.copy_data(copy_buffer_));
  copy_buffer_.clear();
  return pipeline_.copy_end(copied_rows_);
}

}  // namespace farshore::postgres
