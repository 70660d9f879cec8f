#include "journal/epoch_history.h"

#include "journal/inspect.h"
#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

TEST(EpochHistory, SaysWhichEpochASequenceBelongsTo) {
  EpochHistory history;
  ASSERT_TRUE(history.begin({Epoch(1), Sequence(1), "a"}).ok());
  ASSERT_TRUE(history.begin({Epoch(3), Sequence(991), "b"}).ok());
  EXPECT_EQ(history.epoch_at(Sequence(0)), Epoch(0));
  EXPECT_EQ(history.epoch_at(Sequence(990)), Epoch(1));
  EXPECT_EQ(history.epoch_at(Sequence(991)), Epoch(3));
  EXPECT_EQ(history.promised, Epoch(3));
}

TEST(EpochHistory, RefusesStaleEpochsAndTakesAKnownEntryTwice) {
  EpochHistory history;
  const EpochEntry second{Epoch(2), Sequence(10), "b"};
  ASSERT_TRUE(history.begin(second).ok());
  EXPECT_TRUE(history.begin(second).ok());
  EXPECT_EQ(history.begin({Epoch(2), Sequence(11), "b"}).error().kind, ErrorKind::conflict);
  EXPECT_EQ(history.begin({Epoch(1), Sequence(20), "b"}).error().kind, ErrorKind::conflict);
  history.promised = Epoch(5);
  EXPECT_EQ(history.begin({Epoch(4), Sequence(20), "b"}).error().kind, ErrorKind::conflict);
}

TEST(EpochHistory, DropsEntriesThatHoldNothingAnyMore) {
  EpochHistory history;
  ASSERT_TRUE(history.begin({Epoch(1), Sequence(1), "a"}).ok());
  ASSERT_TRUE(history.begin({Epoch(2), Sequence(50), "b"}).ok());
  ASSERT_TRUE(history.begin({Epoch(3), Sequence(40), "c"}).ok());
  ASSERT_EQ(history.entries.size(), 2U);
  EXPECT_EQ(history.epoch_at(Sequence(45)), Epoch(3));
}

class JournalEpoch : public JournalFixture {
 protected:
  EpochEntry entry(std::uint64_t epoch, std::uint64_t first) {
    return {Epoch(epoch), Sequence(first), "db"};
  }
  std::vector<std::string> salvaged() {
    std::vector<std::string> paths;
    for (const std::string& path : world.disk.paths())
      if (path.starts_with(kFolder + "/salvage/")) paths.push_back(path);
    return paths;
  }
};

TEST_F(JournalEpoch, PromisesAndHistorySurviveReopening) {
  open();
  ASSERT_TRUE(journal->begin_epoch(entry(1, 1)).ok());
  ASSERT_TRUE(journal->promise(Epoch(4)).ok());
  EXPECT_EQ(journal->promise(Epoch(3)).error().kind, ErrorKind::conflict);
  EXPECT_EQ(journal->begin_epoch(entry(3, 1)).error().kind, ErrorKind::conflict);
  reopen();
  EXPECT_EQ(journal->promised(), Epoch(4));
  EXPECT_EQ(journal->history(), (std::vector<EpochEntry>{entry(1, 1)}));
}

TEST_F(JournalEpoch, ANewEpochAtTheEndGoesOnInASegmentOfItsOwn) {
  open();
  commit_many(10);
  ASSERT_TRUE(journal->begin_epoch(entry(2, 11)).ok());
  EXPECT_EQ(commit(data_record(1, "x")), (Place{Epoch(2), Sequence(11)}));
  EXPECT_EQ(segment_paths().size(), 2U);
  reopen();
  EXPECT_EQ(commit(data_record(1, "y")), (Place{Epoch(2), Sequence(12)}));
  const auto all = read_all();
  EXPECT_EQ(all[9].place.epoch, Epoch(1));
  EXPECT_EQ(all[10].place.epoch, Epoch(2));
  EXPECT_TRUE(salvaged().empty());
}

TEST_F(JournalEpoch, ATailThatLostIsSetAsideWholeAndTheLogGoesOnBeforeIt) {
  open();
  commit_many(2000);
  commit(record_of(RecordKind::preamble));
  const auto before = read_all();
  const auto hash = *journal->hash_at(Sequence(500));
  ASSERT_TRUE(journal->set_consumer("eu", {Sequence(900), Sequence(901)}).ok());
  auto behind = *journal->reader(Sequence(700));
  auto ahead = *journal->reader(Sequence(400));
  ASSERT_EQ(behind->next(1, soon())->size(), 1U);
  ASSERT_EQ(ahead->next(1, soon())->size(), 1U);

  ASSERT_TRUE(journal->begin_epoch(entry(2, 501)).ok());
  EXPECT_EQ(journal->status().written, (Place{Epoch(1), Sequence(500)}));
  EXPECT_EQ(journal->status().hash, hash);
  EXPECT_EQ(journal->tail().position, before[499].record.position);
  EXPECT_EQ(count_events("journal.tail_set_aside"), 1U);
  EXPECT_EQ(journal->consumer("eu")->applied, Sequence(500));
  EXPECT_EQ(behind->next(1, soon()).error().kind, ErrorKind::conflict);
  EXPECT_EQ(commit(data_record(1, "new")), (Place{Epoch(2), Sequence(501)}));
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    const auto after = read_all();
    ASSERT_EQ(after.size(), 501U);
    EXPECT_EQ(after[499].hash, before[499].hash);
    EXPECT_EQ(after[500].record.payload, "new");
    EXPECT_EQ(journal->status().health, Health::good);
  }
  std::uint64_t set_aside = 0;
  for (const std::string& path : salvaged()) {
    const auto shown = inspect_file(world.disk, path, {});
    ASSERT_TRUE(shown.ok());
    EXPECT_NE(shown->text.find("no damage"), std::string::npos) << shown->text;
    std::size_t at = shown->text.find(" records, ");
    set_aside += std::stoull(shown->text.substr(shown->text.rfind('\n', at) + 1));
  }
  EXPECT_EQ(set_aside, 2001U - 500U);
  const auto shown = inspect_file(world.disk, kFolder + "/history", {});
  EXPECT_NE(shown->text.find("set aside: 1:501 to 1:2001, replaced by epoch 2"), std::string::npos)
      << shown->text;
}

TEST_F(JournalEpoch, WhileATailIsSetAsideTheEndHasItsHashAndItsTail) {
  open();
  commit_many(100);
  const auto before = read_all();
  int looks = 0;
  world.disk.set({.seen = [&](std::string_view, const std::string&) {
    const Status status = journal->status();
    if (status.durable.sequence != Sequence(50)) return;
    ++looks;
    EXPECT_EQ(status.hash, before[49].hash);
    EXPECT_EQ(*journal->hash_at(Sequence(50)), before[49].hash);
    EXPECT_EQ(journal->tail().position, before[49].record.position);
  }});
  ASSERT_TRUE(journal->begin_epoch(entry(2, 51)).ok());
  world.disk.set({});
  EXPECT_GT(looks, 0);
}

TEST_F(JournalEpoch, ACutBehindADamagedRecordIsRefusedAndTheJournalGoesOn) {
  open();
  commit_many(100);
  const Bytes content = world.disk.read(segment_paths().at(0));
  world.disk.change(segment_paths().at(0),
                    [&](Bytes& bytes) { bytes[content.find("00000050")] = '#'; });
  EXPECT_EQ(journal->begin_epoch(entry(2, 51)).error().kind, ErrorKind::corrupt);
  EXPECT_EQ(commit(data_record(1, "goes on")), (Place{Epoch(1), Sequence(101)}));
  reopen();
  EXPECT_EQ(journal->status().durable, (Place{Epoch(1), Sequence(101)}));
}

TEST_F(JournalEpoch, DamageInATailThatIsSetAsideIsTheLogsNoMore) {
  open();
  commit_many(100);
  const Bytes content = world.disk.read(segment_paths().at(0));
  world.disk.change(segment_paths().at(0),
                    [&](Bytes& bytes) { bytes[content.find("00000080")] = '#'; });
  EXPECT_EQ((*journal->reader(Sequence(80)))->next(1_MiB, soon()).error().kind, ErrorKind::corrupt);
  ASSERT_EQ(journal->damaged(), (DamagedRun{Sequence(80), Sequence(80)}));
  ASSERT_TRUE(journal->begin_epoch(entry(2, 51)).ok());
  EXPECT_EQ(journal->damaged(), std::nullopt);
  EXPECT_EQ(journal->status().health, Health::good) << journal->status().reason;
}

TEST_F(JournalEpoch, AReaderBeforeTheCutReadsOnIntoTheNewEpoch) {
  open();
  commit_many(100);
  auto reader = *journal->reader(Sequence(1));
  ASSERT_EQ(reader->next(1, soon())->size(), 1U);
  ASSERT_TRUE(journal->begin_epoch(entry(2, 51)).ok());
  commit(data_record(1, "new"));
  std::vector<PlacedRecord> records;
  while (records.size() < 50) {
    auto next = reader->next(1_MiB, soon());
    ASSERT_TRUE(next.ok()) << next.error().what;
    records.insert(records.end(), next->begin(), next->end());
  }
  EXPECT_EQ(records.back().place, (Place{Epoch(2), Sequence(51)}));
}

TEST_F(JournalEpoch, TheWholeLogMayBeSetAsideButNotMoreThanThat) {
  open();
  commit_many(2000);
  ASSERT_TRUE(journal->set_consumer("eu", {Sequence(2000), Sequence(2001)}).ok());
  ASSERT_TRUE(journal->trim().ok());
  const Sequence first = journal->status().first.sequence;
  ASSERT_GT(first, Sequence(1));
  EXPECT_EQ(journal->begin_epoch({Epoch(2), first.previous(), "db"}).error().kind,
            ErrorKind::overtaken);
  const auto hash = *journal->hash_at(first.previous());
  ASSERT_TRUE(journal->begin_epoch({Epoch(3), first, "db"}).ok());
  EXPECT_EQ(journal->status().durable.sequence, first.previous());
  EXPECT_EQ(journal->status().hash, hash);
  reopen();
  EXPECT_EQ(journal->status().hash, hash);
  EXPECT_EQ(commit(data_record(1, "x")), (Place{Epoch(3), first}));
}

TEST_F(JournalEpoch, SettingAsideIsFinishedAfterACrashAtAnyWrite) {
  open();
  commit_many(1200);
  journal.reset();
  const auto before = world.disk.paths();
  std::map<std::string, Bytes> contents;
  for (const std::string& path : before) contents[path] = world.disk.read(path);
  int failures = 0;
  for (int step = 0; step < 60; ++step) {
    MemoryWorld own;
    for (const auto& [path, bytes] : contents) {
      ASSERT_TRUE((*own.disk.open(path, os::OpenMode::create))->sync().ok());
      own.disk.change(path, [&](Bytes& b) { b = bytes; });
    }
    ASSERT_TRUE(own.disk.sync_folder(kFolder).ok());
    auto log = *Journal::open(own, kFolder, options, {});
    own.disk.set({.writes_until_failure = step});
    const bool done = log->begin_epoch(entry(2, 501)).ok();
    failures += done ? 0 : 1;
    log.reset();
    own.disk.set({});
    own.disk.crash(static_cast<std::uint64_t>(step));
    auto again = Journal::open(own, kFolder, options, {});
    ASSERT_TRUE(again.ok()) << step << ": " << again.error().what;
    const auto history = (*again)->history();
    const std::uint64_t end = (*again)->status().durable.sequence.value();
    EXPECT_EQ(end, history.back().epoch == Epoch(2) ? 500U : 1200U) << step;
    EXPECT_TRUE(!done || end == 500U) << step;
    EXPECT_EQ((*again)->status().health, Health::good) << step;
  }
  EXPECT_GT(failures, 5);
}

TEST_F(JournalEpoch, AnEpochAheadOfTheEndMeansThatRecordsAreMissing) {
  open();
  commit_many(10);
  ASSERT_TRUE(journal->begin_epoch(entry(2, 20)).ok());
  const Record record = data_record(1, "x");
  EXPECT_EQ(journal->append(std::span(&record, 1), soon()).error().kind, ErrorKind::conflict);
}

TEST_F(JournalEpoch, StartsAnywhereWhenEmpty) {
  open();
  const Tail tail{{"position"}, WallTime(5s), 9};
  const std::vector<EpochEntry> history{entry(1, 1), entry(2, 900)};
  EXPECT_EQ(journal->start_at({Epoch(1), Sequence(1000)}, 77, history, tail).error().kind,
            ErrorKind::invalid);
  ASSERT_TRUE(journal->set_consumer("eu", {.required = true}).ok());  // known before the first trim
  ASSERT_TRUE(journal->start_at({Epoch(2), Sequence(1000)}, 77, history, tail).ok());
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    ASSERT_TRUE(journal->consumer("eu"));
    EXPECT_EQ(journal->consumer("eu")->restart, Sequence(1000));
    EXPECT_EQ(journal->status().written, (Place{Epoch(2), Sequence(999)}));
    EXPECT_EQ(journal->status().first, (Place{Epoch(2), Sequence(1000)}));
    EXPECT_EQ(journal->status().hash, 77U);
    EXPECT_EQ(*journal->hash_at(Sequence(999)), 77U);
    EXPECT_EQ(journal->tail().position.bytes, "position");
    EXPECT_EQ(journal->tail().session, 9U);
    EXPECT_EQ(journal->history(), history);
  }
  ASSERT_TRUE(
      journal->start_at({Epoch(2), Sequence(2000)}, 78, history, tail).ok());  // still empty
  EXPECT_EQ(commit(data_record(1, "x")), (Place{Epoch(2), Sequence(2000)}));
  EXPECT_EQ(journal->start_at({Epoch(2), Sequence(3000)}, 79, history, tail).error().kind,
            ErrorKind::conflict);
  EXPECT_EQ(journal->hash_at(Sequence(10)).error().kind, ErrorKind::overtaken);
}

TEST_F(JournalEpoch, ConsumersThatWereKnownBeforeItBeganStayKnown) {
  open();
  ASSERT_TRUE(journal->set_consumer("apply", {.required = true}).ok());
  ASSERT_TRUE(journal->start_at({Epoch(1), Sequence(1000)}, 77, {entry(1, 1)}, {}).ok());
  const auto places = journal->consumer("apply");
  ASSERT_TRUE(places);
  EXPECT_EQ(places->applied, Sequence(0));
  EXPECT_EQ(places->restart, Sequence(1000));
}

TEST_F(JournalEpoch, ClearedItHoldsNothingAndKeepsItsPromise) {
  open();
  commit_many(1000, 200);
  ASSERT_GT(segment_paths().size(), 1U);
  ASSERT_TRUE(journal->promise(Epoch(3)).ok());
  ASSERT_TRUE(journal->set_consumer("apply", {Sequence(900), Sequence(900), true}).ok());
  auto reader = *journal->reader(Sequence(990));
  ASSERT_TRUE(journal->clear().ok());
  EXPECT_EQ(reader->next(1_MiB, now()).error().kind, ErrorKind::overtaken);
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    EXPECT_EQ(journal->status().written, Place{});
    EXPECT_EQ(journal->status().bytes, 0U);
    EXPECT_EQ(journal->promised(), Epoch(3));
    EXPECT_EQ(*journal->consumer("apply"), (ConsumerPlaces{Sequence(0), Sequence(1), true}));
    EXPECT_TRUE(segment_paths().empty());
  }
  const std::vector<EpochEntry> history{entry(1, 1), entry(3, 5000)};
  ASSERT_TRUE(journal->start_at({Epoch(3), Sequence(6000)}, 77, history, {}).ok());
  EXPECT_EQ(commit(data_record(1, "x")), (Place{Epoch(3), Sequence(6000)}));
}

}  // namespace
}  // namespace farshore::journal
