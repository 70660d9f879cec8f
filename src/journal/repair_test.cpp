#include <gmock/gmock.h>

#include "journal/journal_fixture.h"
#include "journal/segment_format.h"

namespace farshore::journal {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class JournalRepair : public JournalFixture {
 protected:
  void SetUp() override {
    options.keep = 24h;  // nothing is trimmed
    open();
    for (int i = 0; i < 1500; ++i)
      append(data_record(++xid, Bytes(100, static_cast<char>('a' + i % 26))));
    ASSERT_TRUE(journal->wait_durable(Sequence(1500), soon()).ok());
    for (int i = 0; i < 10; ++i) commit(data_record(++xid, "newest"));
    good = read_all();
  }
  // Flips a byte inside the payloads of these records.
  void damage(std::initializer_list<std::uint64_t> sequences) {
    for (const std::uint64_t sequence : sequences) {
      Bytes needle = fmt::format("{:08}", sequence);  // the position in the record
      for (const std::string& path : segment_paths())
        world.disk.change(path, [&](Bytes& bytes) {
          if (const auto at = bytes.rfind(needle); at != Bytes::npos && at > 100) bytes[at] = '#';
        });
    }
  }
  // The scrub since SetUp may have been past the damage before it was made.
  void reopen_to_scrub_all() {
    journal.reset();
    (void)world.disk.remove(kFolder + "/scrubbed");
    open();
  }
  std::span<const PlacedRecord> good_ones(std::size_t first, std::size_t last) {
    return std::span(good).subspan(first - 1, last - first + 1);
  }
  static Sequence sequence_of(const std::string& path) {
    return parse_segment_name(path.substr(path.rfind('/') + 1))->first;
  }
  Sequence read_until_damage() {
    auto reader = *journal->reader(Sequence(1));
    for (;;) {
      const auto records = reader->next(1_MiB, now());
      if (records && !records->empty()) continue;
      EXPECT_TRUE(records.ok() || records.error().kind == ErrorKind::corrupt);
      return reader->position();
    }
  }
  std::vector<PlacedRecord> good;
};

TEST_F(JournalRepair, PutsRecordsOfTheOtherRegionIntoTheirPlaces) {
  damage({700, 701, 702});
  EXPECT_EQ(read_until_damage(), Sequence(700));
  EXPECT_EQ(journal->status().damaged_first, Sequence(700));
  EXPECT_EQ(journal->status().damaged_last, Sequence(702));
  ASSERT_TRUE(journal->repair(good_ones(700, 702)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(count_events("journal.repaired"), 1U);
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    const auto after = read_all();
    ASSERT_EQ(after.size(), good.size());
    for (std::size_t i = 0; i < good.size(); ++i) EXPECT_EQ(after[i].record, good[i].record);
  }
}

TEST_F(JournalRepair, OneByOneToo) {
  damage({700, 701});
  EXPECT_EQ(read_until_damage(), Sequence(700));
  ASSERT_TRUE(journal->repair(good_ones(700, 700)).ok());
  EXPECT_EQ(journal->status().health, Health::damaged);
  EXPECT_EQ(read_until_damage(), Sequence(701));
  EXPECT_EQ(journal->repair(good_ones(702, 702)).ok(), true);  // not damaged: passed over
  ASSERT_TRUE(journal->repair(good_ones(701, 760)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
}

TEST_F(JournalRepair, TakesNothingThatDoesNotFit) {
  damage({700, 701});
  EXPECT_EQ(read_until_damage(), Sequence(700));
  PlacedRecord wrong = good[699];
  wrong.record.payload[0] = '!';
  EXPECT_EQ(journal->repair(std::span(&wrong, 1)).error().kind, ErrorKind::conflict);
  wrong = good[699];
  wrong.hash ^= 1;
  EXPECT_EQ(journal->repair(std::span(&wrong, 1)).error().kind, ErrorKind::conflict);
  wrong = good[699];
  wrong.place.epoch = Epoch(2);
  EXPECT_EQ(journal->repair(std::span(&wrong, 1)).error().kind, ErrorKind::conflict);
  EXPECT_EQ(journal->repair(good_ones(701, 701)).error().kind,
            ErrorKind::conflict);  // 700 comes first
  EXPECT_EQ(journal->status().health, Health::damaged);
  EXPECT_EQ(read_until_damage(), Sequence(700));
}

TEST_F(JournalRepair, RepairsTheFirstAndTheLastRecordOfAClosedSegment) {
  std::uint64_t second = 0;
  ASSERT_EQ(std::sscanf(segment_paths().at(1).c_str(), "/journal/%lu-", &second), 1);
  damage({second - 1, second});
  EXPECT_EQ(read_until_damage(), Sequence(second - 1));
  ASSERT_TRUE(journal->repair(good_ones(second - 1, second)).ok());
  EXPECT_EQ(read_until_damage(), Sequence(good.size() + 1));
}

TEST_F(JournalRepair, RepairsASegmentThatLostItsEnd) {
  journal.reset();
  world.disk.change(segment_paths().at(0), [](Bytes& bytes) { bytes.resize(bytes.size() - 1000); });
  open();
  const Sequence damaged = read_until_damage();
  EXPECT_LT(damaged, Sequence(1500));
  // Its size is not known any more, so the records behind decide.
  std::uint64_t second = 0;
  ASSERT_EQ(std::sscanf(segment_paths().at(1).c_str(), "/journal/%lu-", &second), 1);
  ASSERT_TRUE(journal->repair(good_ones(damaged.value(), second - 1)).ok());
  EXPECT_EQ(read_until_damage(), Sequence(good.size() + 1));
}

TEST_F(JournalRepair, RepairsDamageFoundWhenOpening) {
  damage({1503});
  reopen();
  EXPECT_EQ(journal->status().damaged_first, Sequence(1503));
  ASSERT_TRUE(journal->repair(good_ones(1503, 1503)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(read_all().size(), good.size());
}

TEST_F(JournalRepair, RepairsTheFirstTwoRecordsOfTheNewestSegment) {
  std::uint64_t first = 0;
  ASSERT_EQ(std::sscanf(segment_paths().back().c_str(), "/journal/%lu-", &first), 1);
  damage({first, first + 1});
  reopen();
  EXPECT_EQ(journal->status().damaged_first, Sequence(first));
  EXPECT_EQ(journal->status().damaged_last, Sequence(first + 1));
  ASSERT_TRUE(journal->repair(good_ones(first, first)).ok());
  EXPECT_EQ((*journal->reader(Sequence(first)))->next(1, soon())->size(), 1U);
  ASSERT_TRUE(journal->repair(good_ones(first + 1, first + 1)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(read_all().size(), good.size());
}

TEST_F(JournalRepair, TheScrubFindsDamageThatNobodyReadsAndSaysHowFarItIs) {
  damage({300, 1200});
  options.scrub_interval = 1s;
  reopen_to_scrub_all();
  EXPECT_TRUE(eventually([&] { return count_events("journal.damaged") == 2; }));
  EXPECT_EQ(journal->status().health, Health::damaged);
  EXPECT_EQ(journal->status().damaged_first, Sequence(300));
  EXPECT_NE(event_text("journal.damaged").find("(place 1:300)"), std::string::npos);
  EXPECT_TRUE(eventually([&] { return journal->status().scrubbed == Sequence(1510); }));
  ASSERT_TRUE(journal->repair(good_ones(300, 300)).ok());
  ASSERT_TRUE(journal->repair(good_ones(1200, 1200)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
}

TEST_F(JournalRepair, TheScrubFindsADamagedHeaderAndRepairPutsItBack) {
  options.scrub_interval = 1s;
  reopen();
  world.disk.change(segment_paths().at(1), [](Bytes& bytes) { bytes[30] ^= 1; });
  EXPECT_TRUE(eventually([&] { return count_events("journal.damaged") == 1; }));
  const auto first = journal->status().damaged_first->value();
  ASSERT_TRUE(journal->repair(good_ones(first, first)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
  reopen();
  EXPECT_EQ(read_all().size(), good.size());
}

// --- what the disk refuses to read, and files that are gone

TEST_F(JournalRepair, ABadSectorOfAClosedSegmentIsDamageAndRepaired) {
  const std::string path = segment_paths().at(1);
  world.disk.spoil(path, {2, 3});
  const Sequence at = read_until_damage();
  EXPECT_EQ(journal->status().health, Health::damaged);
  EXPECT_NE(journal->status().reason.find("Input/output error"), std::string::npos)
      << journal->status().reason;
  EXPECT_EQ(journal->status().damaged_first, at);
  const auto last = journal->status().damaged_last->value();
  EXPECT_LT(last - at.value(), 100U);  // what lies behind the sector is not lost
  ASSERT_TRUE(journal->repair(good_ones(at.value(), last)).ok());
  EXPECT_EQ(journal->status().health, Health::good) << journal->status().reason;
  for (const bool reopened : {false, true}) {
    if (reopened) reopen();
    const auto after = read_all();
    ASSERT_EQ(after.size(), good.size());
    for (std::size_t i = 0; i < good.size(); ++i) EXPECT_EQ(after[i].hash, good[i].hash);
  }
}

TEST_F(JournalRepair, TheScrubFindsABadSectorThatNobodyReads) {
  options.scrub_interval = 1s;
  reopen();
  world.disk.spoil(segment_paths().at(1), {4});
  EXPECT_TRUE(eventually([&] { return count_events("journal.damaged") == 1; }));
  EXPECT_TRUE(eventually([&] { return journal->status().scrubbed == Sequence(1510); }));
  const Status status = journal->status();
  ASSERT_TRUE(status.damaged_first);
  ASSERT_TRUE(
      journal->repair(good_ones(status.damaged_first->value(), status.damaged_last->value())).ok());
  EXPECT_EQ(journal->status().health, Health::good);
}

TEST_F(JournalRepair, ABadSectorOfTheNewestSegmentIsFoundWhenOpeningAndRepaired) {
  for (int i = 0; i < 200; ++i) commit(data_record(++xid, "more in the newest"));
  good = read_all();
  world.disk.spoil(segment_paths().back(), {2});
  reopen();
  const Status status = journal->status();
  EXPECT_EQ(status.durable.sequence, Sequence(good.size()));
  ASSERT_EQ(status.health, Health::damaged);
  ASSERT_TRUE(
      journal->repair(good_ones(status.damaged_first->value(), status.damaged_last->value())).ok());
  EXPECT_EQ(journal->status().health, Health::good) << journal->status().reason;
  EXPECT_EQ(commit(data_record(++xid, "goes on")).sequence, Sequence(good.size() + 1));
  EXPECT_EQ(read_all().size(), good.size() + 1);
}

TEST_F(JournalRepair, ABadSectorWhereTheNewestSegmentEndsIsNeverCutAsATornTail) {
  const std::string path = segment_paths().back();
  const std::uint64_t size = world.disk.read(path).size();
  journal.reset();
  world.disk.spoil(path, {size / MemoryDisk::kSector});
  const auto opened = Journal::open(world, kFolder, options, sink());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::io);
  world.disk.spoil(path, {});
  open();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(good.size()));
}

TEST_F(JournalRepair, AClosedSegmentThatIsGoneIsDamageAndMadeAnew) {
  for (const bool scrubbed : {false, true}) {
    options.scrub_interval = scrubbed ? Duration(1s) : Duration(24h);
    reopen();
    events.clear();
    const std::string path = segment_paths().at(1);
    ASSERT_TRUE(world.disk.remove(path).ok());
    if (scrubbed)
      ASSERT_TRUE(eventually([&] { return journal->status().health == Health::damaged; }));
    else
      read_until_damage();
    const Status status = journal->status();
    ASSERT_EQ(status.health, Health::damaged);
    EXPECT_NE(status.reason.find(path), std::string::npos);
    // As it comes over the link: part by part.
    std::uint64_t next = status.damaged_first->value();
    const std::uint64_t last = status.damaged_last->value();
    EXPECT_GT(last - next, 100U);
    for (; next <= last; next += 100) {
      EXPECT_EQ(journal->status().damaged_first, Sequence(next));
      ASSERT_TRUE(journal->repair(good_ones(next, std::min(next + 99, last))).ok());
    }
    EXPECT_EQ(journal->status().health, Health::good) << journal->status().reason;
    reopen();
    EXPECT_EQ(read_all().size(), good.size());
  }
}

// --- headers that are damaged when the journal is opened

TEST_F(JournalRepair, ADamagedHeaderOfAClosedSegmentIsMadeAnewFromTheOneBeforeIt) {
  const std::string path = segment_paths().at(1);
  journal.reset();
  const Bytes whole = world.disk.read(path);
  world.disk.change(path, [](Bytes& bytes) { bytes.replace(0, 80, 80, '\0'); });
  open();
  ASSERT_EQ(journal->status().health, Health::damaged);
  EXPECT_NE(journal->status().reason.find(fmt::format("{} is damaged at offset 0", path)),
            std::string::npos);
  EXPECT_EQ(read_all().size(), good.size());
  const auto first = journal->status().damaged_first->value();
  ASSERT_TRUE(journal->repair(good_ones(first, first)).ok());
  EXPECT_EQ(journal->status().health, Health::good);
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  const Bytes after = world.disk.read(path);
  EXPECT_EQ(after.substr(0, 40), whole.substr(0, 40));  // all but when it was made
  EXPECT_EQ(after.substr(48, 36), whole.substr(48, 36));
}

TEST_F(JournalRepair, AnyByteOfAnyHeaderMayFlip) {
  const auto paths = segment_paths();
  journal.reset();
  for (std::size_t i = 0; i < paths.size(); ++i) {
    const Bytes whole = world.disk.read(paths[i]);
    for (const std::size_t at : {0, 9, 13, 17, 25, 33, 41, 49, 57, 61, 65, 72, 78}) {
      world.disk.change(paths[i],
                        [&](Bytes& bytes) { bytes[at] = static_cast<char>(bytes[at] ^ 0x20); });
      open();
      ASSERT_TRUE(journal) << paths[i] << " " << at;
      EXPECT_EQ(journal->status().health, Health::damaged);
      EXPECT_EQ(journal->status().durable.sequence, Sequence(good.size()));
      const auto first = journal->status().damaged_first->value();
      EXPECT_EQ(*journal->hash_at(Sequence(first)), good[first - 1].hash);
      journal.reset();
      world.disk.change(paths[i], [&](Bytes& bytes) { bytes = whole; });
    }
  }
}

TEST_F(JournalRepair, ABadSectorUnderAHeaderIsRepairedToo) {
  const std::string path = segment_paths().at(1);
  journal.reset();
  world.disk.spoil(path, {0});
  open();
  while (journal->status().health == Health::damaged) {
    const Status status = journal->status();
    ASSERT_TRUE(
        journal->repair(good_ones(status.damaged_first->value(), status.damaged_last->value()))
            .ok());
  }
  EXPECT_EQ(read_all().size(), good.size());
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(read_all().size(), good.size());
}

// --- the first segment, before which nothing lies that tells of it

TEST_F(JournalRepair, AFirstHeaderOfWhichNothingIsLeftIsKnownFromItsCopy) {
  const std::string path = segment_paths().at(0);
  journal.reset();
  const Bytes whole = world.disk.read(path);
  world.disk.change(path, [](Bytes& bytes) { bytes.replace(0, 80, 80, '\0'); });
  open();
  EXPECT_THAT(journal->status().reason, HasSubstr(path + " is damaged at offset 0"));
  EXPECT_EQ(read_all().size(), good.size());
  ASSERT_TRUE(journal->repair(good_ones(1, 1)).ok());
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(world.disk.read(path), whole);
}

TEST_F(JournalRepair, AFirstSegmentThatIsMissingIsDamageAndNoTrim) {
  const std::string path = segment_paths().at(0);
  const Sequence last = sequence_of(segment_paths().at(1)).previous();
  journal.reset();
  ASSERT_TRUE(world.disk.remove(path).ok());
  open();
  EXPECT_THAT(journal->status().reason,
              AllOf(HasSubstr(path), HasSubstr("the file was missing, and retention had not"),
                    HasSubstr("it is repaired from the other region's journal")));
  EXPECT_EQ(journal->status().first.sequence, Sequence(1));
  EXPECT_EQ(journal->damaged(), (DamagedRun{Sequence(1), last}));
  EXPECT_EQ(read_until_damage(), Sequence(1));
  ASSERT_TRUE(journal->repair(good_ones(1, last.value())).ok());
  EXPECT_EQ(read_all().size(), good.size());
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(read_all().size(), good.size());
}

TEST_F(JournalRepair, WhatRetentionRemovedIsNotMissed) {
  const auto paths = segment_paths();
  ASSERT_GT(paths.size(), 3U);
  const Sequence second = sequence_of(paths.at(1)), third = sequence_of(paths.at(2));
  options.keep = 0s;
  reopen();
  ASSERT_TRUE(journal->set_consumer("slow", {.applied = second, .restart = second}).ok());
  ASSERT_TRUE(journal->trim().ok());
  ASSERT_EQ(journal->status().first.sequence, second);
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(journal->status().first.sequence, second);
  journal.reset();
  ASSERT_TRUE(world.disk.remove(paths.at(1)).ok());
  open();
  EXPECT_EQ(journal->damaged(), (DamagedRun{second, third.previous()}));
  EXPECT_EQ(journal->consumer("slow")->restart, second);
}

TEST_F(JournalRepair, AClearTakesTheCopyOfTheFirstHeaderWithIt) {
  const std::string path = segment_paths().at(0);
  const Bytes whole = world.disk.read(path), copy = world.disk.read(kFolder + "/first");
  EXPECT_EQ(whole.substr(0, copy.size()), copy);
  ASSERT_TRUE(journal->clear().ok());
  EXPECT_THAT(world.disk.paths(), testing::Not(testing::Contains(kFolder + "/first")));
  reopen();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(journal->status().written.sequence, Sequence(0));
}

// --- pace and place of the scrub

TEST_F(JournalRepair, TheScrubGoesOnWhereItWasBeforeARestart) {
  options.scrub_interval = 5s;
  reopen();
  ASSERT_TRUE(eventually([&] { return journal->status().scrubbed > Sequence(900); }));
  journal.reset();
  damage({5, 1300});
  open();
  EXPECT_TRUE(eventually([&] { return count_events("journal.damaged") > 0; }));
  EXPECT_EQ(journal->status().damaged_first, Sequence(1300));
  EXPECT_GE(journal->status().scrubbed, Sequence(900));
}

TEST_F(JournalRepair, TheScrubDoesNotGoOnBehindDamageThatWasNotRepaired) {
  damage({300});
  options.scrub_interval = 1s;
  reopen_to_scrub_all();
  EXPECT_TRUE(eventually([&] { return journal->status().scrubbed > Sequence(1000); }));
  EXPECT_EQ(journal->status().damaged_first, Sequence(300));
  reopen();
  EXPECT_TRUE(eventually([&] { return journal->status().damaged_first == Sequence(300); }));
}

TEST_F(JournalRepair, TheScrubIsPaced) {
  options.scrub_interval = 1h;
  reopen();
  const auto read = world.disk.counts().bytes_read;
  EXPECT_FALSE(eventually([&] { return world.disk.counts().bytes_read > read + 300_KiB; }, 50));
}

}  // namespace
}  // namespace farshore::journal
