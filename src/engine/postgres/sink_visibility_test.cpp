#include "engine/postgres/sink_visibility.h"

#include <gtest/gtest.h>

namespace farshore::postgres {
namespace {

RowVisibility parsed(std::string_view text) {
  auto result = RowVisibility::parse(text);
  EXPECT_TRUE(result.ok());
  return *result;
}

TEST(RowVisibility, ShowsWhatHadCommittedAndNotWhatRanOrCameLater) {
  const RowVisibility seen = parsed("100:110:100,105,107");
  EXPECT_TRUE(seen.shows(50));
  EXPECT_TRUE(seen.shows(99));
  EXPECT_FALSE(seen.shows(100));
  EXPECT_TRUE(seen.shows(101));
  EXPECT_FALSE(seen.shows(105));
  EXPECT_FALSE(seen.shows(107));
  EXPECT_TRUE(seen.shows(109));
  EXPECT_FALSE(seen.shows(110));
  EXPECT_FALSE(seen.shows(5000));
}

TEST(RowVisibility, NothingRanIsAnEmptyList) {
  const RowVisibility seen = parsed("742:742:");
  EXPECT_TRUE(seen.shows(741));
  EXPECT_FALSE(seen.shows(742));
}

TEST(RowVisibility, ComparesThirtyTwoBitIdsOverTheWraparound) {
  // Full ids around 3 * 2^32: ids just below it have a low half near 2^32, those after it start at
  // 3 again.
  const RowVisibility seen = parsed("12884901880:12884901898:12884901880,12884901891");
  EXPECT_FALSE(seen.shows(4294967288));  // 12884901880
  EXPECT_TRUE(seen.shows(4294967289));
  EXPECT_TRUE(seen.shows(4294967200));
  EXPECT_FALSE(seen.shows(3));  // 12884901891 ran
  EXPECT_TRUE(seen.shows(4));
  EXPECT_FALSE(seen.shows(10));
  EXPECT_FALSE(seen.shows(1'000'000));
}

TEST(RowVisibility, RefusesOtherText) {
  for (const char* text : {"", "1", "1:2", "a:b:", "5:4:", "1:9:3;4", "1:9:3,", "1:9:,3", "-1:3:"})
    EXPECT_FALSE(RowVisibility::parse(text).ok()) << text;
}

}  // namespace
}  // namespace farshore::postgres
