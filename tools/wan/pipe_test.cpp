#include "wan/pipe.h"

#include <gtest/gtest.h>

namespace farshore::wan {
namespace {

const MonotonicTime kStart{Duration(1s)};

TEST(Pipe, DelaysWhatEnters) {
  Pipe pipe;
  pipe.set_delay(40ms);
  EXPECT_EQ(pipe.enter(kStart, 1000), kStart + 40ms);
  EXPECT_EQ(pipe.enter(kStart + 1ms, 1000), kStart + 41ms);
}

TEST(Pipe, WithoutDelayAndRateNothingIsOnTheWay) {
  Pipe pipe;
  EXPECT_EQ(pipe.enter(kStart, 1000), kStart);
  EXPECT_EQ(pipe.room(kStart), kUnlimitedCapacity);
  EXPECT_EQ(pipe.total(), 1000u);
}

TEST(Pipe, BytesWaitTheirTurnAtTheBottleneck) {
  Pipe pipe;
  pipe.set_rate(8'000'000);  // 1 MB/s
  EXPECT_EQ(pipe.enter(kStart, 1000), kStart + 1ms);
  EXPECT_EQ(pipe.enter(kStart, 1000), kStart + 2ms);
  EXPECT_EQ(pipe.enter(kStart + 10ms, 1000), kStart + 11ms);
}

TEST(Pipe, HoldsBandwidthTimesDelayAndNoMore) {
  Pipe pipe;
  pipe.set_rate(100'000'000);
  pipe.set_delay(80ms);
  EXPECT_EQ(pipe.capacity(), 1'250'000u);  // 12.5 MB/s x (80 + 20) ms
  pipe.enter(kStart, 1'250'000);
  EXPECT_EQ(pipe.room(kStart), 0u);
  EXPECT_EQ(pipe.next_out(), kStart + 180ms);
  EXPECT_EQ(pipe.room(kStart + 180ms), 1'250'000u);
  EXPECT_EQ(pipe.next_out(), MonotonicTime::max());
}

TEST(Pipe, KeepsTheOrderWhenTheDelayShrinks) {
  Pipe pipe;
  pipe.set_delay(100ms);
  const MonotonicTime first = pipe.enter(kStart, 10);
  pipe.set_delay(1ms);
  EXPECT_GE(pipe.enter(kStart + 1ms, 10), first);
}

TEST(Rate, ReadsUnits) {
  EXPECT_EQ(parse_rate("100Mbit").value(), 100'000'000u);
  EXPECT_EQ(parse_rate("1.5Gbit").value(), 1'500'000'000u);
  EXPECT_EQ(parse_rate("64kbit").value(), 64'000u);
  EXPECT_EQ(parse_rate("off").value(), std::nullopt);
}

TEST(Rate, RefusesWhatHasNoUnitOrNoSense) {
  for (const char* text : {"", "100", "Mbit", "-1Mbit", "0Mbit", "1Mbits", "nanMbit"})
    EXPECT_FALSE(parse_rate(text).ok()) << text;
}

}  // namespace
}  // namespace farshore::wan
