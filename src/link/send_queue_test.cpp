#include "link/send_queue.h"

#include <gtest/gtest.h>

namespace farshore::link {
namespace {

std::shared_ptr<const Bytes> bytes(std::size_t size) {
  return std::make_shared<const Bytes>(size, 'x');
}

void open(SendQueue& queue, std::uint32_t channel, Class klass, std::uint64_t credit = 100_MiB) {
  queue.add(channel, klass, credit);
}

std::uint32_t next_channel(SendQueue& queue) {
  const auto frame = queue.next();
  return frame ? frame->header.channel : 0;
}

TEST(SendQueue, ALowerClassGoesFirstEvenInTheMiddleOfALongMessage) {
  SendQueue queue;
  open(queue, 1, Class::copy);
  open(queue, 3, Class::control);
  queue.push(1, FrameType::data, bytes(4_MiB));
  EXPECT_EQ(next_channel(queue), 1U);
  queue.push(3, FrameType::data, bytes(10));
  EXPECT_EQ(next_channel(queue), 3U);
  EXPECT_EQ(next_channel(queue), 1U);
}

TEST(SendQueue, ChannelsOfOneClassTakeTurns) {
  SendQueue queue;
  for (std::uint32_t channel : {1, 3, 5}) {
    open(queue, channel, Class::stream);
    queue.push(channel, FrameType::data, bytes(1_MiB));
  }
  for (std::uint32_t expected : {1, 3, 5, 1, 3, 5}) EXPECT_EQ(next_channel(queue), expected);
}

TEST(SendQueue, AMessageIsCutAndItsLastFrameSaysSo) {
  SendQueue queue;
  open(queue, 1, Class::stream);
  queue.push(1, FrameType::data, bytes(2 * kFrameCut + 1));
  std::vector<std::pair<std::size_t, int>> frames;
  while (auto frame = queue.next()) {
    EXPECT_EQ(frame->header.sequence, frames.size());
    frames.emplace_back(frame->payload().size(), frame->header.flags);
  }
  EXPECT_EQ(frames, (std::vector<std::pair<std::size_t, int>>{
                        {kFrameCut, 0}, {kFrameCut, 0}, {1, kMessageEnd}}));
}

TEST(SendQueue, WithoutCreditAChannelWaitsAndTheOthersDoNot) {
  SendQueue queue;
  open(queue, 1, Class::waiting, kInitialCredit);
  open(queue, 3, Class::copy);
  queue.push(1, FrameType::data, bytes(200_KiB));
  queue.push(3, FrameType::data, bytes(10));
  EXPECT_EQ(next_channel(queue), 1U);
  EXPECT_EQ(next_channel(queue), 3U);
  EXPECT_FALSE(queue.next().has_value());
  EXPECT_EQ(queue.ready_bytes(), 0U);
  ASSERT_TRUE(queue.add_credit(1, 1_MiB).ok());
  EXPECT_EQ(queue.ready_bytes(), 200_KiB - kFrameCut);
  EXPECT_EQ(next_channel(queue), 1U);
}

TEST(SendQueue, BelievesNoCreditThatOverflows) {
  SendQueue queue;
  open(queue, 1, Class::stream);
  EXPECT_FALSE(queue.add_credit(1, ~std::uint64_t{0}).ok());
  EXPECT_TRUE(queue.add_credit(99, 1).ok());  // closed meanwhile
}

TEST(SendQueue, ACloseFollowsTheDataAndForgetsTheChannel) {
  SendQueue queue;
  open(queue, 1, Class::stream);
  queue.push(1, FrameType::data, bytes(10));
  queue.push(1, FrameType::close, bytes(2));
  const auto data = queue.next();
  EXPECT_EQ(data->header.type, FrameType::data);
  EXPECT_EQ(queue.next()->header.type, FrameType::close);
  EXPECT_FALSE(queue.has(1));
  queue.written(*data);
  EXPECT_EQ(queue.queued_bytes(), 0U);
}

TEST(SendQueue, DroppedDataIsNoLongerCounted) {
  SendQueue queue;
  open(queue, 1, Class::stream);
  queue.push(1, FrameType::open, bytes(5));
  queue.push(1, FrameType::data, bytes(100_KiB));
  queue.push(1, FrameType::data, bytes(100_KiB));
  std::vector<OutgoingFrame> sent{*queue.next(), *queue.next()};
  queue.drop_data(1);
  for (const auto& frame : sent) queue.written(frame);
  EXPECT_EQ(queue.queued_bytes(), 0U);
  EXPECT_EQ(queue.ready_bytes(), 0U);
  queue.push(1, FrameType::close, bytes(2));
  EXPECT_EQ(queue.next()->header.sequence, 2U);
}

TEST(SendQueue, AChannelMayChangeItsClassWhileItWaits) {
  SendQueue queue;
  open(queue, 1, Class::copy);
  open(queue, 3, Class::stream);
  queue.push(1, FrameType::data, bytes(10));
  queue.push(3, FrameType::data, bytes(10));
  queue.set_class(1, Class::waiting);
  EXPECT_EQ(next_channel(queue), 1U);
}

}  // namespace
}  // namespace farshore::link
