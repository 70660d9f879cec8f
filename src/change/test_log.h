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

// Whole transactions of a TestLog from its beginning.
class TestCursor final : public TransactionCursor {
 public:
  explicit TestCursor(const TestLog& log) : log_(log) {}

  Result<std::optional<CursorItem>> next(Deadline) override {
    while (at_ < log_.records.size()) {
      const PlacedRecord& placed = log_.records[at_++];
      const Record& record = placed.record;
      if (record.kind == RecordKind::abort) {
        if (record.sub_xid == 0)
          open_.erase(record.xid);
        else
          open_[record.xid].aborted.insert(record.sub_xid);
        continue;
      }
      if (record.kind != RecordKind::data) {
        parts_ = {at_ - 1};
        return item_of(placed, {});
      }
      Open& open = open_[record.xid];
      if (record.flags.first) open = Open{};
      open.parts.push_back(at_ - 1);
      if (!record.flags.last) continue;
      parts_ = open.parts;
      auto item = item_of(placed, open.aborted);
      open_.erase(record.xid);
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

  std::optional<CursorItem> item_of(const PlacedRecord& placed,
                                    const std::set<std::uint64_t>& aborted) {
    part_ = 0;
    CursorItem item{
        .kind = placed.record.kind,
        .place = placed.place,
        .first = log_.records[parts_.front()].place.sequence,
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
