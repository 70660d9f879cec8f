#include <gtest/gtest.h>

#include <array>

#include "base/bytes.h"
#include "base/checksum.h"
#include "base/deadline.h"
#include "base/nearest.h"
#include "base/ordinal.h"
#include "base/plural.h"
#include "base/uuid.h"

namespace farshore {
namespace {

TEST(Checksum, KnowsTheCheckValueOfRfc3720) {
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);
}

TEST(Checksum, ContinuesOverParts) {
  EXPECT_EQ(crc32c("6789", crc32c("12345")), crc32c("123456789"));
}

TEST(Checksum, ChainDependsOnThePast) {
  EXPECT_NE(chain_hash(1, "a"), chain_hash(2, "a"));
}

TEST(Bytes, ReaderStopsAtTheEndAndSaysSo) {
  Bytes out;
  ByteWriter(out).number<std::uint32_t>(7).string16("ab");
  ByteReader in(out);
  EXPECT_EQ(in.number<std::uint32_t>(), 7U);
  EXPECT_EQ(in.string16(), "ab");
  EXPECT_TRUE(in.finished());
  EXPECT_EQ(in.number<std::uint64_t>(), 0U);
  EXPECT_TRUE(in.failed());
}

TEST(Units, DurationsNeedAUnit) {
  EXPECT_EQ(*parse_duration("1.5s"), 1500ms);
  EXPECT_EQ(*parse_duration("30d"), 720h);
  EXPECT_FALSE(parse_duration("10").ok());
  EXPECT_FALSE(parse_duration("-1s").ok());
}

TEST(Units, SizesNeedAUnit) {
  EXPECT_EQ(*parse_bytes("1GiB"), 1_GiB);
  EXPECT_EQ(*parse_bytes("10MB"), 10000000U);
  EXPECT_FALSE(parse_bytes("1024").ok());
}

TEST(Units, TimesAreReadAsTheyAreWritten) {
  const WallTime t = *parse_time("2026-11-24T16:17:12.345Z");
  EXPECT_EQ(format_time(t), "2026-11-24T16:17:12.345Z");
  EXPECT_EQ(*parse_time("2026-11-24T18:17:12.345+02:00"), t);
  EXPECT_EQ(*parse_time("2026-11-24 12:47:12.345-03:30"), t);
  EXPECT_FALSE(parse_time("yesterday").ok());
}

TEST(Units, ATimeThatIsNoneIsRefused) {
  for (const char* text :
       {"2026-11-24T16:17:12", "2026-11-24T16:17:12x02:00", "2026-11-24T16:17:12+02:00 or so",
        "2026-11-24T16:17:12+2:00", "2026-02-31T00:00:00Z", "9999-01-01T00:00:00Z"})
    EXPECT_FALSE(parse_time(text).ok()) << text;
}

TEST(Units, TextIsShort) {
  EXPECT_EQ(format_duration(830ms), "830ms");
  EXPECT_EQ(format_duration(192s), "3m12s");
  EXPECT_EQ(format_bytes(50_GiB), "50GiB");
}

TEST(Deadline, NeverDoesNotOverflow) {
  EXPECT_TRUE(Deadline::after(MonotonicTime(1s), Duration::max()).is_never());
  EXPECT_EQ(Deadline::at(MonotonicTime(5s)).left(MonotonicTime(3s)), 2s);
}

TEST(Uuid, ReadsWhatItWrites) {
  const Uuid uuid = Uuid::from_random(0x0123456789abcdef, 0xfedcba9876543210);
  EXPECT_EQ(*Uuid::parse(uuid.text()), uuid);
  EXPECT_FALSE(Uuid::parse("123").ok());
}

TEST(Nearest, FindsATypoAndNotAStranger) {
  constexpr std::array<std::string_view, 3> words{"protection", "journal", "tables"};
  EXPECT_EQ(nearest_word("jornal", words), "journal");
  EXPECT_EQ(nearest_word("zzzzzzzz", words), "");
  const std::array<std::string_view, 2> alike{"from", "form"};
  EXPECT_EQ(nearest_word("fomr", alike), "form");  // swapped letters are one edit
}

TEST(Result, CarriesTheErrorOn) {
  auto inner = []() -> Result<int> {
    return permanent(ErrorKind::invalid, "table '{}' has no key", "t");
  };
  auto outer = [&]() -> Result<void> {
    FARSHORE_TRY_ASSIGN(int value, inner());
    (void)value;
    return {};
  };
  EXPECT_EQ(outer().error().what, "table 't' has no key");
}

TEST(Check, ThrowsWithThePlaceAndTheReason) {
  EXPECT_THROW(FARSHORE_CHECK(1 == 2, "one is {}", 1), CheckFailed);
}

TEST(Plural, OneIsNotMany) {
  EXPECT_EQ(counted(0, "row"), "0 rows");
  EXPECT_EQ(counted(1, "row"), "1 row");
  EXPECT_EQ(counted(2, "row"), "2 rows");
}

}  // namespace
}  // namespace farshore
