#include "link/clock_filter.h"

#include <gtest/gtest.h>

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
  EXPECT_EQ(ClockFilter().rtt_min(), 0ms);
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

TEST(ClockFilter, TheShortestRoundTripIsNotMovedByAnExchangeThatWaited) {
  ClockFilter filter;
  filter.add(round_trip(20s, 20s));  // the first of all: what is smoothed keeps of it for long
  EXPECT_EQ(filter.rtt_min(), 40s);
  filter.add(round_trip(40ms, 40ms));
  EXPECT_EQ(filter.rtt_min(), 80ms);
  EXPECT_GT(filter.rtt(), 30s);
  filter.add(round_trip(9s, 40ms));
  EXPECT_EQ(filter.rtt_min(), 80ms);
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
  EXPECT_EQ(filter.rtt_min(), 80ms);
  EXPECT_EQ(filter.offset_bound(), 0ms);
}

}  // namespace
}  // namespace farshore::link
