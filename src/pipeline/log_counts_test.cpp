#include "pipeline/log_counts.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/checksum.h"
#include "base/test_golden.h"
#include "os/real/real_world.h"

namespace farshore::pipeline {
namespace {

constexpr Place kFirst{Epoch(1), Sequence(1)};

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
  Place commit(std::uint32_t changes) { return part(5, changes, true, true); }
  Place part(std::uint64_t xid, std::uint32_t changes, bool first, bool last) {
    Record record{.kind = RecordKind::data, .xid = xid, .changes = changes, .payload = "abc"};
    record.flags.first = first;
    record.flags.last = last;
    record.flags.streamed = !(first && last);
    const std::vector<Record> records{record};
    const Place place = *journal_->append(records, world_->after(10s));
    EXPECT_TRUE(journal_->wait_durable(place.sequence, world_->after(10s)).ok());
    return place;
  }
  LogCounts counts() { return {*world_, path_, *journal_}; }
  KeptCounts counted(const Amount& since = {}) { return counts().plus({}, since); }
  Result<void> keep_at(Place place, const Amount& amount) {
    return os::replace_file(world_->files(), path_, encode_counts({kFirst, place, amount}));
  }
  KeptCounts kept() { return *decode_counts(*os::read_file(world_->files(), path_)); }
  // Begins an empty journal there, as a target does that joins later.
  void start_at(Place place) {
    std::filesystem::remove_all(folder_ + "/journal");
    open();
    ASSERT_TRUE(journal_->start_at(place, 7, {{Epoch(1), Sequence(1), "id"}}, {}).ok());
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  std::string folder_ = testing::TempDir() + "farshore-log-counts";
  std::string path_ = folder_ + "/counts";
  std::unique_ptr<journal::Journal> journal_;
};

TEST_F(LogCountsTest, WithoutAFileTheJournalIsCounted) {
  EXPECT_EQ(counted().amount, Amount());
  commit(2);
  commit(3);
  open();
  EXPECT_EQ(counted().amount, (Amount{2, 5, 6}));
  EXPECT_EQ(counted({1, 1, 1}).amount, (Amount{3, 6, 7}));
  EXPECT_EQ(counted().from, kFirst);
}

TEST_F(LogCountsTest, WhatTheFileSaysIsNotCountedAgain) {
  commit(2);
  ASSERT_TRUE(keep_at(commit(3), {100, 200, 300}).ok());
  const Place last = commit(4);
  open();
  EXPECT_EQ(counted(), (KeptCounts{kFirst, last, {101, 204, 303}}));
}

TEST_F(LogCountsTest, TheFileSaysOnlyWhatIsDurable) {
  LogCounts first = counts();
  const Place durable = commit(2), written{Epoch(1), durable.sequence.next()};
  ASSERT_TRUE(first.keep({kFirst, written, {2, 5, 6}}, durable.sequence).ok());
  EXPECT_FALSE(os::read_file(world_->files(), path_).ok());
  commit(3);
  ASSERT_TRUE(first.keep({kFirst, {Epoch(1), Sequence(9)}, {9, 9, 9}}, written.sequence).ok());
  EXPECT_EQ(kept(), (KeptCounts{kFirst, written, {2, 5, 6}}));
  EXPECT_EQ(counted().amount, (Amount{2, 5, 6}));
}

TEST_F(LogCountsTest, WhatAJournalLostWithItsEndIsNotCountedTwice) {
  const Place last = commit(2);
  ASSERT_TRUE(keep_at({Epoch(1), Sequence(7)}, {5, 6, 7}).ok());
  EXPECT_EQ(counted(), (KeptCounts{kFirst, last, {1, 2, 3}}));
}

TEST_F(LogCountsTest, ATargetThatJoinedCountsFromThereAndSaysSo) {
  const Place joined{Epoch(1), Sequence(500)};
  start_at(joined);
  const Place last = commit(4);
  EXPECT_EQ(counted(), (KeptCounts{joined, last, {1, 4, 3}}));
  ASSERT_TRUE(counts().keep(counted(), last.sequence).ok());
  commit(1);
  open();
  EXPECT_EQ(counted().from, joined);
  EXPECT_EQ(counted().amount, (Amount{2, 5, 6}));
}

TEST_F(LogCountsTest, BehindAHoleACountBeginsAnew) {
  ASSERT_TRUE(keep_at(commit(2), {100, 200, 300}).ok());
  const Place anew{Epoch(1), Sequence(9)};
  start_at(anew);
  const Place last = commit(4);
  EXPECT_EQ(counted(), (KeptCounts{anew, last, {1, 4, 3}}));
}

class AppliedCountsTest : public LogCountsTest {
 protected:
  AppliedCounts applied() { return {*world_, path_, *journal_, Epoch(1)}; }
  static Applied through(Place place, std::uint64_t transactions, std::uint64_t changes) {
    return {.through = place.sequence,
            .durable = place.sequence,
            .recorded = place.sequence,
            .transactions = transactions,
            .changes = changes};
  }
};

TEST_F(AppliedCountsTest, GoOnOverARestartWithWhatTheTargetHolds) {
  const Place first = commit(2), second = commit(3), third = commit(4);
  {
    AppliedCounts before = applied();
    before.held(Sequence(0));
    before.applied(through(first, 1, 2));
    ASSERT_TRUE(before.keep().ok());
    before.applied(through(second, 1, 3));  // killed before the file says it
  }
  EXPECT_EQ(kept(), (KeptCounts{kFirst, first, {1, 2, 0}}));
  AppliedCounts after = applied();
  EXPECT_EQ(after.now().amount, (Amount{1, 2, 0}));  // before the target can be asked
  after.held(second.sequence);
  EXPECT_EQ(after.now(), (KeptCounts{kFirst, second, {2, 5, 0}}));
  after.applied(through(third, 1, 4));
  EXPECT_EQ(after.now(), (KeptCounts{kFirst, third, {3, 9, 0}}));
}

TEST_F(AppliedCountsTest, WhatATargetThatWentBackAppliesAgainCountsOnce) {
  const Place first = commit(2), second = commit(3), third = commit(4);
  AppliedCounts counts = applied();
  counts.held(Sequence(0));
  counts.applied(through(second, 2, 5));
  counts.held(Sequence(0));
  counts.applied(through(first, 1, 2));
  EXPECT_EQ(counts.now().amount, (Amount{2, 5, 0}));
  counts.applied(through(third, 2, 7));
  EXPECT_EQ(counts.now(), (KeptCounts{kFirst, third, {3, 9, 0}}));
}

TEST_F(AppliedCountsTest, WhatAFailedApplyCommittedIsCountedWhenTheTargetIsOpenedAgain) {
  commit(2);
  const Place second = commit(3);
  AppliedCounts counts = applied();
  counts.held(Sequence(0));
  counts.held(second.sequence);
  EXPECT_EQ(counts.now().amount, (Amount{2, 5, 0}));
}

TEST_F(AppliedCountsTest, WhatIsSkippedIsNotCounted) {
  const Place first = commit(2), second = commit(3), third = commit(4);
  AppliedCounts counts = applied();
  counts.held(Sequence(0));
  counts.applied(through(first, 1, 2));
  counts.skipped(second.sequence);
  counts.held(second.sequence);
  counts.applied(through(third, 1, 4));
  EXPECT_EQ(counts.now(), (KeptCounts{kFirst, third, {2, 6, 0}}));
}

TEST_F(AppliedCountsTest, TheChangesOfATransactionCountWhereItEnds) {
  const Place open = part(6, 10, true, false);
  const Place first = commit(2);
  AppliedCounts counts = applied();
  counts.held(Sequence(0));
  counts.held(first.sequence);
  EXPECT_EQ(counts.now().amount, (Amount{1, 2, 0}));
  const Place skipped = part(6, 10, false, true);
  counts.skipped(skipped.sequence);
  EXPECT_EQ(counts.now(), (KeptCounts{kFirst, skipped, {1, 2, 0}}));
  EXPECT_LT(open.sequence, first.sequence);
  part(7, 10, true, false);
  const Place last = part(7, 5, false, true);
  counts.held(last.sequence);
  EXPECT_EQ(counts.now(), (KeptCounts{kFirst, last, {2, 17, 0}}));
}

TEST_F(AppliedCountsTest, ATargetThatJoinsCountsFromThere) {
  std::filesystem::remove_all(folder_ + "/journal");
  open();
  AppliedCounts counts = applied();
  EXPECT_EQ(counts.now().from.epoch, Epoch(0));
  counts.held(Sequence(0));  // the journal has not been begun yet
  const Place joined{Epoch(1), Sequence(500)};
  ASSERT_TRUE(journal_->start_at(joined, 7, {{Epoch(1), Sequence(1), "id"}}, {}).ok());
  const Place last = commit(4);
  counts.applied(through(last, 1, 4));
  EXPECT_EQ(counts.now(), (KeptCounts{joined, last, {1, 4, 0}}));
}

TEST(KeptCountsFile, DamageIsSeen) {
  Bytes bytes = encode_counts({kFirst, {Epoch(1), Sequence(2)}, {3, 4, 5}});
  EXPECT_TRUE(decode_counts(bytes).ok());
  bytes[20] ^= 1;
  EXPECT_FALSE(decode_counts(bytes).ok());
  EXPECT_FALSE(decode_counts("").ok());
}

// Golden files: what a version wrote is read for ever; a new one goes into a folder of its own.
constexpr KeptCounts kCounted{kFirst, {Epoch(1), Sequence(2)}, {3, 4, 5}};

Bytes as_version_1(const KeptCounts& counts, std::uint8_t whole) {
  Bytes out("FSCOUNTS");
  ByteWriter writer(out);
  writer.number(std::uint16_t{1})
      .number(counts.through.epoch.value())
      .number(counts.through.sequence.value())
      .number(counts.amount.transactions)
      .number(counts.amount.changes)
      .number(counts.amount.bytes)
      .number(whole);
  writer.number(crc32c(out));
  return out;
}

TEST(KeptCountsFile, IsReadAndWrittenAsVersion2Was) {
  const KeptCounts joined{{Epoch(1), Sequence(500)}, {Epoch(2), Sequence(600)}, {3, 4, 5}};
  const Bytes golden = golden_file("counts/2/counts", encode_counts(joined));
  EXPECT_EQ(golden, encode_counts(joined));
  const auto read = decode_counts(golden);
  ASSERT_TRUE(read.ok()) << read.error().what;
  EXPECT_EQ(*read, joined);
}

TEST(KeptCountsFile, OfVersion1IsReadWhenItCountedAll) {
  const auto read = decode_counts(golden_file("counts/1/counts", as_version_1(kCounted, 1)));
  ASSERT_TRUE(read.ok()) << read.error().what;
  EXPECT_EQ(*read, kCounted);
  EXPECT_FALSE(decode_counts(as_version_1(kCounted, 0)).ok());
}

}  // namespace
}  // namespace farshore::pipeline
