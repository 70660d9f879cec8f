#include "fakes/memory_target.h"

#include <algorithm>

namespace farshore::fakes {
namespace {

constexpr std::size_t kGroupMax = 8;

}  // namespace

void MemoryTarget::crash() {
  applied_.resize(durable_count_);
  through_ = durable_;
  ++generation_;
}

std::vector<AppliedTransaction> MemoryTarget::applied() const {
  return applied_;
}

std::vector<std::string> MemoryTarget::violations() const {
  return violations_;
}

Result<Sequence> MemorySink::open(const Uuid&, Epoch) {
  generation_ = target_.generation_;
  return target_.through_;
}

Result<AppliedTransaction> MemorySink::read(TransactionCursor& cursor, const CursorItem& item) {
  AppliedTransaction transaction{
      .xid = item.xid, .sequence = item.place.sequence, .changes = {}, .position = item.position};
  for (;;) {
    FARSHORE_TRY_ASSIGN(auto placed, cursor.next_record());
    if (!placed) return transaction;
    ByteReader in(placed->record.payload);
    while (in.left() > 0) {
      const auto sub_xid = in.number<std::uint64_t>();
      std::string change(in.string32());
      const bool aborted =
          std::binary_search(item.aborted_sub_xids.begin(), item.aborted_sub_xids.end(), sub_xid);
      if (sub_xid == 0 || !aborted) transaction.changes.push_back(std::move(change));
    }
  }
}

Result<Applied> MemorySink::apply(TransactionCursor& cursor, Deadline deadline) {
  std::vector<AppliedTransaction> group;
  Applied applied;
  for (std::size_t pulled = 0; pulled < kGroupMax; ++pulled) {
    FARSHORE_TRY_ASSIGN(auto item,
                        cursor.next(group.empty() && pulled == 0 ? deadline : Deadline::passed()));
    if (!item) break;
    applied.through = item->place.sequence;
    applied.commit_time = std::max(applied.commit_time, item->commit_time);
    if (item->kind != RecordKind::data || item->place.sequence <= target_.through_) continue;
    FARSHORE_TRY_ASSIGN(AppliedTransaction transaction, read(cursor, *item));
    group.push_back(std::move(transaction));
  }
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
  return applied;
}

Result<void> MemorySink::skip(const CursorItem& item) {
  target_.through_ = item.place.sequence;
  return {};
}

}  // namespace farshore::fakes
