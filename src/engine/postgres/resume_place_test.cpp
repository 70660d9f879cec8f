#include "engine/postgres/resume_place.h"

#include <gtest/gtest.h>

namespace farshore::postgres {
namespace {

const CommitId kCommit = CommitId::of(Lsn(4000), from_server_time(0x1'2345'6789));

TEST(ResumePlace, GoesThroughAPosition) {
  const ResumePlace place{Lsn(5000), kCommit};
  const auto again = ResumePlace::from(place.position());
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->after, Lsn(5000));
  EXPECT_EQ(again->commit, kCommit);
  EXPECT_EQ(again->commit->time, 0x2345'6789u);
  EXPECT_EQ(*Lsn::from(place.position()), Lsn(5000));
  EXPECT_EQ(ResumePlace::from({})->after, Lsn());
  EXPECT_FALSE(ResumePlace::from(Lsn(7).position())->commit);
}

TEST(ResumePlace, ACommitTooFarBackIsLeftOut) {
  const ResumePlace place{Lsn(4000 + (1ULL << 32)), kCommit};
  EXPECT_EQ(place.position(), place.after.position());
}

TEST(ResumePlace, RefusesWhatIsNone) {
  Bytes before_the_log = Lsn(10).position().bytes + Bytes("\x0b\0\0\0\0\0\0\0", 8);
  EXPECT_FALSE(ResumePlace::from({before_the_log}).ok());
  EXPECT_FALSE(ResumePlace::from({"1234567"}).ok());
  EXPECT_FALSE(ResumePlace::from({"123456789012"}).ok());
}

TEST(ResumePlace, ASessionBeginsAtTheCommitOrWhereTheSlotIsBeyondIt) {
  const ResumePlace place{Lsn(5000), kCommit};
  EXPECT_EQ(place.begin(Lsn(1)), kCommit.record);
  EXPECT_EQ(place.begin(Lsn(4500)), Lsn(4500));
  EXPECT_EQ(place.begin(Lsn(5000)), Lsn(5000));
  EXPECT_EQ(ResumePlace{.after = Lsn(5000)}.begin(Lsn(1)), Lsn(5000));
}

}  // namespace
}  // namespace farshore::postgres
