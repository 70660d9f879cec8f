#include "base/checksum.h"
#include "change/record_codec.h"
#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

class JournalAppend : public JournalFixture {};

TEST_F(JournalAppend, GivesDensePlacesFromOneInEpochOne) {
  open();
  EXPECT_EQ(append(data_record(1, "a")), (Place{Epoch(1), Sequence(1)}));
  EXPECT_EQ(append(data_record(2, "b")), (Place{Epoch(1), Sequence(2)}));
  EXPECT_EQ(journal->history().size(), 1U);
}

TEST_F(JournalAppend, ReadsBackWhatWasWrittenAlsoAfterReopening) {
  open();
  commit_many(2000);
  const auto before = read_all();
  reopen();
  const auto after = read_all();
  ASSERT_EQ(before.size(), 2000U);
  ASSERT_EQ(after.size(), before.size());
  std::uint64_t hash = 0;
  for (std::size_t i = 0; i < after.size(); ++i) {
    EXPECT_EQ(after[i].record, before[i].record);
    EXPECT_EQ(after[i].place, (Place{Epoch(1), Sequence(i + 1)}));
    Bytes encoded;
    encode_record(after[i].record, encoded);
    hash = chain_hash(hash, encoded);
    EXPECT_EQ(after[i].hash, hash);
    EXPECT_EQ(*journal->hash_at(Sequence(i + 1)), hash);
  }
  EXPECT_EQ(journal->status().hash, hash);
  EXPECT_GT(journal->status().segments, 3U);
}

TEST_F(JournalAppend, NothingIsDurableBeforeItIsSynced) {
  open();
  world.disk.set({.sync_takes = 300ms});
  const Place place = append(data_record(1, "a"));
  EXPECT_EQ(journal->status().durable.sequence, Sequence(0));
  EXPECT_EQ(journal->status().written, place);
  EXPECT_EQ(*journal->wait_durable(place.sequence, soon()), place);
}

TEST_F(JournalAppend, AWaitThatIsNotReachedInTimeIsATimeoutAndNoLowerPlace) {
  open();
  commit(data_record(1, "a"));
  world.disk.set({.sync_takes = 600ms});
  const Place place = append(data_record(2, "b"));
  const auto waited = journal->wait_durable(place.sequence, now());
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.error().kind, ErrorKind::timeout);
  EXPECT_EQ(waited.error().retry, Retry::yes);
  EXPECT_EQ(*journal->wait_durable(place.sequence, soon()), place);
}

TEST_F(JournalAppend, IsSyncedSoonThoughNobodyWaits) {
  open();
  append(data_record(1, "a"));
  EXPECT_TRUE(eventually([&] { return journal->status().durable.sequence == Sequence(1); }));
}

TEST_F(JournalAppend, DoesNotSyncWhenThereIsNothingNew) {
  open();
  commit(data_record(1, "a"));
  const auto syncs = world.disk.counts().syncs;
  EXPECT_FALSE(eventually([&] { return world.disk.counts().syncs > syncs + 1; }, 30));
}

TEST_F(JournalAppend, OneSyncServesAllThatWait) {
  open();
  world.disk.set({.sync_takes = 10ms});
  constexpr int kAppenders = 32, kEach = 20;
  os::Mutex turn;
  std::vector<os::Thread> threads;
  threads.reserve(kAppenders);
  for (int i = 0; i < kAppenders; ++i)
    threads.emplace_back("appender", [&](std::stop_token) {
      for (int k = 0; k < kEach; ++k) {
        Place place;
        {
          const os::Lock lock(turn);
          place = append(data_record(1, "x"));
        }
        EXPECT_GE(journal->wait_durable(place.sequence, Deadline::never())->sequence,
                  place.sequence);
      }
    });
  for (os::Thread& thread : threads) thread.join();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(kAppenders * kEach));
  EXPECT_LT(journal->status().syncs, kAppenders * kEach / 8U);
}

TEST_F(JournalAppend, TheDurableFollowerSeesEachNewEnd) {
  open();
  EXPECT_EQ(journal->wait_durable_beyond(Sequence(0), now())->sequence, Sequence(0));
  os::Thread appender("appender", [&](std::stop_token) { append(data_record(1, "a")); });
  EXPECT_EQ(journal->wait_durable_beyond(Sequence(0), soon())->sequence, Sequence(1));
}

TEST_F(JournalAppend, WaitsForRoomInTheBufferAndGivesUpAtTheDeadline) {
  options.buffered_bytes_max = 4_KiB;
  open();
  world.disk.set({.sync_takes = 400ms});
  append(data_record(1, Bytes(4000, 'a')));
  const Record second = data_record(2, Bytes(4000, 'b'));
  const auto refused = journal->append(std::span(&second, 1), now());
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::timeout);
  EXPECT_EQ(append(second).sequence, Sequence(2));
}

TEST_F(JournalAppend, ARecordOfTheGreatestSizePassesTheSmallestBuffer) {
  options.buffered_bytes_max = 1_KiB;
  open();
  Record record = data_record(1, Bytes(kRecordPayloadMax, 'x'));
  record.position.bytes = Bytes(kPositionMax, 'p');
  commit(record);
  commit(record);
  reopen();
  EXPECT_EQ(read_all().at(1).record, record);
  EXPECT_EQ(journal->tail().position.bytes.size(), kPositionMax);
}

TEST_F(JournalAppend, TailSaysWhereTheSourceCanBeResumed) {
  open();
  EXPECT_TRUE(journal->tail().position.empty());
  commit(record_of(RecordKind::session, "identity", 4));
  commit(data_record(7, "a", true, true, 4));
  commit(data_record(8, "b", true, false, 4));
  EXPECT_EQ(journal->tail().position.bytes, "00000007");
  EXPECT_EQ(journal->tail().commit_time, WallTime(7s));
  EXPECT_EQ(journal->tail().session, 4U);
  for (int i = 0; i < 200; ++i)
    append(data_record(8, Bytes(1000, 'x'), false, false, 4));  // more than a segment
  commit(record_of(RecordKind::preamble, {}, 4));
  reopen();
  EXPECT_GT(journal->status().segments, 2U);
  EXPECT_EQ(journal->tail().position.bytes, "00000007");
  EXPECT_EQ(journal->tail().commit_time, WallTime(7s));
  EXPECT_EQ(journal->tail().session, 4U);
}

TEST_F(JournalAppend, CloseMakesDurableWhatWasAppendedAndWakesAllWaiters) {
  open();
  world.disk.set({.sync_takes = 20ms});
  auto reader = *journal->reader(Sequence(1));
  auto cursor = *journal->cursor(Sequence(0), Sequence(0));
  os::Thread waiter("waiter", [&](std::stop_token) {
    EXPECT_EQ(journal->wait_durable_beyond(Sequence(5), Deadline::never()).error().kind,
              ErrorKind::closed);
  });
  for (int i = 0; i < 5; ++i) append(data_record(1, "x"));
  journal->close();
  waiter.join();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(5));
  EXPECT_EQ(reader->next(1, soon()).error().kind, ErrorKind::closed);
  EXPECT_EQ(cursor->next(soon()).error().kind, ErrorKind::closed);
  const Record record = data_record(1, "x");
  EXPECT_EQ(journal->append(std::span(&record, 1), soon()).error().kind, ErrorKind::closed);
  journal.reset();
  EXPECT_EQ(reader->next(1, soon()).error().kind, ErrorKind::closed);
}

TEST_F(JournalAppend, OnceClosedItMayBeOpenedAnewBeforeItIsGone) {
  open();
  commit_many(3);
  world.disk.set({.syncs_until_failure = 0, .failing_path = ".segment"});
  append(data_record(9, "x"));
  EXPECT_TRUE(eventually([&] { return journal->status().health == Health::failed; }));
  world.disk.set({});
  const std::shared_ptr<Journal> held = std::move(journal);
  held->close();
  open();
  EXPECT_GE(journal->status().durable.sequence, Sequence(3));
}

TEST_F(JournalAppend, NothingIsTakenOnceANewerEpochIsPromised) {
  open();
  commit_many(3);
  ASSERT_TRUE(journal->promise(Epoch(2)).ok());
  const Record record = data_record(9, "stale");
  const auto place = journal->append(std::span(&record, 1), soon());
  ASSERT_FALSE(place.ok());
  EXPECT_EQ(place.error().kind, ErrorKind::conflict);
  ASSERT_TRUE(journal->begin_epoch({Epoch(2), Sequence(4), "db2"}).ok());
  EXPECT_EQ(append(record), (Place{Epoch(2), Sequence(4)}));
}

TEST_F(JournalAppend, IsHeldByOneAtATime) {
  open();
  const auto second = Journal::open(world, kFolder, options, sink());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
}

// --- shipped records

class JournalShipped : public JournalFixture {
 protected:
  void SetUp() override {
    open();
    ASSERT_TRUE(journal->begin_epoch({Epoch(1), Sequence(1), "db"}).ok());
    commit_many(50);
    shipped = read_all();
    far_ = *Journal::open(far_world, kFolder, options, sink());
    ASSERT_TRUE(far_->begin_epoch({Epoch(1), Sequence(1), "db"}).ok());
  }
  ErrorKind refused(std::span<const PlacedRecord> records) {
    const auto result = far_->append_shipped(records, soon());
    EXPECT_FALSE(result.ok());
    return result.ok() ? ErrorKind::invalid : result.error().kind;
  }
  std::span<const PlacedRecord> part(std::size_t from, std::size_t count) {
    return std::span(shipped).subspan(from, count);
  }

  MemoryWorld far_world;
  std::vector<PlacedRecord> shipped;
  std::unique_ptr<Journal> far_;
};

TEST_F(JournalShipped, MakesThemTheSameJournal) {
  EXPECT_EQ(far_->append_shipped(part(0, 20), soon())->sequence, Sequence(20));
  EXPECT_EQ(far_->append_shipped(part(20, 30), soon())->sequence, Sequence(50));
  ASSERT_TRUE(far_->wait_durable(Sequence(50), soon()).ok());
  EXPECT_EQ(far_->status().hash, journal->status().hash);
  EXPECT_EQ(far_->tail().position, journal->tail().position);
}

TEST_F(JournalShipped, PassesOverWhatItHas) {
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());
  EXPECT_EQ(far_->append_shipped(part(10, 20), soon())->sequence, Sequence(30));
  EXPECT_EQ(far_->append_shipped(part(0, 5), soon())->sequence, Sequence(30));
}

TEST_F(JournalShipped, RefusesAGapAndWritesNothing) {
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());
  EXPECT_EQ(refused(part(21, 5)), ErrorKind::conflict);
  EXPECT_EQ(far_->status().written.sequence, Sequence(20));
}

TEST_F(JournalShipped, RefusesAHashThatDoesNotContinueAndWritesNothing) {
  shipped[25].hash ^= 1;
  EXPECT_EQ(refused(part(0, 50)), ErrorKind::conflict);
  EXPECT_EQ(far_->status().written.sequence, Sequence(0));
}

TEST_F(JournalShipped, RefusesAnotherRecordInAPlaceThatItHas) {
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());
  shipped[19].hash ^= 1;
  EXPECT_EQ(refused(part(10, 10)), ErrorKind::conflict);
}

TEST_F(JournalShipped, RefusesAnEpochThatItsHistoryDoesNotSayThere) {
  shipped[0].place.epoch = Epoch(2);
  EXPECT_EQ(refused(part(0, 1)), ErrorKind::conflict);
}

TEST_F(JournalShipped, RefusesEverythingBelowThePromisedEpochUntilTheEpochBegins) {
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());
  ASSERT_TRUE(far_->promise(Epoch(2)).ok());
  EXPECT_EQ(refused(part(20, 5)), ErrorKind::conflict);
  // The new primary was at 30: what it had of epoch 1 up to there is still to come.
  ASSERT_TRUE(far_->begin_epoch({Epoch(2), Sequence(31), "db2"}).ok());
  EXPECT_EQ(far_->append_shipped(part(20, 10), soon())->sequence, Sequence(30));
  EXPECT_EQ(refused(part(30, 1)), ErrorKind::conflict);
  PlacedRecord next = shipped[30];
  next.place.epoch = Epoch(2);
  EXPECT_EQ(*far_->append_shipped(std::span(&next, 1), soon()), (Place{Epoch(2), Sequence(31)}));
}

// Whoever asks for the promise then asks what is durable: nothing may be added to that.
TEST_F(JournalShipped, WhatWaitsForRoomWhenANewerEpochIsPromisedIsNotTaken) {
  options.buffered_bytes_max = 1;
  far_.reset();
  far_ = *Journal::open(far_world, kFolder, options, sink());
  far_world.disk.set({.sync_takes = 500ms});
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());  // in the buffer
  Result<Place> second = Place{};
  os::Thread waiting("shipped",
                     [&](std::stop_token) { second = far_->append_shipped(part(20, 5), soon()); });
  EXPECT_FALSE(eventually([&] { return far_->status().written.sequence > Sequence(20); }, 10));
  ASSERT_TRUE(far_->promise(Epoch(2)).ok());
  const Status promised = far_->status();
  waiting.join();
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().kind, ErrorKind::conflict);
  EXPECT_EQ(promised.durable.sequence, Sequence(20));
  EXPECT_EQ(far_->status().written.sequence, Sequence(20));
}

TEST_F(JournalShipped, WhatWasTakenBeforeAPromiseIsDurableWhenItIsGiven) {
  far_world.disk.set({.sync_takes = 300ms});
  ASSERT_TRUE(far_->append_shipped(part(0, 20), soon()).ok());
  ASSERT_TRUE(far_->promise(Epoch(2)).ok());
  EXPECT_EQ(far_->status().durable.sequence, Sequence(20));
}

}  // namespace
}  // namespace farshore::journal
