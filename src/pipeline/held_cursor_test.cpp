#include "pipeline/held_cursor.h"

#include <gtest/gtest.h>

#include "journal/fake_disk.h"

namespace farshore::pipeline {
namespace {

constexpr WallTime kCommitted{1'000'000s};  // by the source's clock

// Time stands still but for what the test moves.
class StoppedWorld final : public journal::MemoryWorld {
 public:
  MonotonicTime monotonic() override { return MonotonicTime(1000s + passed); }
  WallTime wall() override { return kCommitted + offset + passed; }

  Duration passed{};  // since the commit
  Duration offset{};  // our wall clock minus the source's
};

// Gives one transaction.
class OneTransaction final : public TransactionCursor {
 public:
  Result<std::optional<CursorItem>> next(Deadline) override {
    if (std::exchange(given_, true)) return std::optional<CursorItem>();
    CursorItem item;
    item.commit_time = kCommitted;
    return std::optional(item);
  }
  Result<std::optional<PlacedRecord>> next_record() override {
    return std::optional<PlacedRecord>();
  }
  Result<void> rewind_item() override { return {}; }
  Sequence restart() const override { return {}; }

 private:
  bool given_ = false;
};

class HeldCursorTest : public ::testing::Test {
 protected:
  HeldCursor cursor(Hold hold) {
    return {world, std::make_unique<OneTransaction>(), hold, [this] { return known; }};
  }
  static bool gives(HeldCursor& cursor) {
    const auto item = cursor.next(Deadline::passed());
    EXPECT_TRUE(item.ok());
    return item.ok() && item->has_value();
  }

  StoppedWorld world;
  std::optional<Duration> known;  // the source's clock minus ours
};

TEST_F(HeldCursorTest, TheDelayIsOfTheSourcesClock) {
  for (const Duration offset : {25s, 0s, -25s}) {
    world.offset = offset;
    known = -offset;
    world.passed = 0s;
    HeldCursor held = cursor({.delay = 20s, .pause_at = {}});
    EXPECT_FALSE(gives(held)) << offset.count();
    world.passed = 19s;
    EXPECT_FALSE(gives(held)) << offset.count();
    world.passed = 20s;
    EXPECT_TRUE(gives(held)) << offset.count();
  }
}

TEST_F(HeldCursorTest, WhileThatIsUnknownTheDelayBeginsWithTheCursor) {
  world.offset = 25s;
  world.passed = 5s;
  HeldCursor held = cursor({.delay = 20s, .pause_at = {}});
  EXPECT_FALSE(gives(held));
  world.passed = 24s;
  EXPECT_FALSE(gives(held));
  world.passed = 25s;
  EXPECT_TRUE(gives(held));
}

TEST_F(HeldCursorTest, OnceItIsKnownTheDelayEndsByIt) {
  world.offset = -25s;
  world.passed = 19s;
  HeldCursor held = cursor({.delay = 20s, .pause_at = {}});
  world.passed = 21s;
  EXPECT_FALSE(gives(held));
  known = 25s;
  EXPECT_TRUE(gives(held));
}

TEST_F(HeldCursorTest, WithoutADelayOurClockDoesNotMatter) {
  world.offset = -1h;
  HeldCursor held = cursor({});
  EXPECT_TRUE(gives(held));
}

TEST_F(HeldCursorTest, APauseAtATimeHoldsWhatWasCommittedAfterItWhateverOurClockSays) {
  world.offset = 1h;
  HeldCursor held = cursor({.pause_at = kCommitted - 1ms});
  EXPECT_FALSE(gives(held));
  EXPECT_TRUE(held.reached_pause());
  HeldCursor later = cursor({.pause_at = kCommitted});
  EXPECT_TRUE(gives(later));
}

}  // namespace
}  // namespace farshore::pipeline
