#include "pipeline/log_counts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "os/real/real_world.h"

namespace farshore::pipeline {
namespace {

class LogCountsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    open();
    ASSERT_TRUE(journal_->begin_epoch({Epoch(1), Sequence(1), "id"}).ok());
  }
  void open() {
    journal_.reset();
    journal_ = *journal::Journal::open(*world_, folder_ + "/journal", {}, {});
  }
  // A transaction of one record, with so many changes; durable.
  Place commit(std::uint32_t changes) {
    Record record{.kind = RecordKind::data, .xid = 5, .payload = "abc"};
    record.flags.first = record.flags.last = true;
    record.changes = changes;
    const std::vector<Record> records{record};
    const Place place = *journal_->append(records, world_->after(10s));
    EXPECT_TRUE(journal_->wait_durable(place.sequence, world_->after(10s)).ok());
    return place;
  }
  LogCounts counts() { return {*world_, path_, *journal_}; }
  Result<void> keep_at(Place place, const Amount& amount) {
    return os::replace_file(world_->files(), path_, encode_counts({place, amount}));
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::string folder_ = testing::TempDir() + "farshore-log-counts";
  std::string path_ = folder_ + "/counts";
  std::unique_ptr<journal::Journal> journal_;
};

TEST_F(LogCountsTest, WithoutAFileTheJournalIsCounted) {
  EXPECT_EQ(counts().plus({}), Amount());
  commit(2);
  commit(3);
  open();
  EXPECT_EQ(counts().plus({}), (Amount{2, 5, 6}));
  EXPECT_EQ(counts().plus({1, 1, 1}), (Amount{3, 6, 7}));
  EXPECT_TRUE(counts().whole());
}

TEST_F(LogCountsTest, WhatTheFileSaysIsNotCountedAgain) {
  commit(2);
  ASSERT_TRUE(keep_at(commit(3), {100, 200, 300}).ok());
  commit(4);
  open();
  EXPECT_EQ(counts().plus({}), (Amount{101, 204, 303}));
  EXPECT_TRUE(counts().whole());
}

TEST_F(LogCountsTest, TheFileSaysOnlyWhatIsDurable) {
  LogCounts first = counts();
  const Place durable = commit(2), written{Epoch(1), durable.sequence.next()};
  ASSERT_TRUE(first.keep(written, {2, 5, 6}, false, durable).ok());
  EXPECT_FALSE(os::read_file(world_->files(), path_).ok());
  commit(3);
  ASSERT_TRUE(first.keep({Epoch(1), Sequence(9)}, {9, 9, 9}, false, written).ok());
  EXPECT_EQ(*decode_counts(*os::read_file(world_->files(), path_)),
            (KeptCounts{written, {2, 5, 6}}));
  EXPECT_EQ(counts().plus({}), (Amount{2, 5, 6}));
}

TEST_F(LogCountsTest, AJournalThatLacksWhatWasCountedIsNotWhole) {
  commit(2);
  ASSERT_TRUE(keep_at({Epoch(1), Sequence(7)}, {5, 6, 7}).ok());
  EXPECT_EQ(counts().plus({}), (Amount{5, 6, 7}));
  EXPECT_FALSE(counts().whole());
}

TEST_F(LogCountsTest, AGapIsKept) {
  LogCounts first = counts();
  const Place place = commit(2);
  ASSERT_TRUE(first.keep(place, {1, 2, 3}, true, place).ok());
  EXPECT_FALSE(counts().whole());
}

TEST(KeptCountsFile, DamageIsSeen) {
  Bytes bytes = encode_counts({{Epoch(1), Sequence(2)}, {3, 4, 5}});
  EXPECT_TRUE(decode_counts(bytes).ok());
  bytes[20] ^= 1;
  EXPECT_FALSE(decode_counts(bytes).ok());
  EXPECT_FALSE(decode_counts("").ok());
}

}  // namespace
}  // namespace farshore::pipeline
