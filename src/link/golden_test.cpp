#include <gtest/gtest.h>

#include "base/test_golden.h"
#include "link/compression.h"
#include "link/hello.h"
#include "link/payload.h"

namespace farshore::link {
namespace {

// Of release 1.0 of the protocol.
Bytes golden(const std::string& name, const Bytes& now) {
  return golden_file("link/1.0/" + name, now);
}

const Hello kHello{.protocol = {1, 0},
                   .cluster = "shop",
                   .region = "us-east-1",
                   .peer_region = "eu-west-1",
                   .incarnation = "6f1c3f7e-0000-4000-8000-000000000001",
                   .version = "0.1.0",
                   .join = true,
                   .session = 7,
                   .ended = 6,
                   .owner = "6f1c3f7e-0000-4000-8000-000000000002"};
const Accept kAccept{{1, 0}, "eu-west-1", "6f1c3f7e-0000-4000-8000-000000000002", "0.1.0", 7};
const Refuse kRefuse{{1, 0}, RefuseCode::second_agent, "region 'us-east-1' is held"};

TEST(LinkGolden, HandshakeOf10IsReadAndWrittenTheSame) {
  const Bytes hello = golden("hello.bin", encode(kHello));
  EXPECT_EQ(*decode_hello(hello), kHello);
  EXPECT_EQ(encode(kHello), hello);
  const Bytes accept = golden("accept.bin", encode(kAccept));
  EXPECT_EQ(*decode_accept(accept), kAccept);
  EXPECT_EQ(encode(kAccept), accept);
  const Bytes refuse = golden("refuse.bin", encode(kRefuse));
  EXPECT_EQ(*decode_refuse(refuse), kRefuse);
  EXPECT_EQ(encode(kRefuse), refuse);
}

// Every type of frame that a session sends.
Bytes session_frames() {
  Bytes out;
  encode_frame({.type = FrameType::open, .klass = Class::waiting, .channel = 1},
               encode(Open{.klass = Class::waiting, .credit = 32_MiB, .name = "ship/orders/eu"}),
               out);
  encode_frame(
      {.type = FrameType::data, .klass = Class::waiting, .flags = 0, .channel = 1, .sequence = 1},
      "first half, ", out);
  encode_frame({.type = FrameType::data,
                .klass = Class::waiting,
                .flags = kMessageEnd,
                .channel = 1,
                .sequence = 2},
               "second half", out);
  encode_frame({.type = FrameType::credit, .channel = 2}, encode_credit(4_MiB), out);
  encode_frame({.type = FrameType::keepalive},
               encode(Keepalive{.id = 3, .has_totals = true, .totals = "totals"}), out);
  encode_frame({.type = FrameType::keepalive_answer},
               encode(KeepaliveAnswer{3, WallTime(1700000000s), WallTime(1700000001s), 1s}), out);
  encode_frame({.type = FrameType::more}, "", out);
  encode_frame({.type = FrameType::close, .klass = Class::waiting, .channel = 1, .sequence = 3},
               encode_reason("done"), out);
  encode_frame({.type = FrameType::retire}, "", out);
  encode_frame({.type = FrameType::end}, encode_reason("the agent stops"), out);
  return out;
}

Bytes batches() {
  Compressor compressor(kWindowLogMax);
  Bytes out;
  const Bytes plain = session_frames();
  for (const int level : {0, 3, 3, 9}) {
    Bytes body;
    const Encoding encoding = compressor.compress(plain, level, body);
    encode_batch_header({encoding, static_cast<std::uint32_t>(body.size()),
                         static_cast<std::uint32_t>(plain.size())},
                        out);
    out += body;
  }
  return out;
}

TEST(LinkGolden, FramesOf10AreReadAndWrittenTheSame) {
  const Bytes frames = golden("frames.bin", session_frames());
  EXPECT_EQ(session_frames(), frames);
  ByteView left(frames);
  std::vector<FrameType> types;
  while (!left.empty()) {
    const auto frame = take_frame(left);
    ASSERT_TRUE(frame.ok()) << frame.error().what;
    types.push_back(frame->header.type);
    if (frame->header.type == FrameType::open) {
      EXPECT_EQ(decode_open(frame->payload)->name, "ship/orders/eu");
    }
  }
  EXPECT_EQ(types.size(), 10U);
}

// Compressed bytes may differ between versions of zstd; what they mean may not.
TEST(LinkGolden, BatchesOf10AreRead) {
  const Bytes bytes = golden("batches.bin", batches());
  Decompressor decompressor;
  ByteView left(bytes);
  int count = 0;
  for (Bytes plain; !left.empty(); ++count) {
    const auto header = decode_batch_header(left.substr(0, kBatchHeaderBytes));
    ASSERT_TRUE(header.ok()) << header.error().what;
    left.remove_prefix(kBatchHeaderBytes);
    ASSERT_TRUE(decompressor.decompress(*header, left.substr(0, header->wire_bytes), plain).ok());
    left.remove_prefix(header->wire_bytes);
    EXPECT_EQ(plain, session_frames());
  }
  EXPECT_EQ(count, 4);
}

}  // namespace
}  // namespace farshore::link
