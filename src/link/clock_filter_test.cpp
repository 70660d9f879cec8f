#include "link/clock_filter.h"

#include <gtest/gtest.h>

#include "link/pool_growth.h"

namespace farshore::link {
namespace {

// The peer's clock is 5 s ahead; `there` and `back` are the ways.
ClockExchange round_trip(Duration there, Duration back, Duration held = 1ms) {
  const WallTime sent(1000s);
  const WallTime received = sent + there + 5s;
  return {.sent_at = sent,
          .returned_at = sent + there + held + back,
          .waited = there + held + back,
          .received_at = received,
          .answered_at = received + held,
          .held = held};
}

TEST(ClockFilter, NothingMeasuredIsUnknown) {
  EXPECT_EQ(ClockFilter().rtt(), 0ms);
  EXPECT_EQ(ClockFilter().offset_bound(), 0ms);
}

TEST(ClockFilter, MeasuresOffsetAndRoundTrip) {
  ClockFilter filter;
  filter.add(round_trip(40ms, 40ms));
  EXPECT_EQ(filter.rtt(), 80ms);
  EXPECT_EQ(filter.offset(), 5s);
  EXPECT_EQ(filter.offset_bound(), 40ms);
}

TEST(ClockFilter, BelievesTheShortestOfTheLastEight) {
  ClockFilter filter;
  filter.add(round_trip(40ms, 40ms));
  for (int i = 0; i < 7; ++i) filter.add(round_trip(500ms, 40ms));
  EXPECT_EQ(filter.offset(), 5s);
  EXPECT_EQ(filter.offset_bound(), 40ms);
  filter.add(round_trip(500ms, 40ms));
  EXPECT_EQ(filter.offset(), 5s + 230ms);
  EXPECT_EQ(filter.offset_bound(), 270ms);
}

TEST(ClockFilter, TheErrorIsNeverOverTheBound) {
  for (const auto& [there, back] :
       {std::pair{1ms, 99ms}, std::pair{99ms, 1ms}, std::pair{50ms, 50ms}}) {
    ClockFilter filter;
    filter.add(round_trip(there, back));
    EXPECT_LE(std::chrono::abs(filter.offset() - 5s), filter.offset_bound());
  }
}

TEST(ClockFilter, AStepOfEitherClockGivesNoOffset) {
  ClockExchange stepped = round_trip(40ms, 40ms);
  stepped.returned_at += 2s;
  ClockFilter filter;
  filter.add(stepped);
  EXPECT_EQ(filter.rtt(), 80ms);
  EXPECT_EQ(filter.offset_bound(), 0ms);
}

MonotonicTime at(Duration d) {
  return MonotonicTime(d);
}

TEST(PoolGrowth, GrowsAfterThePatienceAndOnlyWhileItHelps) {
  PoolGrowth growth;
  EXPECT_FALSE(growth.look(at(1s), 2_MiB, 0, 80ms, 1));
  EXPECT_FALSE(growth.look(at(1200ms), 2_MiB, 20_MiB, 80ms, 1));
  EXPECT_TRUE(growth.look(at(1300ms), 2_MiB, 30_MiB, 80ms, 1));  // 100 MiB/s
  EXPECT_FALSE(growth.look(at(3200ms), 2_MiB, 400_MiB, 80ms, 2));
  EXPECT_TRUE(growth.look(at(3300ms), 2_MiB, 430_MiB, 80ms, 2));   // 200 MiB/s: it helped
  EXPECT_FALSE(growth.look(at(5300ms), 2_MiB, 835_MiB, 80ms, 4));  // 202 MiB/s: it did not
  EXPECT_FALSE(growth.look(at(60s), 2_MiB, 12000_MiB, 80ms, 4));
  EXPECT_TRUE(growth.look(at(66s), 2_MiB, 13000_MiB, 80ms, 4));
}

TEST(PoolGrowth, GrowsToTwiceAsManyAndThenJudges) {
  PoolGrowth growth;
  EXPECT_FALSE(growth.look(at(1s), 2_MiB, 0, 80ms, 4));
  EXPECT_TRUE(growth.look(at(1300ms), 2_MiB, 30_MiB, 80ms, 4));  // 100 MiB/s
  for (int there = 5; there < 8; ++there)
    EXPECT_TRUE(growth.look(at(1300ms + (there - 4) * 200ms), 2_MiB, 50_MiB, 80ms, there));
  EXPECT_FALSE(growth.look(at(2200ms), 2_MiB, 100_MiB, 80ms, 8));
  EXPECT_FALSE(growth.look(at(3800ms), 2_MiB, 400_MiB, 80ms, 8));
  EXPECT_TRUE(growth.look(at(4s), 2_MiB, 500_MiB, 80ms, 8));
}

TEST(PoolGrowth, ThoseThatDoNotComeAreNotWaitedFor) {
  PoolGrowth growth;
  EXPECT_FALSE(growth.look(at(1s), 2_MiB, 0, 80ms, 4));
  EXPECT_TRUE(growth.look(at(1300ms), 2_MiB, 30_MiB, 80ms, 4));
  EXPECT_TRUE(growth.look(at(3200ms), 2_MiB, 230_MiB, 80ms, 4));
  EXPECT_FALSE(growth.look(at(3400ms), 2_MiB, 250_MiB, 80ms, 4));
}

TEST(PoolGrowth, ALongRoundTripGivesANewConnectionMoreTime) {
  PoolGrowth growth;
  EXPECT_FALSE(growth.look(at(1s), 2_MiB, 0, 300ms, 1));
  EXPECT_TRUE(growth.look(at(1300ms), 2_MiB, 30_MiB, 300ms, 1));    // 100 MiB/s
  EXPECT_FALSE(growth.look(at(3300ms), 2_MiB, 230_MiB, 300ms, 2));  // does not help yet
  EXPECT_TRUE(growth.look(at(4900ms), 2_MiB, 530_MiB, 300ms, 2));   // 139 MiB/s
}

TEST(PoolGrowth, AShortQueueNeedsNoConnection) {
  PoolGrowth growth;
  for (int tenth = 0; tenth < 100; ++tenth)
    EXPECT_FALSE(growth.look(at(tenth * 100ms), tenth % 3 == 2 ? 0 : 2_MiB, 0, 80ms, 1));
}

}  // namespace
}  // namespace farshore::link
