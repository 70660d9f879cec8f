// For *_pgtest programs: what pgoutput really sent, put into records as the source does, and a
// cursor over them.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "change/transaction_cursor.h"
#include "engine/postgres/payload.h"
#include "engine/postgres/pgoutput.h"

namespace farshore::postgres {

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
        return item_of(placed, {}, 0);
      }
      Open& open = open_[record.xid];
      if (record.flags.first) open = Open{};
      open.parts.push_back(at_ - 1);
      if (!record.flags.last) continue;
      parts_ = open.parts;
      auto item = item_of(placed, open.aborted, record.changes);
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
                                    const std::set<std::uint64_t>& aborted, std::uint64_t) {
    part_ = 0;
    CursorItem item{.kind = placed.record.kind,
                    .place = placed.place,
                    .first = log_.records[parts_.front()].place.sequence,
                    .xid = placed.record.xid,
                    .records = parts_.size(),
                    .streamed = placed.record.flags.streamed,
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

// Puts pgoutput's messages into records as the source does.
class TestRecorder {
 public:
  TestRecorder(TestLog& log, std::uint64_t payload_max) : log_(log), payload_max_(payload_max) {}

  void message(ByteView bytes) {
    auto decoded = decode(bytes, in_stream_);
    ASSERT_TRUE(decoded.ok()) << decoded.error().what;
    if (const auto* begin = std::get_if<Begin>(&*decoded))
      current_ = begin->xid, open_.try_emplace(current_, payload_max_);
    if (const auto* start = std::get_if<StreamStart>(&*decoded)) {
      in_stream_ = true;
      current_ = start->xid;
      open_.try_emplace(current_, payload_max_).first->second.streamed = true;
    }
    if (const auto* abort = std::get_if<StreamAbort>(&*decoded)) {
      const bool whole = abort->sub_xid == abort->xid;
      log_.add(
          {.kind = RecordKind::abort, .xid = abort->xid, .sub_xid = whole ? 0 : abort->sub_xid});
      if (whole) open_.erase(abort->xid);
      return;
    }
    if (const auto* commit = std::get_if<StreamCommit>(&*decoded)) current_ = commit->xid;
    Open& open = open_.at(current_);
    const bool row = std::holds_alternative<Insert>(*decoded) ||
                     std::holds_alternative<Update>(*decoded) ||
                     std::holds_alternative<Delete>(*decoded);
    open.writer.add(bytes, row ? 1 : 0, [&](Bytes payload, std::uint32_t changes, bool continued) {
      emit(open, std::move(payload), changes, {.continued = continued}, {}, {});
    });
    if (std::holds_alternative<StreamStop>(*decoded)) {
      in_stream_ = false;
      emit(open, open.writer.take_payload(), open.writer.take_changes(), {}, {}, {});
    }
    if (const auto* commit = std::get_if<Commit>(&*decoded))
      finish(open, commit->end_lsn, commit->commit_time);
    if (const auto* commit = std::get_if<StreamCommit>(&*decoded))
      finish(open, commit->end_lsn, commit->commit_time);
  }

 private:
  struct Open {
    explicit Open(std::uint64_t payload_max) : writer(payload_max) {}
    PayloadWriter writer;
    bool streamed = false;
    bool began = false;
  };

  void emit(Open& open, Bytes payload, std::uint32_t changes, RecordFlags flags, Lsn position,
            WallTime time) {
    flags.first = !std::exchange(open.began, true);
    flags.streamed = open.streamed;
    log_.add({.kind = RecordKind::data,
              .flags = flags,
              .xid = current_,
              .changes = changes,
              .commit_time = time,
              .position = flags.last ? position.position() : Position{},
              .payload = std::move(payload)});
  }
  void finish(Open& open, Lsn position, WallTime time) {
    emit(open, open.writer.take_payload(), open.writer.take_changes(), {.last = true}, position,
         time);
    open_.erase(current_);
  }

  TestLog& log_;
  const std::uint64_t payload_max_;
  std::map<std::uint64_t, Open> open_;
  std::uint64_t current_ = 0;
  bool in_stream_ = false;
};

}  // namespace farshore::postgres
