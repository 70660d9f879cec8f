#include "pipeline/keepalive_list.h"

#include <gtest/gtest.h>

namespace farshore::pipeline {
namespace {

constexpr KeepaliveList kList{.version = 7, .name = "numbers"};

void write(ByteWriter& out, std::uint8_t number) {
  out.number(number);
}
bool read(ByteReader& in, std::uint8_t& number) {
  number = in.number<std::uint8_t>();
  return number != 9;
}

TEST(KeepaliveList, IsVersionCountEntriesAndChecksum) {
  const std::vector<std::uint8_t> numbers{1, 2};
  Bytes expected("\x07\x00\x02\x00\x01\x02", 6);
  ByteWriter(expected).number(crc32c(expected));
  EXPECT_EQ(encode_list(kList, numbers, write), expected);
  const auto decoded = decode_list<std::uint8_t>(kList, expected, read);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(*decoded, numbers);
}

TEST(KeepaliveList, RefusesWhatIsCutDamagedOrAnother) {
  const Bytes good = encode_list(kList, std::vector<std::uint8_t>{1, 2}, write);
  for (std::size_t size = 0; size < good.size(); ++size)
    EXPECT_FALSE(decode_list<std::uint8_t>(kList, good.substr(0, size), read).ok()) << size;
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes damaged = good;
    damaged[at] ^= 1;
    EXPECT_FALSE(decode_list<std::uint8_t>(kList, damaged, read).ok()) << at;
  }
  EXPECT_FALSE(decode_list<std::uint8_t>({.version = 8, .name = "others"}, good, read).ok());
}

TEST(KeepaliveList, RefusesAnEntryThatItsReaderRefusesAndTooMany) {
  const auto refused = [](const std::vector<std::uint8_t>& numbers) {
    return decode_list<std::uint8_t>(kList, encode_list(kList, numbers, write), read);
  };
  EXPECT_EQ(refused({9}).error().what, "numbers of 9 bytes do not parse");
  EXPECT_TRUE(refused(std::vector<std::uint8_t>(kKeepaliveEntriesMax, 1)).ok());
  EXPECT_FALSE(refused(std::vector<std::uint8_t>(kKeepaliveEntriesMax + 1, 1)).ok());
}

}  // namespace
}  // namespace farshore::pipeline
