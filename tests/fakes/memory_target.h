// MemoryTarget: a target database in memory, and MemorySink over it. Progress and changes are one
// atomic step; a crash of the database loses what was applied but not yet durable, as asynchronous
// commit does. For the simulator, as memory_database.h. MemorySink passes the sinks' contract; of
// epochs and of tables set aside it knows nothing.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "os/world.h"
#include "sink/copy_sink.h"
#include "sink/sink.h"

namespace farshore::fakes {

struct AppliedTransaction {
  std::uint64_t xid = 0;
  Sequence sequence;
  std::vector<std::string> changes;
  Position position;
};

class MemoryTarget {
 public:
  void crash();                     // back to what was durable
  void await_copy(char table);      // its changes are not taken before one, and none comes
  void restore(std::size_t count);  // from a backup: as it was when it held so many transactions
  std::vector<AppliedTransaction> applied() const;
  std::vector<std::string> violations()
      const;  // transactions out of order, twice, or with a gap in their records
  std::size_t count() const { return applied_.size(); }

 private:
  friend class MemorySink;
  std::vector<AppliedTransaction> applied_;
  std::vector<std::string> violations_;
  std::set<char> awaited_;
  Sequence through_, durable_;
  std::size_t durable_count_ = 0;
  std::uint64_t generation_ = 0;  // raised by a crash: sessions of before end
};

class MemorySink final : public Sink {
 public:
  MemorySink(os::World& world, MemoryTarget& target) : world_(world), target_(target) {}

  Result<Sequence> open(const Uuid& stream, Epoch epoch) override;
  Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) override;
  Result<void> skip(const CursorItem& item) override;
  void listed(TablesListed tables) override { next_listed_ = std::move(tables); }
  void interrupt() override { interrupted_ = true; }
  void close() override {}

  bool apply_twice = false;  // a planted fault: shows that the checks see it

 private:
  Result<AppliedTransaction> read(TransactionCursor& cursor, const CursorItem& item);
  Result<void> learn(TransactionCursor& cursor);
  bool is_gone(char table, Place at) const;

  os::World& world_;
  MemoryTarget& target_;
  std::uint64_t generation_ = 0;
  std::set<char> known_;  // tables that the stream has defined
  TablesListed next_listed_, listed_;
  std::atomic<bool> interrupted_ = false;
};

}  // namespace farshore::fakes
