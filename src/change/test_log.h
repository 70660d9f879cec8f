// For tests of what reads a log: records in memory with the places that a journal would give them,
// and a cursor over them.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "change/transaction_cursor.h"

namespace farshore {

struct TestLog {
  std::vector<PlacedRecord> records;
  Epoch epoch{1};

  void add(Record record) {
    records.push_back(
        {.place = {epoch, Sequence(records.size() + 1)}, .hash = 0, .record = std::move(record)});
  }
  Sequence last() const { return Sequence(records.size()); }
};

// Whole transactions of a TestLog from its beginning. It passes the cursors' contract
// (cursor_contract.h). What it lacks by its nature: it waits for nothing, never fails, and always
// restarts at the beginning, since it remembers no preambles.
class TestCursor final : public TransactionCursor {
 public:
  explicit TestCursor(const TestLog& log) : log_(log) {}

  Result<std::optional<CursorItem>> next(Deadline) override {
    parts_.clear();
    while (at_ < log_.records.size()) {
      const PlacedRecord& placed = log_.records[at_++];
      const Record& record = placed.record;
      if (record.kind == RecordKind::abort) {
        take_abort(record);
        continue;
      }
      if (record.kind != RecordKind::data) {
        if (record.kind == RecordKind::session) open_.clear();
        parts_ = {at_ - 1};
        return item_of(placed, {});
      }
      if (record.flags.first) open_[record.xid] = Open{};
      const auto found = open_.find(record.xid);
      if (found == open_.end()) continue;
      Open& open = found->second;
      open.parts.push_back(at_ - 1);
      if (!record.flags.last) continue;
      parts_ = open.parts;
      auto item = item_of(placed, open.aborted);
      open_.erase(found);
      return item;
    }
    return std::optional<CursorItem>();
  }
  Result<std::optional<PlacedRecord>> next_record() override {
    if (part_ >= parts_.size()) return std::optional<PlacedRecord>();
    return std::optional(log_.records[parts_[part_++]]);
  }
  Result<void> rewind_item() override {
    part_ = 0;
    return {};
  }
  Sequence restart() const override { return Sequence(0); }

 private:
  struct Open {
    std::vector<std::size_t> parts;
    std::set<std::uint64_t> aborted;
  };

  void take_abort(const Record& record) {
    const auto found = open_.find(record.xid);
    if (found == open_.end()) return;
    if (record.sub_xid == 0)
      open_.erase(found);
    else
      found->second.aborted.insert(record.sub_xid);
  }
  std::optional<CursorItem> item_of(const PlacedRecord& placed,
                                    const std::set<std::uint64_t>& aborted) {
    part_ = 0;
    CursorItem item{
        .kind = placed.record.kind,
        .place = placed.place,
        .first = log_.records[parts_.front()].place.sequence,
        .session = placed.record.session,
        .xid = placed.record.xid,
        .records = parts_.size(),
        .streamed = placed.record.kind == RecordKind::data && placed.record.flags.streamed,
        .commit_time = placed.record.commit_time,
        .position = placed.record.position,
        .aborted_sub_xids = {aborted.begin(), aborted.end()}};
    for (const std::size_t part : parts_) {
      item.bytes += log_.records[part].record.payload.size();
      item.changes += log_.records[part].record.changes;
    }
    return item;
  }

  const TestLog& log_;
  std::size_t at_ = 0, part_ = 0;
  std::vector<std::size_t> parts_;
  std::map<std::uint64_t, Open> open_;
};

}  // namespace farshore
