// What every Sink must do, whatever database is behind it: run against the one in memory
// (tests/fakes) and against servers (sink_contract_pgtest.cpp of an engine).
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sink/sink.h"

namespace farshore {

// A stream whose transactions insert numbers, and a target.
struct SinkUnderTest : Port {
  virtual Deadline soon(Duration d) = 0;
  virtual Uuid stream() = 0;
  virtual Epoch epoch() = 0;
  virtual std::unique_ptr<Sink> sink() = 0;                 // as a new agent has it
  virtual std::unique_ptr<TransactionCursor> cursor() = 0;  // over the log, from its beginning
  virtual Sequence last() = 0;                              // of the log
  // One transaction of the source, in the log when this returns; `aborted`: a part without effect.
  virtual void commit(const std::vector<int>& numbers, const std::vector<int>& aborted) = 0;
  virtual std::vector<int> visible() = 0;  // in the target, sorted
  virtual void end_sessions() = 0;         // the target's end of each session is gone
  virtual void await_copy() = 0;  // what changes the numbers waits for a copy of them from now on
};

struct SinkSetup {
  std::string name;
  std::function<std::unique_ptr<SinkUnderTest>()> make;
};

inline std::string sink_setup_name(const testing::TestParamInfo<SinkSetup>& info) {
  return info.param.name;
}

// Interrupts the sink that pulls from it, at its second item.
class InterruptingCursor final : public TransactionCursor {
 public:
  InterruptingCursor(std::unique_ptr<TransactionCursor> cursor, Sink& sink)
      : cursor_(std::move(cursor)), sink_(sink) {}

  Result<std::optional<CursorItem>> next(Deadline deadline) override {
    if (++pulled == 2) sink_.interrupt();
    return cursor_->next(deadline);
  }
  Result<std::optional<PlacedRecord>> next_record() override { return cursor_->next_record(); }
  Result<void> rewind_item() override { return cursor_->rewind_item(); }
  Sequence restart() const override { return cursor_->restart(); }

  int pulled = 0;

 private:
  const std::unique_ptr<TransactionCursor> cursor_;
  Sink& sink_;
};

class SinkContract : public testing::TestWithParam<SinkSetup> {
 protected:
  void commit(const std::vector<int>& numbers, const std::vector<int>& aborted = {}) {
    target_->commit(numbers, aborted);
    expected_.insert(expected_.end(), numbers.begin(), numbers.end());
  }
  void commit_many(int count) {
    for (int i = 0; i < count; ++i) commit({++number_});
  }
  Result<Sequence> open(Sink& sink) { return sink.open(target_->stream(), target_->epoch()); }
  // Until the end of the log or an error; all that was applied in these calls.
  Result<Applied> apply(Sink& sink, TransactionCursor& cursor) {
    Applied sum;
    const Deadline end = target_->soon(20s);
    while (sum.through < target_->last() && !end.reached(target_->soon(0s).time())) {
      FARSHORE_TRY_ASSIGN(const Applied part, sink.apply(cursor, target_->soon(200ms)));
      EXPECT_GE(part.through, sum.through);
      EXPECT_LE(part.durable, part.through);
      EXPECT_LE(part.recorded, part.durable);
      sum.transactions += part.transactions;
      sum.through = part.through;
      sum.durable = part.durable;
    }
    return sum;
  }
  // As an agent that was started anew: reads the whole log again.
  Applied restart() {
    auto sink = target_->sink();
    auto cursor = target_->cursor();
    auto opened = open(*sink);
    EXPECT_TRUE(opened.ok()) << (opened.ok() ? "" : opened.error().what);
    auto applied = apply(*sink, *cursor);
    EXPECT_TRUE(applied.ok()) << (applied.ok() ? "" : applied.error().what);
    sink->close();
    return applied.ok() ? *applied : Applied{};
  }
  void expect_all_visible() {
    std::sort(expected_.begin(), expected_.end());
    EXPECT_EQ(target_->visible(), expected_);
  }

  std::unique_ptr<SinkUnderTest> target_ = GetParam().make();
  std::vector<int> expected_;
  int number_ = 0;
};

TEST_P(SinkContract, OfANewStreamNothingIsHeld) {
  auto sink = target_->sink();
  auto held = open(*sink);
  ASSERT_TRUE(held.ok()) << held.error().what;
  EXPECT_EQ(*held, Sequence(0));
}

TEST_P(SinkContract, EachTransactionIsAppliedOnceAndPassedOverByTheNextSession) {
  commit_many(30);
  EXPECT_EQ(restart().transactions, 30U);
  expect_all_visible();
  auto sink = target_->sink();
  EXPECT_EQ(*open(*sink), target_->last());
  sink->close();
  const Applied again = restart();
  EXPECT_EQ(again.transactions, 0U);
  EXPECT_EQ(again.through, target_->last());
  commit_many(3);
  EXPECT_EQ(restart().transactions, 3U);
  expect_all_visible();
}

TEST_P(SinkContract, AnAbortedPartHasNoEffect) {
  commit({1, 2}, {3, 4});
  commit({5});
  EXPECT_EQ(restart().transactions, 2U);
  expect_all_visible();
}

TEST_P(SinkContract, WhatIsAppliedBecomesDurable) {
  commit_many(3);
  auto sink = target_->sink();
  auto cursor = target_->cursor();
  ASSERT_TRUE(open(*sink).ok());
  auto applied = apply(*sink, *cursor);
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  const Deadline end = target_->soon(20s);
  while (applied.ok() && applied->durable < target_->last() &&
         !end.reached(target_->soon(0s).time()))
    applied = sink->apply(*cursor, target_->soon(100ms));
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(applied->durable, target_->last());
}

TEST_P(SinkContract, WithNothingToApplyItReturnsAtTheDeadline) {
  auto sink = target_->sink();
  auto cursor = target_->cursor();
  ASSERT_TRUE(open(*sink).ok());
  auto applied = sink->apply(*cursor, target_->soon(20ms));
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(applied->transactions, 0U);
}

TEST_P(SinkContract, ASkippedTransactionIsPassedOverForGood) {
  target_->commit({100}, {});
  commit({1});
  {
    auto sink = target_->sink();
    auto cursor = target_->cursor();
    ASSERT_TRUE(open(*sink).ok());
    auto item = cursor->next(target_->soon(1s));
    while (item.ok() && *item && (*item)->kind != RecordKind::data)
      item = cursor->next(target_->soon(1s));
    ASSERT_TRUE(item.ok() && *item);
    auto skipped = sink->skip(**item);
    ASSERT_TRUE(skipped.ok()) << skipped.error().what;
    sink->close();
    auto next = target_->sink();
    EXPECT_GE(*open(*next), (*item)->place.sequence);
    next->close();
  }
  EXPECT_EQ(restart().transactions, 1U);
  expect_all_visible();
}

TEST_P(SinkContract, AfterItsSessionEndedItGoesOnExactlyOnce) {
  commit_many(20);
  auto sink = target_->sink();
  auto cursor = target_->cursor();
  ASSERT_TRUE(open(*sink).ok());
  ASSERT_TRUE(apply(*sink, *cursor).ok());
  target_->end_sessions();
  commit_many(20);
  auto broken = apply(*sink, *cursor);
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.error().retry, Retry::yes) << broken.error().what;
  sink->close();
  restart();
  expect_all_visible();
}

TEST_P(SinkContract, InterruptedItPullsNoMoreAndGoesOnExactlyOnce) {
  commit_many(30);
  auto sink = target_->sink();
  InterruptingCursor cursor(target_->cursor(), *sink);
  ASSERT_TRUE(open(*sink).ok());
  const auto applied = sink->apply(cursor, target_->soon(20s));
  EXPECT_TRUE(applied.ok() || applied.error().retry == Retry::yes);
  EXPECT_EQ(cursor.pulled, 2);
  sink->close();
  restart();
  expect_all_visible();
}

TEST_P(SinkContract, WhatNoCopyWillBringIsPassedOverUpToWhereItIsKnown) {
  auto sink = target_->sink();
  const auto apply_anew = [&]() -> Result<Applied> {
    sink->close();
    FARSHORE_TRY(open(*sink));
    return apply(*sink, *target_->cursor());
  };
  ASSERT_TRUE(open(*sink).ok());
  target_->await_copy();
  target_->commit({1}, {});
  auto waits = apply_anew();
  ASSERT_FALSE(waits.ok());
  EXPECT_EQ(waits.error().retry, Retry::yes) << waits.error().what;
  sink->listed({.epoch = target_->epoch(), .through = target_->last(), .tables = {}});
  const auto passed = apply_anew();
  ASSERT_TRUE(passed.ok()) << passed.error().what;
  EXPECT_EQ(passed->through, target_->last());
  target_->commit({2}, {});
  waits = apply_anew();
  ASSERT_FALSE(waits.ok());
  EXPECT_EQ(waits.error().retry, Retry::yes) << waits.error().what;
  expect_all_visible();  // which is none
}

}  // namespace farshore
