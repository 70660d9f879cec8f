#include "link/compression.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "link/compression_level.h"

namespace farshore::link {
namespace {

using testing::HasSubstr;

struct Wire {
  BatchHeader header;
  Bytes bytes;
};

Wire send(Compressor& compressor, ByteView plain, int level) {
  Wire wire;
  wire.header.encoding = compressor.compress(plain, level, wire.bytes);
  wire.header.wire_bytes = static_cast<std::uint32_t>(wire.bytes.size());
  wire.header.plain_bytes = static_cast<std::uint32_t>(plain.size());
  return wire;
}

TEST(Compression, GivesBackWhatWentInAtEveryLevelAndAcrossChanges) {
  Compressor compressor(kWindowLogMax);
  Decompressor decompressor;
  std::mt19937_64 random(7);
  for (const int level : {3, 3, 15, 0, 0, 1, 9, 9, 0, 3}) {
    Bytes plain;
    for (int i = 0; i < 20000; ++i) plain += static_cast<char>(random() % 7);
    const Wire wire = send(compressor, plain, level);
    Bytes out;
    ASSERT_TRUE(decompressor.decompress(wire.header, wire.bytes, out).ok()) << level;
    EXPECT_EQ(out, plain);
    EXPECT_EQ(wire.header.encoding == Encoding::stored, level == 0);
  }
}

TEST(Compression, TheContextLivesAcrossBatches) {
  Compressor compressor(kWindowLogMax);
  std::mt19937_64 random(7);
  Bytes plain;
  for (int i = 0; i < 4000; ++i) plain += static_cast<char>(random());
  const std::size_t first = send(compressor, plain, 3).bytes.size();
  const std::size_t again = send(compressor, plain, 3).bytes.size();
  EXPECT_GE(first, plain.size());
  EXPECT_LT(again, 100U);
}

TEST(Compression, IncompressibleBytesStayWithinTheWireLimit) {
  Compressor compressor(kWindowLogExtra);
  std::mt19937_64 random(7);
  Bytes plain(kBatchPlainMax, '\0');
  for (char& byte : plain) byte = static_cast<char>(random());
  for (const int level : {0, 1, 3, 15})
    EXPECT_LE(send(compressor, plain, level).bytes.size(), kBatchWireMax);
}

TEST(Compression, ABombIsCutAtTheSizeItAdmits) {
  Compressor compressor(kWindowLogMax);
  const Bytes zeros(200_KiB, '\0');
  Wire wire = send(compressor, zeros, 15);
  EXPECT_LT(wire.bytes.size(), 200U);
  wire.header.plain_bytes = 1000;
  Decompressor decompressor;
  Bytes out;
  EXPECT_THAT(decompressor.decompress(wire.header, wire.bytes, out).error().what,
              HasSubstr("holds more"));
  EXPECT_LE(out.capacity(), 2000U);
}

TEST(Compression, DamageAndMissingContextAreErrors) {
  Compressor compressor(kWindowLogMax);
  const Wire first = send(compressor, "some bytes that are sent first", 3);
  const Wire second = send(compressor, "some bytes that are sent second", 3);
  Decompressor fresh;
  Bytes out;
  EXPECT_FALSE(fresh.decompress(second.header, second.bytes, out).ok());
  Wire damaged = first;
  damaged.bytes[0] ^= 1;
  EXPECT_FALSE(Decompressor().decompress(damaged.header, damaged.bytes, out).ok());
  Wire longer = first;
  longer.header.plain_bytes += 1;
  EXPECT_FALSE(Decompressor().decompress(longer.header, longer.bytes, out).ok());
}

constexpr double kRate = 1.25e6;  // 10 Mbit/s

LevelState run(LevelState state, const SendSample& sample, int seconds) {
  for (int i = 0; i < seconds; ++i) state = decide_level(std::move(state), sample);
  return state;
}

TEST(CompressionLevel, DecidesByWhatIsScarce) {
  struct Case {
    std::string name;
    int level;
    SendSample sample;
    int expected;
    std::string why;
  };
  const std::vector<Case> cases{
      {"rises at 10 Mbit/s", 3, {1, 0.05, 0.9, 1e7, kRate}, 6, "WAN is scarce: 10 Mbit/s"},
      {"rises from stored", 0, {1, 0, 0.95, 1e7, kRate}, 1, "WAN is scarce"},
      {"not when the next level would fill the CPU",
       9,
       {1, 0.45, 0.52, 1e7, kRate},
       9,
       "WAN is scarce"},
      {"not above the highest", 15, {1, 0.1, 0.9, 1e7, kRate}, 15, "WAN is scarce"},
      {"falls when compressing takes all",
       9,
       {1, 0.96, 0.02, 1e7, kRate},
       6,
       "CPU is scarce: 96 % busy"},
      {"falls to stored", 1, {1, 0.8, 0.1, 1e9, 1e9}, 0, "CPU is scarce"},
      {"not below stored", 0, {1, 0.8, 0.1, 1e9, 1e9}, 0, "CPU is scarce"},
      {"tries less when compressing takes more than half",
       3,
       {1, 0.6, 0.4, 1e8, 1e7},
       1,
       "CPU is scarce: 60 % busy"},
      {"stays when both are busy", 3, {1, 0.5, 0.45, 1e8, 1e7}, 3, "balanced"},
      {"stays when the source is the limit", 3, {0.2, 0.9, 0.1, 1e8, 1e7}, 3, "neither"},
  };
  for (const Case& one : cases) {
    const LevelState after = decide_level({.level = one.level}, one.sample);
    EXPECT_EQ(after.level, one.expected) << one.name;
    EXPECT_THAT(after.why, HasSubstr(one.why)) << one.name;
  }
}

TEST(CompressionLevel, ClimbsAsLongAsItPays) {
  EXPECT_EQ(run({.level = 3}, {1, 0.05, 0.9, 1e7, kRate}, 30).level, kLevelMax);
}

TEST(CompressionLevel, ASlowerStepIsTakenBackAndNotTriedAgainSoon) {
  LevelState state = decide_level({.level = 3}, {1, 0.3, 0.6, 1e8, 1e7});
  ASSERT_EQ(state.level, 6);
  const SendSample slower{1, 0.5, 0.45, 8e7, 7e6};
  state = run(std::move(state), slower, 3);
  EXPECT_EQ(state.level, 3);
  state = run(std::move(state), {1, 0.3, 0.6, 1e8, 1e7}, 25);
  EXPECT_EQ(state.level, 3);
  state = run(std::move(state), {1, 0.3, 0.6, 1e8, 1e7}, 5);
  EXPECT_EQ(state.level, 6);
  state = run(std::move(state), slower, 3);
  EXPECT_EQ(state.level, 3);
  EXPECT_GT(state.hold_seconds, 40);
}

TEST(CompressionLevel, AStepDownThatIsNoFasterIsTakenBack) {
  LevelState state = decide_level({.level = 9}, {1, 0.6, 0.4, 1e7, kRate});
  ASSERT_EQ(state.level, 6);
  state = run(std::move(state), {1, 0.3, 0.45, 9e6, kRate}, 3);
  EXPECT_EQ(state.level, 9);
  EXPECT_EQ(run(std::move(state), {1, 0.6, 0.4, 1e7, kRate}, 20).level, 9);
}

}  // namespace
}  // namespace farshore::link
