#include "link/reassembly.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace farshore::link {
namespace {

using testing::HasSubstr;

Frame data(std::uint64_t sequence, ByteView payload, bool end = true) {
  return {{.type = FrameType::data,
           .flags = end ? kMessageEnd : std::uint8_t{0},
           .channel = 1,
           .sequence = sequence,
           .payload_bytes = static_cast<std::uint32_t>(payload.size())},
          payload};
}

std::vector<Bytes> taken(Reassembly& channel) {
  std::vector<Bytes> messages;
  while (auto message = channel.next()) messages.push_back(std::move(message->bytes));
  return messages;
}

TEST(Reassembly, PutsFramesOfSeveralConnectionsBackInOrder) {
  Reassembly channel(true);
  ASSERT_TRUE(channel.take(data(2, "C")).ok());
  ASSERT_TRUE(channel.take(data(1, "b")).ok());
  EXPECT_FALSE(channel.next().has_value());
  EXPECT_TRUE(channel.take(data(0, "a", false))->messages);
  EXPECT_EQ(taken(channel), (std::vector<Bytes>{"ab", "C"}));
}

TEST(Reassembly, APeersChannelBeginsWithItsOpen) {
  const Bytes open = encode(Open{.klass = Class::stream, .credit = 1, .name = "n"});
  const Frame frame{{.type = FrameType::open, .channel = 1, .sequence = 0}, open};
  Reassembly channel(false);
  ASSERT_TRUE(channel.take(data(1, "early")).ok());
  const auto progress = channel.take(frame);
  EXPECT_EQ(progress->opened->name, "n");
  EXPECT_TRUE(progress->messages);
  EXPECT_FALSE(channel.take(frame).ok());
  EXPECT_FALSE(Reassembly(false).take(data(0, "x")).ok());
  EXPECT_FALSE(Reassembly(true).take(frame).ok());
}

TEST(Reassembly, EnforcesTheWindow) {
  Reassembly channel(true);
  const Bytes big(kInitialCredit - kFrameCharge, 'x');
  ASSERT_TRUE(channel.take(data(0, big)).ok());
  EXPECT_THAT(channel.take(data(1, "")).error().what, HasSubstr("more than its window"));
}

TEST(Reassembly, WhatLiesBehindAGapCountsToo) {
  Reassembly channel(true);
  const Bytes half(kInitialCredit / 2, 'x');
  ASSERT_TRUE(channel.take(data(5, half)).ok());
  EXPECT_FALSE(channel.take(data(6, half)).ok());
}

TEST(Reassembly, RefusesASequenceTwice) {
  Reassembly channel(true);
  ASSERT_TRUE(channel.take(data(0, "a")).ok());
  EXPECT_FALSE(channel.take(data(0, "a")).ok());
  ASSERT_TRUE(channel.take(data(2, "c")).ok());
  EXPECT_FALSE(channel.take(data(2, "c")).ok());
}

TEST(Reassembly, RefusesAMessageOverTheLimit) {
  Reassembly channel(true);
  channel.give_credit(100_MiB);
  const Bytes part(kFramePayloadMax, 'x');
  Result<Reassembly::Progress> last{Reassembly::Progress{}};
  std::uint64_t sequence = 0;
  while (last.ok() && sequence < 100) last = channel.take(data(sequence++, part, false));
  EXPECT_EQ(sequence, kMessageMax / kFramePayloadMax + 1);
}

TEST(Reassembly, TellsOfACloseOnlyAfterAllBeforeIt) {
  const Bytes reason = encode_reason("bye");
  const Frame close{{.type = FrameType::close, .channel = 1, .sequence = 1}, reason};
  Reassembly channel(true);
  EXPECT_FALSE(channel.take(close)->closed.has_value());
  const auto progress = channel.take(data(0, "last"));
  EXPECT_EQ(progress->closed, "bye");
  EXPECT_EQ(taken(channel), std::vector<Bytes>{"last"});
  EXPECT_FALSE(channel.take(data(2, "after")).ok());
}

TEST(Reassembly, DiscardsWhatNobodyReadsAndGivesItsMemoryBack) {
  Reassembly channel(true);
  ASSERT_TRUE(channel.take(data(0, "a")).ok());
  ASSERT_TRUE(channel.take(data(1, "b", false)).ok());
  channel.discard();
  EXPECT_EQ(channel.held_bytes(), 0U);
  ASSERT_TRUE(channel.take(data(2, "c")).ok());
  EXPECT_EQ(channel.held_bytes(), 0U);
  EXPECT_FALSE(channel.next().has_value());
}

}  // namespace
}  // namespace farshore::link
