#include "engine/postgres/feedback.h"

#include <gtest/gtest.h>

namespace farshore::postgres {
namespace {

constexpr std::uint64_t kRetain = 1000;

Reply reply(std::uint64_t write, std::uint64_t flush, std::uint64_t apply) {
  return {Lsn(write), Lsn(flush), Lsn(apply)};
}

class FeedbackRules : public testing::Test {
 protected:
  void acknowledged(std::uint64_t near, std::uint64_t far, std::uint64_t released) {
    feedback_.acknowledged(Lsn(near), Lsn(far), Lsn(released));
  }
  Feedback feedback_{kRetain};
};

TEST_F(FeedbackRules, WithNothingGivenOutKeepalivesAreFollowed) {
  feedback_.start(Lsn(), Lsn(40));
  feedback_.passed(Lsn(50));
  EXPECT_EQ(feedback_.reply(), reply(50, 40, 50));
}

TEST_F(FeedbackRules, AKeepaliveNeverCoversACommitThatIsNotDurable) {
  feedback_.start(Lsn(10), Lsn(5));
  acknowledged(10, 10, 10);
  feedback_.emitted(Lsn(20));
  feedback_.passed(Lsn(30));
  EXPECT_EQ(feedback_.reply(), reply(10, 10, 10));
  acknowledged(20, 10, 10);  // near only
  EXPECT_EQ(feedback_.reply(), reply(30, 10, 10));
  acknowledged(20, 20, 20);
  EXPECT_EQ(feedback_.reply(), reply(30, 20, 30));
}

TEST_F(FeedbackRules, TheSlotIsReleasedOnlyToPlacesThatRecordsName) {
  feedback_.start(Lsn(10), Lsn(5));
  acknowledged(10, 10, 10);
  feedback_.passed(Lsn(500));
  EXPECT_EQ(feedback_.reply(), reply(500, 10, 500));
  ASSERT_TRUE(feedback_.place_due().has_value());
  EXPECT_EQ(*feedback_.place_due(), Lsn(500));
  feedback_.emitted(Lsn(500));
  EXPECT_FALSE(feedback_.place_due().has_value());
  acknowledged(500, 500, 500);
  EXPECT_EQ(feedback_.reply(), reply(500, 500, 500));
}

TEST_F(FeedbackRules, NoLevelGoesBack) {
  feedback_.start(Lsn(10), Lsn(5));
  acknowledged(10, 10, 10);
  feedback_.passed(Lsn(30));
  feedback_.emitted(Lsn(40));  // now the keepalive's place is behind what is owed
  EXPECT_EQ(feedback_.reply(), reply(30, 10, 30));
  acknowledged(5, 5, 5);
  EXPECT_EQ(feedback_.reply(), reply(30, 10, 30));
}

TEST_F(FeedbackRules, TheSlotFollowsTheNearJournalAtADistance) {
  feedback_.start(Lsn(10), Lsn(5));
  feedback_.emitted(Lsn(5000));
  EXPECT_EQ(feedback_.released_early(), std::nullopt);
  acknowledged(5000, 10, 10);
  EXPECT_EQ(feedback_.reply(), reply(5000, 4000, 10));
  EXPECT_EQ(feedback_.released_early(), true);
  acknowledged(5000, 5000, 5000);
  EXPECT_EQ(feedback_.reply(), reply(5000, 5000, 5000));
  EXPECT_EQ(feedback_.released_early(), false);
}

TEST_F(FeedbackRules, ATargetThatJoinedWithLessThanWasConfirmedIsNoEarlyRelease) {
  feedback_.start(Lsn(500), Lsn(500));
  feedback_.emitted(Lsn(510));
  acknowledged(510, 100, 100);
  EXPECT_EQ(feedback_.reply().flush, Lsn(500));
  EXPECT_EQ(feedback_.released_early(), false);
}

TEST_F(FeedbackRules, AReleaseIsNeverAheadOfTheNearJournal) {
  feedback_.start(Lsn(10), Lsn(5));
  feedback_.emitted(Lsn(30));
  acknowledged(20, 30, 30);
  EXPECT_EQ(feedback_.reply().flush, Lsn(20));
}

TEST_F(FeedbackRules, WhatAnotherServerWasToldDoesNotCountForThisOne) {
  feedback_.start(Lsn(10), Lsn(5));
  feedback_.emitted(Lsn(900000));
  acknowledged(900000, 900000, 900000);
  feedback_.start(Lsn(100), Lsn(90));  // restored from a backup: its places are lower
  acknowledged(900000, 900000, 900000);
  feedback_.emitted(Lsn(200));
  EXPECT_LE(feedback_.reply().write, Lsn(100));
  EXPECT_LE(feedback_.reply().flush, Lsn(100));
}

TEST_F(FeedbackRules, TheMessageHasTheFormOfTheReplicationProtocol) {
  const Bytes message =
      encode_status_update(reply(0x0102030405060708, 2, 3), from_server_time(0x11), true);
  EXPECT_EQ(message, Bytes("r\1\2\3\4\5\6\7\10"
                           "\0\0\0\0\0\0\0\2"
                           "\0\0\0\0\0\0\0\3"
                           "\0\0\0\0\0\0\0\21\1",
                           34));
}

}  // namespace
}  // namespace farshore::postgres
