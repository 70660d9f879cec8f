#include "engine/postgres/payload.h"

#include <gmock/gmock.h>

#include <random>

namespace farshore::postgres {
namespace {

struct Payload {
  Bytes bytes;
  std::uint32_t changes;
  bool continued;
};

std::vector<Payload> cut(const std::vector<Bytes>& messages, std::uint64_t payload_max) {
  std::vector<Payload> out;
  PayloadWriter writer(payload_max);
  auto full = [&](Bytes bytes, std::uint32_t changes, bool continued) {
    out.push_back({std::move(bytes), changes, continued});
  };
  for (const Bytes& message : messages) writer.add(message, 1, full);
  const std::uint32_t changes = writer.take_changes();
  out.push_back({writer.take_payload(), changes, false});
  return out;
}

Result<std::vector<Bytes>> put_together(const std::vector<Payload>& payloads) {
  std::vector<Bytes> out;
  PayloadReader reader;
  for (const Payload& payload : payloads) {
    FARSHORE_TRY(reader.feed(payload.bytes, payload.continued));
    for (;;) {
      FARSHORE_TRY_ASSIGN(auto message, reader.next());
      if (!message) break;
      out.emplace_back(*message);
    }
  }
  EXPECT_TRUE(reader.at_message_end());
  return out;
}

Bytes message_of(std::size_t size) {
  Bytes out(size, 'x');
  for (std::size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 7 + size);
  return out;
}

TEST(Payload, MessagesOfEverySizeComeTogetherAgainFromRecordsOfEverySize) {
  std::vector<Bytes> messages;
  for (std::size_t size = 1; size <= 70; ++size) messages.push_back(message_of(size));
  for (std::uint64_t payload_max = 5; payload_max <= 90; ++payload_max) {
    const auto payloads = cut(messages, payload_max);
    std::uint64_t changes = 0;
    for (const Payload& payload : payloads) {
      ASSERT_LE(payload.bytes.size(), payload_max);
      changes += payload.changes;
    }
    EXPECT_EQ(changes, messages.size());
    auto back = put_together(payloads);
    ASSERT_TRUE(back.ok()) << back.error().what;
    ASSERT_EQ(*back, messages) << payload_max;
  }
}

TEST(Payload, AMessageThatFitsOneRecordIsNeverCut) {
  for (const Payload& payload : cut({message_of(30), message_of(30), message_of(30)}, 40))
    EXPECT_FALSE(payload.continued);
}

TEST(Payload, ALargeMessageFillsWholeRecords) {
  const auto payloads = cut({message_of(10), message_of(5_MiB), message_of(10)}, kRecordPayloadMax);
  ASSERT_EQ(payloads.size(), 6u);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(payloads[i].bytes.size(), kRecordPayloadMax);
    EXPECT_TRUE(payloads[i].continued);
  }
  EXPECT_FALSE(payloads[5].continued);
}

TEST(Payload, WhatDoesNotFitTogetherIsCorrupt) {
  const Bytes part = Bytes("\x08\0\0\0abcd", 8);
  auto error_of = [](const std::vector<Payload>& payloads) {
    auto back = put_together(payloads);
    return back.ok() ? ErrorKind::invalid : back.error().kind;
  };
  EXPECT_EQ(error_of({{Bytes("\x08\0\0\0abcdefgh", 12), 0, true}, {"", 0, false}}),
            ErrorKind::corrupt);  // continued, but complete
  PayloadReader reader;
  ASSERT_TRUE(reader.feed(part, false).ok());  // cut, but not continued
  EXPECT_EQ(reader.next().error().kind, ErrorKind::corrupt);
  reader.reset();
  ASSERT_TRUE(reader.feed(part, true).ok());
  EXPECT_FALSE(reader.next()->has_value());
  EXPECT_FALSE(reader.at_message_end());
  ASSERT_TRUE(reader.feed("ef", false).ok());  // the end never comes
  EXPECT_EQ(reader.next().error().kind, ErrorKind::corrupt);
  reader.reset();
  ASSERT_TRUE(reader.feed(ByteView("\0\0\0\0", 4), false).ok());  // no message is empty
  EXPECT_EQ(reader.next().error().kind, ErrorKind::corrupt);
  reader.reset();
  ASSERT_TRUE(reader.feed(ByteView("\1\0", 2), false).ok());  // half a length
  EXPECT_EQ(reader.next().error().kind, ErrorKind::corrupt);
  reader.reset();
  ASSERT_TRUE(reader.feed(ByteView("\xff\xff\xff\xff", 4), true).ok());  // more than there can be
  EXPECT_EQ(reader.next().error().kind, ErrorKind::corrupt);
  reader.reset();
  ASSERT_TRUE(reader.feed(ByteView("\1\0\0\0a\1\0\0\0b", 10), false).ok());
  EXPECT_EQ(**reader.next(), "a");
  EXPECT_EQ(reader.feed("", false).error().kind, ErrorKind::corrupt);  // unread bytes
}

TEST(Payload, AnyBytesAreReadWithoutACrash) {
  std::mt19937 random(4711);
  for (int round = 0; round < 20000; ++round) {
    PayloadReader reader;
    for (int record = 0; record < 3; ++record) {
      Bytes bytes(random() % 24, '\0');
      for (char& byte : bytes) byte = static_cast<char>(random() % 4 == 0 ? random() : 0);
      if (!reader.feed(bytes, random() % 2 == 0).ok()) break;
      for (auto message = reader.next(); message.ok() && *message; message = reader.next()) {
      }
    }
  }
}

}  // namespace
}  // namespace farshore::postgres
