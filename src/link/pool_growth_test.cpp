#include "link/pool_growth.h"

#include <gtest/gtest.h>

namespace farshore::link {
namespace {

MonotonicTime at(Duration d) {
  return MonotonicTime(d);
}

// A pool that has grown at 1.3 s, when 100 MiB/s were sent.
PoolGrowth grown(int connections, Duration rtt = 80ms) {
  PoolGrowth growth;
  EXPECT_FALSE(growth.look(at(1s), 2_MiB, 0, rtt, connections));
  EXPECT_FALSE(growth.look(at(1200ms), 2_MiB, 20_MiB, rtt, connections));
  EXPECT_TRUE(growth.look(at(1300ms), 2_MiB, 30_MiB, rtt, connections));
  return growth;
}

TEST(PoolGrowth, GrowsAfterThePatienceAndOnlyWhileItHelps) {
  PoolGrowth growth = grown(1);
  EXPECT_FALSE(growth.look(at(3200ms), 2_MiB, 400_MiB, 80ms, 2));
  EXPECT_TRUE(growth.look(at(3300ms), 2_MiB, 430_MiB, 80ms, 2));   // 200 MiB/s: it helped
  EXPECT_FALSE(growth.look(at(5300ms), 2_MiB, 835_MiB, 80ms, 4));  // 202 MiB/s: it did not
  EXPECT_FALSE(growth.look(at(60s), 2_MiB, 12000_MiB, 80ms, 4));
  EXPECT_TRUE(growth.look(at(66s), 2_MiB, 13000_MiB, 80ms, 4));
}

TEST(PoolGrowth, GrowsToTwiceAsManyAndThenJudges) {
  PoolGrowth growth = grown(4);
  for (int there = 5; there < 8; ++there)
    EXPECT_TRUE(growth.look(at(1300ms + (there - 4) * 200ms), 2_MiB, 50_MiB, 80ms, there));
  EXPECT_FALSE(growth.look(at(2200ms), 2_MiB, 100_MiB, 80ms, 8));
  EXPECT_FALSE(growth.look(at(3800ms), 2_MiB, 400_MiB, 80ms, 8));
  EXPECT_TRUE(growth.look(at(4s), 2_MiB, 500_MiB, 80ms, 8));
}

TEST(PoolGrowth, ThoseThatDoNotComeAreNotWaitedFor) {
  PoolGrowth growth = grown(4);
  EXPECT_TRUE(growth.look(at(3200ms), 2_MiB, 230_MiB, 80ms, 4));
  EXPECT_FALSE(growth.look(at(3400ms), 2_MiB, 250_MiB, 80ms, 4));
}

TEST(PoolGrowth, ALongRoundTripGivesANewConnectionMoreTime) {
  PoolGrowth growth = grown(1, 300ms);
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
