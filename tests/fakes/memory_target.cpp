#include "fakes/memory_target.h"

#include <algorithm>

#include "fakes/memory_database.h"

namespace farshore::fakes {
namespace {

constexpr std::size_t kGroupMax = 8;

}  // namespace

void MemoryTarget::crash() {
  applied_.resize(durable_count_);
  through_ = durable_;
  ++generation_;
}

void MemoryTarget::await_copy(char table) {
  awaited_.insert(table);
}

void MemoryTarget::restore(std::size_t count) {
  durable_count_ = std::min(count, durable_count_);
  durable_ = durable_count_ == 0 ? Sequence() : applied_[durable_count_ - 1].sequence;
  crash();
}

std::vector<AppliedTransaction> MemoryTarget::applied() const {
  return applied_;
}

std::vector<std::string> MemoryTarget::violations() const {
  return violations_;
}

Result<Sequence> MemorySink::open(const Uuid&, Epoch) {
  generation_ = target_.generation_;
  known_.clear();
  listed_ = next_listed_;
  interrupted_ = false;
  return target_.through_;
}

Result<AppliedTransaction> MemorySink::read(TransactionCursor& cursor, const CursorItem& item) {
  AppliedTransaction transaction{
      .xid = item.xid, .sequence = item.place.sequence, .changes = {}, .position = item.position};
  // A streamed transaction defines its tables for itself.
  std::set<char> own;
  std::set<char>& known = item.streamed ? own : known_;
  for (;;) {
    FARSHORE_TRY_ASSIGN(auto placed, cursor.next_record());
    if (!placed) return transaction;
    ByteReader in(placed->record.payload);
    while (in.left() > 0) {
      const auto sub_xid = in.number<std::uint64_t>();
      std::string change(in.string32());
      const bool aborted =
          std::binary_search(item.aborted_sub_xids.begin(), item.aborted_sub_xids.end(), sub_xid);
      if (sub_xid != 0 && aborted) continue;
      if (change.front() == kDefines) {
        known.insert(change.back());
        continue;
      }
      if (!known.contains(table_of(change)))
        return permanent(ErrorKind::rejected,
                         "transaction {} at {} changes table {}, of which the stream has said "
                         "nothing",
                         item.xid, item.place, table_of(change));
      if (target_.awaited_.contains(table_of(change))) {
        if (is_gone(table_of(change), item.place)) continue;
        return transient(ErrorKind::unavailable, "table {} waits for its copy", table_of(change));
      }
      transaction.changes.push_back(std::move(change));
    }
  }
}

bool MemorySink::is_gone(char table, Place at) const {
  return at.epoch == listed_.epoch && at.sequence <= listed_.through &&
         !listed_.tables.contains(std::string(1, table));
}

Result<void> MemorySink::learn(TransactionCursor& cursor) {
  for (;;) {
    FARSHORE_TRY_ASSIGN(auto placed, cursor.next_record());
    if (!placed) return {};
    ByteReader in(placed->record.payload);
    while (in.left() > 0) {
      in.number<std::uint64_t>();
      if (const ByteView text = in.string32(); text.front() == kDefines) known_.insert(text.back());
    }
  }
}

Result<Applied> MemorySink::apply(TransactionCursor& cursor, Deadline deadline) {
  std::vector<AppliedTransaction> group;
  Applied applied;
  for (std::size_t pulled = 0; pulled < kGroupMax && !interrupted_; ++pulled) {
    FARSHORE_TRY_ASSIGN(auto item,
                        cursor.next(group.empty() && pulled == 0 ? deadline : Deadline::passed()));
    if (!item) break;
    applied.through = item->place.sequence;
    applied.commit_time = std::max(applied.commit_time, item->commit_time);
    const bool done = item->place.sequence <= target_.through_;
    if (item->kind == RecordKind::session) known_.clear();
    if (item->kind == RecordKind::preamble || item->kind == RecordKind::schema ||
        (done && item->kind == RecordKind::data && !item->streamed))
      FARSHORE_TRY(learn(cursor));
    if (item->kind != RecordKind::data || done) continue;
    FARSHORE_TRY_ASSIGN(AppliedTransaction transaction, read(cursor, *item));
    group.push_back(std::move(transaction));
  }
  interrupted_ = false;
  if (generation_ != target_.generation_)
    return transient(ErrorKind::unavailable, "the target was restarted");
  for (AppliedTransaction& transaction : group) {
    if (transaction.sequence <= target_.through_)
      target_.violations_.push_back(fmt::format("transaction {} at {} was applied again",
                                                transaction.xid, transaction.sequence));
    if (apply_twice) target_.applied_.push_back(transaction);
    target_.through_ = transaction.sequence;
    target_.applied_.push_back(std::move(transaction));
    ++applied.transactions;
  }
  applied.through = std::max(applied.through, target_.through_);
  if (world_.random().next() % 3 == 0) {
    target_.durable_ = target_.through_;
    target_.durable_count_ = target_.applied_.size();
  }
  // What holds no transaction after the durable one is as durable as it.
  applied.durable = target_.durable_ == target_.through_ ? applied.through : target_.durable_;
  applied.recorded = target_.durable_;
  return applied;
}

Result<void> MemorySink::skip(const CursorItem& item) {
  target_.through_ = item.place.sequence;
  return {};
}

}  // namespace farshore::fakes
