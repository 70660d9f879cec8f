#include "link/frame.h"

#include <gtest/gtest.h>

#include "link/payload.h"

namespace farshore::link {
namespace {

Bytes sample_frame() {
  Bytes bytes;
  encode_frame({.type = FrameType::data,
                .klass = Class::waiting,
                .flags = kMessageEnd,
                .channel = 7,
                .sequence = 42},
               "payload", bytes);
  return bytes;
}

TEST(Frame, ReadsWhatItWrites) {
  const Bytes bytes = sample_frame() + sample_frame();
  ByteView left(bytes);
  const auto frame = take_frame(left);
  ASSERT_TRUE(frame.ok());
  EXPECT_EQ(frame->header, (FrameHeader{.type = FrameType::data,
                                        .klass = Class::waiting,
                                        .flags = kMessageEnd,
                                        .channel = 7,
                                        .sequence = 42,
                                        .payload_bytes = 7}));
  EXPECT_EQ(frame->payload, "payload");
  EXPECT_EQ(left.size(), sample_frame().size());
}

TEST(Frame, EveryDamagedByteIsFound) {
  const Bytes good = sample_frame();
  for (std::size_t at = 0; at < good.size(); ++at)
    for (const char bit : {'\x01', '\x80'}) {
      Bytes bad = good;
      bad[at] ^= bit;
      ByteView left(bad);
      EXPECT_FALSE(take_frame(left).ok()) << at;
    }
}

TEST(Frame, EveryTruncationIsRefused) {
  const Bytes good = sample_frame();
  for (std::size_t size = 0; size < good.size(); ++size) {
    ByteView left(good.data(), size);
    EXPECT_FALSE(take_frame(left).ok()) << size;
  }
}

TEST(Frame, AnOversizeFrameIsRefusedBeforeItIsRead) {
  Bytes bytes;
  ByteWriter(bytes).number(static_cast<std::uint32_t>(kFramePayloadMax + 1)).raw(Bytes(20, '\0'));
  ByteView left(bytes);
  EXPECT_NE(take_frame(left).error().what.find("the limit is"), std::string::npos);
}

TEST(BatchHeader, ReadsWhatItWrites) {
  for (const Encoding encoding : {Encoding::stored, Encoding::zstd, Encoding::zstd_begin}) {
    const BatchHeader header{encoding, kBatchPlainMax, kBatchPlainMax};
    Bytes bytes;
    encode_batch_header(header, bytes);
    ASSERT_EQ(bytes.size(), kBatchHeaderBytes);
    EXPECT_EQ(*decode_batch_header(bytes), header);
  }
}

TEST(BatchHeader, RefusesGarbageAndSizesOverTheLimits) {
  Bytes good;
  encode_batch_header({Encoding::zstd, 100, 200}, good);
  Bytes magic = good, encoding = good, wire = good, plain = good;
  magic[0] = 'G';
  encoding[1] = 3;
  wire[4] = '\x7f';
  plain[7] = '\x7f';
  for (const Bytes& bad : {magic, encoding, wire, plain, good.substr(1), Bytes()})
    EXPECT_FALSE(decode_batch_header(bad).ok());
  Bytes stored;
  encode_batch_header({Encoding::stored, 100, 200}, stored);
  EXPECT_FALSE(decode_batch_header(stored).ok());
}

TEST(Payload, ReadsWhatItWrites) {
  const Keepalive keepalive{.id = 9, .has_totals = true, .totals = "totals"};
  EXPECT_EQ(*decode_keepalive(encode(keepalive)), keepalive);
  const KeepaliveAnswer answer{9, WallTime(5s), WallTime(6s), 1s};
  EXPECT_EQ(*decode_keepalive_answer(encode(answer)), answer);
  const Open open{.klass = Class::copy, .credit = 5_MiB, .name = "table/public.t"};
  EXPECT_EQ(*decode_open(encode(open)), open);
  EXPECT_EQ(*decode_credit(encode_credit(77)), 77U);
  EXPECT_EQ(*decode_reason(encode_reason("why")), "why");
  EXPECT_EQ(decode_reason(encode_reason(std::string(5000, 'x')))->size(), kReasonMax);
}

TEST(Payload, RefusesEveryTruncation) {
  const Bytes open = encode(Open{.name = "abc"});
  for (std::size_t size = 0; size < open.size(); ++size)
    EXPECT_FALSE(decode_open(open.substr(0, size)).ok());
  EXPECT_FALSE(decode_open(open + "x").ok());
  EXPECT_FALSE(decode_credit("1234567").ok());
  EXPECT_FALSE(decode_keepalive("").ok());
  EXPECT_FALSE(decode_keepalive_answer("12345678").ok());
  EXPECT_FALSE(decode_reason("\x05").ok());
}

}  // namespace
}  // namespace farshore::link
