// What every TransactionCursor must do, be it over a journal (journal/cursor_contract_test.cpp) or
// over records in memory (TestCursor).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "change/transaction_cursor.h"

namespace farshore {

// A log that grows, and cursors over it.
struct CursorUnderTest : Port {
  virtual void add(Record record) = 0;  // there to be read when this returns
  // From the beginning, or from what a cursor's restart() answered.
  virtual std::unique_ptr<TransactionCursor> cursor(Sequence from) = 0;
};

struct CursorSetup {
  std::string name;
  std::function<std::unique_ptr<CursorUnderTest>()> make;
};

inline std::string cursor_setup_name(const testing::TestParamInfo<CursorSetup>& info) {
  return info.param.name;
}

class CursorContract : public testing::TestWithParam<CursorSetup> {
 protected:
  void add(RecordKind kind, std::uint32_t session = 1) {
    log_->add({.kind = kind, .session = session, .payload = "of its kind"});
  }
  void add_part(std::uint64_t xid, const std::string& payload, bool first, bool last,
                std::uint32_t session = 1) {
    Record record{.flags = {.first = first, .last = last, .streamed = true},
                  .session = session,
                  .xid = xid,
                  .changes = 1,
                  .payload = payload};
    if (last) record.commit_time = WallTime(7s);
    if (last) record.position.bytes = "position " + std::to_string(xid);
    log_->add(std::move(record));
  }
  void add_abort(std::uint64_t xid, std::uint64_t sub_xid) {
    log_->add({.kind = RecordKind::abort, .session = 1, .xid = xid, .sub_xid = sub_xid});
  }
  // What is there already: nothing is waited for.
  static std::optional<CursorItem> next(TransactionCursor& cursor) {
    auto item = cursor.next(Deadline::passed());
    EXPECT_TRUE(item.ok()) << (item.ok() ? "" : item.error().what);
    return item.ok() ? *std::move(item) : std::nullopt;
  }
  static std::vector<std::string> payloads(TransactionCursor& cursor) {
    std::vector<std::string> all;
    for (;;) {
      const auto record = cursor.next_record();
      EXPECT_TRUE(record.ok()) << (record.ok() ? "" : record.error().what);
      if (!record.ok() || !*record) return all;
      all.push_back((*record)->record.payload);
    }
  }
  static std::vector<Sequence> ends(TransactionCursor& cursor) {
    std::vector<Sequence> all;
    while (const auto item = next(cursor)) all.push_back(item->place.sequence);
    return all;
  }

  std::unique_ptr<CursorUnderTest> log_ = GetParam().make();
};

using Payloads = std::vector<std::string>;

TEST_P(CursorContract, TransactionsComeWholeAndInTheOrderInWhichTheyCommitted) {
  add_part(1, "1a", true, false);
  add_part(2, "2a", true, false);
  add_part(2, "2b", false, true);
  add_part(1, "1b", false, true);
  const auto cursor = log_->cursor(Sequence(0));
  const auto item = next(*cursor);
  ASSERT_TRUE(item);
  EXPECT_EQ(item->kind, RecordKind::data);
  EXPECT_EQ(item->place, (Place{Epoch(1), Sequence(3)}));
  EXPECT_EQ(item->first, Sequence(2));
  EXPECT_EQ(item->session, 1U);
  EXPECT_EQ(item->xid, 2U);
  EXPECT_EQ(item->records, 2U);
  EXPECT_EQ(item->bytes, 4U);
  EXPECT_EQ(item->changes, 2U);
  EXPECT_TRUE(item->streamed);
  EXPECT_EQ(item->commit_time, WallTime(7s));
  EXPECT_EQ(item->position.bytes, "position 2");
  EXPECT_EQ(payloads(*cursor), (Payloads{"2a", "2b"}));
  ASSERT_TRUE(next(*cursor));
  EXPECT_EQ(payloads(*cursor), (Payloads{"1a", "1b"}));
  EXPECT_FALSE(next(*cursor));
}

TEST_P(CursorContract, WhatWasNotReadOfAnItemIsPassedOver) {
  add_part(1, "1a", true, false);
  add_part(1, "1b", false, true);
  add_part(2, "2", true, true);
  const auto cursor = log_->cursor(Sequence(0));
  ASSERT_TRUE(next(*cursor));
  EXPECT_EQ((*cursor->next_record())->record.payload, "1a");
  ASSERT_TRUE(next(*cursor));
  EXPECT_FALSE(next(*cursor));
  EXPECT_EQ(payloads(*cursor), Payloads());
}

TEST_P(CursorContract, ARewoundItemIsReadAgainFromItsFirstRecord) {
  add_part(1, "1a", true, false);
  add_part(1, "1b", false, true);
  const auto cursor = log_->cursor(Sequence(0));
  ASSERT_TRUE(next(*cursor));
  EXPECT_EQ((*cursor->next_record())->record.payload, "1a");
  for (int time = 0; time < 2; ++time) {
    ASSERT_TRUE(cursor->rewind_item().ok());
    EXPECT_EQ(payloads(*cursor), (Payloads{"1a", "1b"}));
  }
}

TEST_P(CursorContract, WhatWasAbortedIsNotGivenAndAbortedPartsAreNamed) {
  add_part(1, "1a", true, false);
  add_part(2, "2a", true, false);
  for (const std::uint64_t sub_xid : {12U, 11U, 12U}) add_abort(1, sub_xid);
  add_abort(2, 0);
  add_part(1, "1b", false, true);
  const auto cursor = log_->cursor(Sequence(0));
  const auto item = next(*cursor);
  ASSERT_TRUE(item);
  EXPECT_EQ(item->xid, 1U);
  EXPECT_EQ(item->aborted_sub_xids, (std::vector<std::uint64_t>{11, 12}));
  EXPECT_FALSE(next(*cursor));
}

TEST_P(CursorContract, ASessionAbandonsWhatTheOneBeforeLeftOpen) {
  add_part(1, "old", true, false);
  add(RecordKind::session, 2);
  add_part(1, "its end", false, true, 2);
  add_part(2, "new", true, true, 2);
  const auto cursor = log_->cursor(Sequence(0));
  ASSERT_TRUE(next(*cursor));
  EXPECT_EQ(payloads(*cursor), Payloads{"of its kind"});
  const auto item = next(*cursor);
  ASSERT_TRUE(item);
  EXPECT_EQ(item->xid, 2U);
  EXPECT_EQ(item->session, 2U);
}

TEST_P(CursorContract, RecordsBetweenTransactionsComeInTheirPlace) {
  const std::vector<RecordKind> kinds{RecordKind::session,   RecordKind::preamble,
                                      RecordKind::heartbeat, RecordKind::definition,
                                      RecordKind::table,     RecordKind::schema};
  for (const RecordKind kind : kinds) add(kind);
  const auto cursor = log_->cursor(Sequence(0));
  for (std::size_t i = 0; i < kinds.size(); ++i) {
    const auto item = next(*cursor);
    ASSERT_TRUE(item);
    EXPECT_EQ(item->kind, kinds[i]);
    EXPECT_EQ(item->place.sequence, Sequence(i + 1));
    EXPECT_EQ(item->first, item->place.sequence);
    EXPECT_EQ(payloads(*cursor), Payloads{"of its kind"});
  }
}

TEST_P(CursorContract, WhatIsNotCompleteComesOnceItIs) {
  const auto cursor = log_->cursor(Sequence(0));
  EXPECT_FALSE(next(*cursor));
  add_part(1, "1a", true, false);
  EXPECT_FALSE(next(*cursor));
  add_part(1, "1b", false, true);
  ASSERT_TRUE(next(*cursor));
  EXPECT_EQ(payloads(*cursor), (Payloads{"1a", "1b"}));
}

TEST_P(CursorContract, AnotherThatStartsAtRestartGivesAllThatFollows) {
  add(RecordKind::preamble);
  add_part(1, "1a", true, false);
  add_part(2, "2", true, true);
  add(RecordKind::preamble);
  add_part(1, "1b", false, true);
  add_part(3, "3", true, true);
  const auto cursor = log_->cursor(Sequence(0));
  while (const auto item = next(*cursor)) {
    const Sequence at = item->place.sequence;
    const auto again = log_->cursor(cursor->restart());
    std::vector<Sequence> rest = ends(*again), expected;
    std::erase_if(rest, [&](Sequence end) { return end <= at; });
    for (const std::uint64_t end : {1U, 3U, 4U, 5U, 6U})
      if (Sequence(end) > at) expected.emplace_back(end);
    EXPECT_EQ(rest, expected) << "after " << at.value();
  }
}

}  // namespace farshore
