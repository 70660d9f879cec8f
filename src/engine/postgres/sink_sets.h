// SetWriter: collects the changes of a group by table and writes each collection as one statement:
// INSERT, UPDATE or DELETE over unnest'ed arrays, or COPY for a long run of INSERTs. Changes of
// different tables may change their order, changes of one table only where nothing but the key can
// collide (MappedRelation::order_free); the statement's row count shows whether each row was there.
// What fits no set is written row by row, in its turn.
//
// Several changes of one row become its last image: they all take effect in the same target
// transaction. One thread; belongs to one session. Values must live until flush.
#pragma once

#include <memory>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "engine/postgres/sink_options.h"
#include "engine/postgres/sink_rows.h"

namespace farshore::postgres {

class SetWriter {
 public:
  SetWriter(Pipeline& pipeline, PreparedStatements& statements, const SinkOptions& options)
      : pipeline_(pipeline),
        statements_(statements),
        options_(options),
        rows_(pipeline, statements) {}

  // keep_order: no change may overtake another one (foreign keys are enforced in this session).
  void set_keep_order(bool keep_order) { keep_order_ = keep_order; }

  // Its sets fail: rows of this table (as TargetRelation::quoted) are written alone from now on.
  void write_alone_from_now(const std::string& table) { alone_.insert(table); }

  Result<void> write(const RowChange& change);
  // Sends all that was collected; a COPY that runs stays open. Values given so far are no longer
  // needed.
  Result<void> flush_collected();
  Result<void> flush();  // and ends the COPY
  void forget();         // the group rolled back

 private:
  // Rows that one statement writes; `width` values each: those of `shape.written`, then those of
  // `shape.key`.
  struct Collection {
    StatementShape shape;
    std::size_t width = 0;
    std::vector<std::size_t> key_at;  // where in a row the key's values lie
    std::vector<Value> values;
    std::size_t rows = 0;
    std::uint64_t bytes = 0;
  };
  struct RowAt {
    std::uint32_t collection = 0;
    std::uint32_t row = 0;
  };
  struct Batch {
    std::shared_ptr<const MappedRelation> relation;
    std::vector<Collection> collections;
    std::unordered_map<std::uint64_t, RowAt> keys;  // by hash of the key
    bool empty() const;
  };

  Result<void> collect(const RowChange& change, Batch& batch);
  Result<void> write_alone(const RowChange& change, Batch& batch);
  Result<bool> merge(const RowChange& change, Batch& batch, RowAt at);
  Result<Collection*> collection_for(Batch& batch);
  Result<void> flush_if_full(Batch& batch, const Collection& collection);
  void append(const RowChange& change, Collection& collection);
  bool fits_a_set(const RowChange& change) const;
  std::uint64_t key_hash(const RowChange& change) const;
  bool same_key(const RowChange& change, const Batch& batch, RowAt at) const;
  std::span<const Value> key_row(const RowChange& change) const;

  Result<void> flush(Batch& batch);
  Result<void> send_set(const Batch& batch, const Collection& collection);
  Result<void> send_rows(const Batch& batch, const Collection& collection);
  Result<void> start_copy(Batch& batch);
  Result<void> copy_row(std::span<const Value> values);
  Result<void> end_copy();

  Pipeline& pipeline_;
  PreparedStatements& statements_;
  const SinkOptions& options_;
  RowWriter rows_;
  bool keep_order_ = false;
  std::unordered_set<std::string> alone_;
  std::unordered_map<const MappedRelation*, std::unique_ptr<Batch>> batches_;
  Batch* last_ = nullptr;
  RowPlan plan_;
  std::uint64_t run_ = 0;  // INSERTs into last_ without any other change between them

  std::shared_ptr<const MappedRelation> copying_;
  std::vector<std::size_t> copy_columns_;
  std::uint64_t copied_rows_ = 0;
  std::string copy_buffer_;

  std::string literals_;
  ParameterList parameters_;
};

}  // namespace farshore::postgres
