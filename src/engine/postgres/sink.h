// PostgresSink: applies a stream's transactions to a PostgreSQL database. See sink/sink.h for the
// contract and docs/adr/0005-sink-groups-and-row-counts.md for the way: consecutive transactions
// become one target transaction whose changes are written as sets; a group that fails is rolled
// back and redone transaction by transaction, row by row, so that those before the failing one are
// applied and its row is named.
//
// Memory: a group's bytes (SinkOptions::group_bytes_max) or, of a larger transaction, as much at a
// time; one row.
#pragma once

#include <atomic>
#include <deque>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "change/event.h"
#include "engine/postgres/payload.h"
#include "engine/postgres/sink_session.h"
#include "engine/postgres/sink_sets.h"
#include "engine/postgres/sink_tables.h"
#include "os/mutex.h"
#include "sink/sink.h"

namespace farshore::postgres {

class PostgresSink final : public Sink {
 public:
  // `world` outlives the sink. `events` may be empty.
  PostgresSink(os::World& world, ConnectOptions connect, SinkOptions options,
               EventSink events = {});
  ~PostgresSink() override;

  Result<Sequence> open(const Uuid& stream, Epoch epoch) override;
  Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) override;
  Result<void> skip(const CursorItem& item) override;
  void listed(TablesListed tables) override;
  void interrupt() override;
  void close() override;

 private:
  enum class Mode : std::uint8_t { sets, rows };
  struct Part {
    ByteView payload;
    bool continued = false;
  };
  struct GroupItem {
    CursorItem item;
    std::vector<Part> parts;
  };
  // Payloads that collected changes point into.
  struct Buffered {
    std::deque<Bytes> payloads;
    std::uint64_t bytes = 0;
    ByteView keep(Bytes payload);
    void clear() { payloads.clear(), bytes = 0; }
  };

  // --- groups of transactions: sink.cpp
  Result<void> apply_until(TransactionCursor& cursor, Deadline deadline, Applied& applied);
  Result<void> take(TransactionCursor& cursor, const CursorItem& item, Applied& applied);
  Result<void> add_to_group(TransactionCursor& cursor, const CursorItem& item, Applied& applied);
  Result<void> apply_large(TransactionCursor& cursor, const CursorItem& item, Applied& applied);
  Result<void> redo_large(TransactionCursor& cursor, const CursorItem& item, Applied& applied);
  Result<void> finish_group(Applied& applied);
  Result<void> redo_group(Applied& applied);
  Result<void> take_back();
  Result<void> load_gates();
  Result<void> load_skipped();
  void learn_from_failure(const Failure& failure);
  Result<std::optional<Failure>> commit(const CursorItem& last);
  Result<void> commit_rows(const CursorItem& item);
  Result<void> refused(const CursorItem& item, Error error);
  void count(const CursorItem& item, Applied& applied);
  bool group_is_full() const;
  bool over() const { return !session_->usable() || interrupted_; }
  Result<void> ask_durable();

  // --- one transaction's messages: sink_messages.cpp
  void begin_item(const CursorItem& item);
  Result<void> feed(const Part& part, Mode mode);
  Result<void> feed_large(TransactionCursor& cursor, const CursorItem& item, Mode mode);
  Result<void> learn_only(TransactionCursor& cursor, const CursorItem& item);
  Result<void> learn_from(ByteView bytes);
  Result<void> handle(ByteView bytes, Mode mode);
  Result<void> change(const RowChange& what, std::uint32_t relation, const Tuple& old_row,
                      const Tuple& row, Mode mode);
  Result<void> truncate(const Truncate& message, Mode mode);
  Result<void> learn_relation(const Relation& relation, Mode mode);
  // The relation laid upon the target's table; null: its changes of this transaction are dropped.
  Result<std::shared_ptr<const MappedRelation>> relation_of(std::uint32_t oid);
  Result<void> map(RelationMap::Entry& entry);
  bool has_no_effect(std::uint32_t xid) const;

  os::World& world_;
  const ConnectOptions connect_;
  const SinkOptions options_;
  const EventSink events_;
  os::Waker waker_;
  std::atomic<bool> interrupted_{false};

  Uuid stream_;
  Epoch epoch_;
  std::unique_ptr<TargetSession> session_;
  std::unique_ptr<SetWriter> sets_;
  std::unique_ptr<RowWriter> rows_;
  RelationMap relations_;
  std::set<Sequence> skipped_;  // by an operator
  os::Mutex listed_mutex_;
  TablesListed listed_;
  TableGates gates_;
  std::uint64_t mappings_ = 0;
  MonotonicTime held_since_{};  // by another session; zero: not

  Sequence through_;  // applied
  Sequence written_;  // the last that moved the origin
  Sequence durable_;
  Sequence recorded_;  // written_ as of then
  MonotonicTime asked_durable_at_{};

  std::deque<GroupItem> group_;
  Sequence pending_through_;  // of the items taken since the last commit
  std::uint64_t group_bytes_ = 0, group_changes_ = 0;
  MonotonicTime group_began_{};
  Buffered buffered_;

  CursorItem item_;  // whose messages are read
  PayloadReader reader_;
  bool in_stream_ = false;
  std::vector<Value> old_row_, row_;
};

}  // namespace farshore::postgres
