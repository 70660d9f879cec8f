#include <cstdio>

#include "journal/journal_fixture.h"
#include "journal/segment_format.h"

namespace farshore::journal {
namespace {

class JournalRecovery : public JournalFixture {
 protected:
  void flip(const std::string& path, std::size_t at) {
    world.disk.change(path, [&](Bytes& bytes) { bytes[at] = static_cast<char>(bytes[at] ^ 0x10); });
  }
};

TEST_F(JournalRecovery, CutsATornTailAtEveryByteOfTheLastRecord) {
  open();
  commit_many(3);
  const std::size_t before = world.disk.read(segment_paths().at(0)).size();
  commit(data_record(4, "the last record"));
  journal.reset();
  const std::string path = segment_paths().at(0);
  const Bytes whole = world.disk.read(path);
  for (std::size_t size = before; size < whole.size(); ++size) {
    world.disk.change(path, [&](Bytes& bytes) { bytes = whole.substr(0, size); });
    events.clear();
    open();
    EXPECT_EQ(journal->status().durable.sequence, Sequence(3)) << size;
    EXPECT_EQ(count_events("journal.tail_cut"), size == before ? 0U : 1U) << size;
    EXPECT_EQ(event_text("journal.tail_cut").find("consumer"), std::string::npos) << size;
    EXPECT_EQ(commit(data_record(5, "again")).sequence, Sequence(4));
    EXPECT_EQ(read_all().size(), 4U);
    journal.reset();
  }
}

TEST_F(JournalRecovery, CutsALastRecordWithAnyByteChanged) {
  open();
  commit_many(3);
  const std::size_t before = world.disk.read(segment_paths().at(0)).size();
  commit(data_record(4, "the last record"));
  journal.reset();
  const std::string path = segment_paths().at(0);
  const Bytes whole = world.disk.read(path);
  for (std::size_t at = before; at < whole.size(); ++at) {
    world.disk.change(path, [&](Bytes& bytes) { bytes = whole; });
    flip(path, at);
    open();
    EXPECT_EQ(journal->status().durable.sequence, Sequence(3)) << at;
    EXPECT_EQ(journal->status().health, Health::good);
    journal.reset();
  }
}

TEST_F(JournalRecovery, SaysSoLouderWhenAConsumerHadAlreadyPassedWhatIsCut) {
  open();
  commit_many(4);
  ASSERT_TRUE(journal->set_consumer("eu", {Sequence(4), Sequence(5)}).ok());
  journal.reset();
  const std::string path = segment_paths().at(0);
  flip(path, world.disk.read(path).size() - 20);
  open();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(3));
  EXPECT_NE(event_text("journal.tail_cut").find("already passed sequence 4"), std::string::npos);
  const auto cut = std::find_if(events.begin(), events.end(),
                                [](const Event& e) { return e.name == "journal.tail_cut"; });
  EXPECT_EQ(cut->severity, Severity::error);
}

TEST_F(JournalRecovery, NamesFileOffsetAndPlaceForEveryFlippedByteOfAMiddleFrameAndCutsNothing) {
  open();
  commit_many(2, 30);
  const std::size_t begin = world.disk.read(segment_paths().at(0)).size();
  commit(data_record(3, "the middle one"));
  const std::size_t end = world.disk.read(segment_paths().at(0)).size();
  for (int i = 0; i < 3; ++i) commit(data_record(4, "behind it"));
  journal.reset();
  const std::string path = segment_paths().at(0);
  const Bytes whole = world.disk.read(path);
  for (std::size_t at = begin; at < end; ++at) {
    world.disk.change(path, [&](Bytes& bytes) { bytes = whole; });
    flip(path, at);
    events.clear();
    open();
    const Status status = journal->status();
    EXPECT_EQ(status.durable.sequence, Sequence(6)) << at;
    EXPECT_EQ(status.health, Health::damaged);
    EXPECT_NE(
        status.reason.find(fmt::format("{} is damaged at offset {} (place 1:3)", path, begin)),
        std::string::npos)
        << status.reason;
    EXPECT_EQ(status.damaged_first, Sequence(3));
    EXPECT_EQ(status.damaged_last, Sequence(3));
    EXPECT_EQ(count_events("journal.damaged"), 1U);
    EXPECT_EQ(count_events("journal.tail_cut"), 0U);
    auto reader = *journal->reader(Sequence(1));
    EXPECT_EQ(reader->next(1_MiB, soon())->size(), 2U);
    const auto damaged = reader->next(1_MiB, soon());
    ASSERT_FALSE(damaged.ok());
    EXPECT_EQ(damaged.error().kind, ErrorKind::corrupt);
    EXPECT_NE(damaged.error().what.find(fmt::format("offset {} (place 1:3)", begin)),
              std::string::npos);
    EXPECT_EQ((*journal->reader(Sequence(4)))->next(1_MiB, soon())->size(), 3U);
    EXPECT_EQ(commit(data_record(9, "goes on")).sequence, Sequence(7));
    journal.reset();
  }
}

TEST_F(JournalRecovery, TakesAHoleInWhatWasNeverSyncedForATornTail) {
  open();
  commit_many(2);
  world.disk.set({.sync_takes = 3s});
  for (int i = 0; i < 5; ++i) append(data_record(9, "unsynced"));
  ASSERT_TRUE(eventually([&] { return world.disk.read(segment_paths().at(0)).size() > 700; }));
  const Bytes written = world.disk.read(segment_paths().at(0));
  world.disk.set({});
  journal.reset();
  const std::string path = segment_paths().at(0);
  const std::size_t third = 80 + 2 * frame_bytes(kEncodedRecordMin + 8 + 100);
  world.disk.change(path, [&](Bytes& bytes) {
    bytes = written;
    bytes[third + 50] ^= 1;  // the first unsynced one; whole ones of the same batch lie behind it
  });
  open();
  EXPECT_EQ(journal->status().health, Health::good);
  EXPECT_EQ(journal->status().durable.sequence, Sequence(2));
  EXPECT_EQ(count_events("journal.tail_cut"), 1U);
}

TEST_F(JournalRecovery, FindsDamageInAClosedSegmentWhenReadAndNotAtOpen) {
  open();
  commit_many(2000);
  journal.reset();
  const std::string path = segment_paths().at(1);
  flip(path, 5000);
  open();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(2000));
  auto reader = *journal->reader(Sequence(1));
  ErrorKind kind = ErrorKind::invalid;
  for (int i = 0; i < 100; ++i) {
    const auto records = reader->next(64_KiB, soon());
    if (!records) {
      kind = records.error().kind;
      EXPECT_NE(records.error().what.find(path), std::string::npos);
      break;
    }
  }
  EXPECT_EQ(kind, ErrorKind::corrupt);
  EXPECT_EQ(journal->status().health, Health::damaged);
  EXPECT_EQ(journal->status().damaged_first, reader->position());
}

TEST_F(JournalRecovery, RefusesToOpenWithAHeaderThatNothingTellsAndNamesTheFile) {
  open();
  commit_many(2000);
  journal.reset();
  ASSERT_TRUE(world.disk.remove(kFolder + "/first").ok());
  world.disk.change(segment_paths().at(0), [](Bytes& bytes) { bytes.replace(0, 80, 80, '\0'); });
  const auto opened = Journal::open(world, kFolder, options, sink());
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().kind, ErrorKind::corrupt);
  EXPECT_NE(opened.error().what.find(segment_paths().at(0)), std::string::npos);
}

TEST_F(JournalRecovery, NoticesAMissingSegment) {
  open();
  commit_many(2000);
  journal.reset();
  ASSERT_TRUE(world.disk.remove(segment_paths().at(1)).ok());
  open();
  auto reader = *journal->reader(Sequence(1));
  ErrorKind kind = ErrorKind::invalid;
  for (int i = 0; i < 100 && kind == ErrorKind::invalid; ++i)
    if (const auto records = reader->next(64_KiB, soon()); !records) kind = records.error().kind;
  EXPECT_EQ(kind, ErrorKind::corrupt);
}

TEST_F(JournalRecovery, WorksWithoutItsIndexFilesAndWithDamagedOnes) {
  open();
  commit_many(2000);
  const auto hash = *journal->hash_at(Sequence(300));
  journal.reset();
  int removed = 0;
  for (const std::string& path : world.disk.paths()) {
    if (!path.ends_with(".index")) continue;
    if (removed++ % 2 == 0)
      ASSERT_TRUE(world.disk.remove(path).ok());
    else
      flip(path, 15);
  }
  EXPECT_GT(removed, 1);
  open();
  EXPECT_EQ(*journal->hash_at(Sequence(300)), hash);
  EXPECT_EQ(read_all(1999).size(), 2U);
}

TEST_F(JournalRecovery, NothingDurableIsLostInAnyCrash) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    std::mt19937_64 random(seed);
    options.segment_bytes = 2_KiB;
    MemoryWorld own;
    Sequence durable;
    std::vector<Bytes> payloads;
    for (int life = 0; life < 4; ++life) {
      auto opened = Journal::open(own, kFolder, options, sink());
      ASSERT_TRUE(opened.ok()) << seed << ": " << opened.error().what;
      auto alive = *std::move(opened);
      ASSERT_EQ(alive->status().health, Health::good) << seed << ": " << alive->status().reason;
      const std::uint64_t end = alive->status().durable.sequence.value();
      ASSERT_GE(Sequence(end), durable) << seed;
      payloads.resize(end);
      auto reader = *alive->reader(Sequence(1));
      for (std::size_t got = 0; got < end;) {
        const auto records = reader->next(1_MiB, own.after(5s));
        ASSERT_TRUE(records.ok() && !records->empty()) << seed;
        for (const PlacedRecord& placed : *records)
          ASSERT_EQ(placed.record.payload, payloads[got++]) << seed;
      }
      for (int i = 0; i < 30; ++i) {
        const Record record =
            data_record(1, Bytes(random() % 900, static_cast<char>('a' + random() % 26)));
        payloads.push_back(record.payload);
        const auto place = alive->append(std::span(&record, 1), own.after(5s));
        ASSERT_TRUE(place.ok());
        if (random() % 4 == 0)
          durable = alive->wait_durable(place->sequence, own.after(5s))->sequence;
      }
      own.disk.set({.writes_until_failure = 0});  // nothing more reaches the disk in this life
      durable = std::max(durable, alive->status().durable.sequence);
      alive.reset();
      own.disk.set({});
      own.disk.crash(random());
    }
  }
}

TEST_F(JournalRecovery, AFailedSyncIsFinalAndWhatItCoveredIsWrittenAgainByTheNextOpen) {
  open();
  commit_many(3);
  world.disk.set({.syncs_until_failure = 0, .failing_path = ".segment"});
  const Place place = append(data_record(9, Bytes(3000, 'x')));
  const auto waited = journal->wait_durable(place.sequence, soon());
  ASSERT_FALSE(waited.ok());
  EXPECT_EQ(waited.error().kind, ErrorKind::io);
  EXPECT_EQ(journal->status().health, Health::failed);
  EXPECT_EQ(journal->status().durable.sequence, Sequence(3));
  EXPECT_EQ(count_events("journal.failed"), 1U);
  const auto syncs = world.disk.counts().syncs;
  EXPECT_FALSE(journal->wait_durable(place.sequence, now()).ok());
  const Record more = data_record(10, "y");
  EXPECT_EQ(journal->append(std::span(&more, 1), now()).error().kind, ErrorKind::io);
  EXPECT_EQ(world.disk.counts().syncs, syncs);
  EXPECT_EQ(read_all().size(), 3U);
  reopen();
  // The kernel calls those pages clean; the journal must not believe it.
  const Sequence end = journal->status().durable.sequence;
  journal.reset();
  for (std::uint64_t seed = 0; seed < 5; ++seed) {
    world.disk.crash(seed);
    open();
    EXPECT_EQ(journal->status().durable.sequence, end);
    EXPECT_EQ(read_all().size(), end.value());
    journal.reset();
  }
}

TEST_F(JournalRecovery, AFailedOrShortWriteIsFinalAndLosesNothingDurable) {
  open();
  commit_many(3);
  world.disk.set({.writes_until_failure = 0, .failing_path = ".segment"});
  const Place place = append(data_record(9, Bytes(3000, 'x')));
  EXPECT_EQ(journal->wait_durable(place.sequence, soon()).error().kind, ErrorKind::io);
  EXPECT_EQ(journal->status().health, Health::failed);
  reopen();
  EXPECT_EQ(journal->status().durable.sequence, Sequence(3));
  EXPECT_EQ(count_events("journal.tail_cut"), 1U);
  EXPECT_EQ(commit(data_record(9, "y")).sequence, Sequence(4));
}

// A batch that meets a full disk has perhaps written whole segments. Making them anew for the
// second try would leave, if that fails too, an older segment without its records before a newer
// one.
TEST_F(JournalRecovery, ASecondTryAfterAFullDiskLeavesNoHole) {
  world.disk.set({.capacity = 100 * 1024});
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {.required = true}).ok());  // nothing is trimmed
  for (int i = 0; i < 150; ++i) append(data_record(++xid, Bytes(1000, 'x')));
  ASSERT_TRUE(eventually([&] { return journal->status().health == Health::full; }));
  world.disk.set({.writes_until_failure = 1, .failing_path = segment_paths().at(0)});
  ASSERT_TRUE(eventually([&] {
    const Status status = journal->status();
    return status.health == Health::failed || status.durable == status.written;
  }));
  world.disk.set({});
  reopen();
  const Sequence end = journal->status().durable.sequence;
  EXPECT_EQ(read_all().size(), end.value());
  EXPECT_EQ(journal->status().health, Health::good) << journal->status().reason;
}

}  // namespace
}  // namespace farshore::journal
