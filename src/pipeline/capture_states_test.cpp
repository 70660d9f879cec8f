#include "pipeline/capture_states.h"

#include <gtest/gtest.h>

#include "base/test_golden.h"
#include "pipeline/totals.h"

namespace farshore::pipeline {
namespace {

const std::vector<CaptureState> kStates{
    {.stream = "orders", .state = State::streaming},
    {.stream = "bills", .state = State::failed, .reason = "why"}};
const std::vector<StreamTotals> kTotals{{.stream = Uuid::from_random(1, 2),
                                         .name = "orders",
                                         .captured = {Epoch(3), Sequence(5)},
                                         .source_position = "0/16B3748",
                                         .commit_time = WallTime(5s),
                                         .transactions = 1,
                                         .changes = 2,
                                         .bytes = 3,
                                         .open_transactions = 4}};

TEST(KeepaliveGolden, TotalsAndCaptureStatesAreReadAndWrittenTheSame) {
  const Bytes totals = golden_file("keepalive/1/totals.bin", encode_totals(kTotals));
  ASSERT_TRUE(decode_totals(totals).ok());
  EXPECT_EQ(decode_totals(totals)->at(0).source_position, "0/16B3748");
  EXPECT_EQ(encode_totals(*decode_totals(totals)), totals);
  const Bytes states =
      golden_file("keepalive/2/capture_states.bin", encode_capture_states(kStates));
  ASSERT_TRUE(decode_capture_states(states).ok());
  EXPECT_EQ(decode_capture_states(states)->at(1).reason, "why");
  EXPECT_EQ(encode_capture_states(*decode_capture_states(states)), states);
}

TEST(CaptureStates, EachPayloadOfAKeepaliveIsPassedOverByTheReaderOfTheOther) {
  EXPECT_FALSE(decode_totals(encode_capture_states(kStates)).ok());
  EXPECT_FALSE(decode_capture_states(encode_totals(kTotals)).ok());
}

TEST(CaptureStates, DamageAndAnUnknownStateAreSeen) {
  Bytes bytes = encode_capture_states(kStates);
  bytes[6] ^= 1;
  EXPECT_FALSE(decode_capture_states(bytes).ok());
  EXPECT_FALSE(decode_capture_states(encode_capture_states({{.state = State(99)}})).ok());
}

TEST(CaptureStates, AReasonIsCutBetweenCharacters) {
  std::string reason(kCaptureReasonMax - 4, 'x');
  reason += "\u00e4\u00e4\u00e4";
  const auto states =
      *decode_capture_states(encode_capture_states({{.stream = "a", .reason = reason}}));
  EXPECT_EQ(states[0].reason, std::string(kCaptureReasonMax - 4, 'x') + "...");
}

TEST(CaptureStates, WhatIsNotHeardAnyMoreIsUnknown) {
  CaptureStatesHeard heard(20s);
  const MonotonicTime now{100s};
  EXPECT_FALSE(heard.of("bills", now));
  heard.received(encode_capture_states(kStates), now);
  heard.received(encode_totals(kTotals), now);
  ASSERT_TRUE(heard.of("bills", now + 5s));
  EXPECT_EQ(heard.of("bills", now + 5s)->state, State::failed);
  EXPECT_EQ(heard.of("bills", now + 5s)->reason, "why");
  EXPECT_FALSE(heard.of("bills", now + 21s));
}

TEST(CaptureStates, WhatWasToldHoldsForThreeTurnsOfWhoTellsIt) {
  EXPECT_EQ(told_holds_for(1, 1s), 20s);
  EXPECT_EQ(told_holds_for(0, 10s), 20s);
  EXPECT_EQ(told_holds_for(1, 10s), 60s) << "the longest keepalive: a turn takes 20 s";
  EXPECT_EQ(told_holds_for(120, 10s), 60s);
  EXPECT_EQ(told_holds_for(1000, 1s), 54s);
}

TEST(CaptureStates, AFailedLegIsHeardWithItsStreamUntilThatComesWithoutIt) {
  const MonotonicTime now{100s};
  const CaptureState stream{.stream = "orders", .state = State::streaming};
  const CaptureState other{.stream = "orders2", .state = State::streaming};
  const CaptureState leg{.stream = "orders/eu", .state = State::failed, .reason = "no copy"};
  CaptureStatesHeard heard(20s);
  heard.received(encode_capture_states({stream, leg}), now);
  heard.received(encode_capture_states({other}), now);
  ASSERT_TRUE(heard.of_leg("orders", "eu", now));
  EXPECT_EQ(heard.of_leg("orders", "eu", now)->reason, "no copy");
  EXPECT_FALSE(heard.of_leg("orders", "us", now));
  heard.received(encode_capture_states({stream}), now + 2s);
  EXPECT_FALSE(heard.of_leg("orders", "eu", now + 2s));
}

}  // namespace
}  // namespace farshore::pipeline
