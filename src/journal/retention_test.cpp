#include "journal/retention.h"

#include <gmock/gmock.h>

#include <atomic>

#include "journal/journal_fixture.h"

namespace farshore::journal {
namespace {

using ::testing::HasSubstr;

const WallTime kNow{1000h};

// Ten segments of 100 records and 1000 bytes; segment i was appended i hours ago.
struct Case {
  std::vector<SegmentFacts> segments;
  std::vector<ConsumerFacts> consumers;
  Options options;
  RetentionFacts facts;

  Case() {
    for (std::uint64_t i = 0; i < 10; ++i)
      segments.push_back(
          {Sequence(i * 100 + 1), Sequence(i * 100 + 100), 1000, kNow - (10 - i) * 1h});
    options.keep = 0h;
    options.free_bytes_min = 100;
    facts.now = kNow;
    facts.free_bytes = 1'000'000;
  }
  RetentionDecision decide() {
    facts.segments = segments;
    facts.consumers = consumers;
    return decide_retention(facts, options);
  }
};

TEST(Retention, KeepsWhatTheSlowestConsumerNeeds) {
  Case c;
  c.consumers = {{"eu", Sequence(901), false}, {"ap", Sequence(301), false}};
  EXPECT_EQ(c.decide().remove, 3U);
  c.consumers[1].keep_from = Sequence(300);
  EXPECT_EQ(c.decide().remove, 2U);
}

TEST(Retention, NeverRemovesTheNewestSegment) {
  Case c;
  EXPECT_EQ(c.decide().remove, 9U);
  c.options.bytes_max = 1;
  EXPECT_EQ(c.decide().remove, 9U);
  EXPECT_NE(c.decide().full, "");
}

TEST(Retention, KeepsTheNewestPreambleUnlessSpaceIsShort) {
  Case c;
  c.facts.newest_preamble = Sequence(450);
  EXPECT_EQ(c.decide().remove, 4U);
  c.options.bytes_max = 4500;
  EXPECT_EQ(c.decide().remove, 6U);
}

TEST(Retention, NeverRemovesWhatIsNotDurableYet) {
  Case c;
  c.segments[4].settled = false;
  c.options.bytes_max = 1;
  EXPECT_EQ(c.decide().remove, 4U);
  EXPECT_EQ(c.decide().full, "");  // it can go as soon as it is written
  c.facts.disk_is_full = true;
  EXPECT_NE(c.decide().full, "");
}

TEST(Retention, KeepsForTheTimeAskedForAfterAllHavePassed) {
  Case c;
  c.options.keep = 4h;
  EXPECT_EQ(c.decide().remove, 7U);
  EXPECT_FALSE(c.decide().keep_shortened);
}

TEST(Retention, UnderPressureFirstTakesWhatOnlyKeepHolds) {
  Case c;
  c.options.keep = 100h;
  c.options.bytes_max = 8000;
  c.consumers = {{"eu", Sequence(951), false}};
  const auto decision = c.decide();
  EXPECT_EQ(decision.remove, 2U);
  EXPECT_TRUE(decision.keep_shortened);
  EXPECT_TRUE(decision.overtaken.empty());
  EXPECT_EQ(decision.full, "");
}

TEST(Retention, HoldIsFullAndNamesTheHolder) {
  Case c;
  c.options.bytes_max = 8000;
  c.consumers = {{"eu", Sequence(101), false}};
  const auto decision = c.decide();
  EXPECT_EQ(decision.remove, 1U);
  EXPECT_TRUE(decision.overtaken.empty());
  EXPECT_NE(decision.full.find("'eu'"), std::string::npos);
}

TEST(Retention, DropOvertakesTheSlowestOnesThatAreNotRequiredAsFarAsNeeded) {
  Case c;
  c.options.bytes_max = 7000;
  c.options.when_full = WhenFull::drop;
  c.consumers = {{"ap", Sequence(250), false},
                 {"eu", Sequence(950), true},
                 {"sa", Sequence(1), false},
                 {"us", Sequence(301), false}};
  const auto decision = c.decide();
  EXPECT_EQ(decision.remove, 3U);
  EXPECT_EQ(decision.overtaken, (std::vector<std::string>{"sa", "ap"}));
  EXPECT_EQ(decision.full, "");
}

TEST(Retention, DropNeverOvertakesARequiredOne) {
  Case c;
  c.options.bytes_max = 7000;
  c.options.when_full = WhenFull::drop;
  c.consumers = {{"ap", Sequence(50), false}, {"eu", Sequence(150), true}};
  const auto decision = c.decide();
  EXPECT_EQ(decision.remove, 1U);
  EXPECT_EQ(decision.overtaken, (std::vector<std::string>{"ap"}));
  EXPECT_NE(decision.full.find("'eu'"), std::string::npos);
}

TEST(Retention, AWaitingAppendAndFreeSpaceArePressureToo) {
  Case c;
  c.options.keep = 100h;
  c.options.bytes_max = 10'000;
  EXPECT_EQ(c.decide().remove, 0U);
  c.facts.wanted_bytes = 1500;
  EXPECT_EQ(c.decide().remove, 2U);
  c.facts.wanted_bytes = 0;
  c.options.free_bytes_min = 1'002'500;
  EXPECT_EQ(c.decide().remove, 3U);
  c.options.free_bytes_min = 0;
  c.facts.disk_is_full = true;
  EXPECT_EQ(c.decide().remove, 1U);
}

class JournalRetention : public JournalFixture {
 protected:
  void trim() {
    const auto trimmed = journal->trim();
    EXPECT_TRUE(trimmed.ok()) << (trimmed.ok() ? "" : trimmed.error().what);
  }
  // Records that the consumer "slow" needs, which may be overtaken.
  void commit_for_slow() {
    options.when_full = WhenFull::drop;
    open();
    ASSERT_TRUE(journal->set_consumer("slow", {}).ok());
    commit_many(2000);
  }
  Sequence first() { return journal->status().first.sequence; }
  ConsumerPlaces at(std::uint64_t applied, bool required = false) {
    return {Sequence(applied), Sequence(applied + 1), required};
  }
};

TEST_F(JournalRetention, RemovesWhatBothConsumersHavePassed) {
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  ASSERT_TRUE(journal->set_consumer("ap", {}).ok());
  commit_many(2000);
  trim();
  EXPECT_EQ(first(), Sequence(1));
  ASSERT_TRUE(journal->set_consumer("eu", at(1900)).ok());
  trim();
  EXPECT_EQ(first(), Sequence(1));
  ASSERT_TRUE(journal->set_consumer("ap", at(1000)).ok());
  trim();
  EXPECT_GT(first(), Sequence(500));
  EXPECT_LE(first(), Sequence(1001));
  EXPECT_EQ(read_all(1001).size(), 1000U);
  const auto reader = journal->reader(first().previous());
  ASSERT_FALSE(reader.ok());
  EXPECT_EQ(reader.error().kind, ErrorKind::overtaken);
  EXPECT_NE(reader.error().what.find(fmt::format("begins at 1:{}", first())), std::string::npos);
  EXPECT_EQ(journal->hash_at(Sequence(5)).error().kind, ErrorKind::overtaken);
  EXPECT_TRUE(journal->hash_at(first().previous()).ok());
  reopen();
  EXPECT_EQ(*journal->consumer("eu"), at(1900));
  EXPECT_EQ(*journal->consumer("ap"), at(1000));
  EXPECT_EQ(read_all(1001).size(), 1000U);
  ASSERT_TRUE(journal->remove_consumer("ap").ok());
  trim();
  EXPECT_GT(first(), Sequence(1300));
  EXPECT_EQ(journal->consumers().size(), 1U);
}

TEST_F(JournalRetention, KeepsThePreambleBeforeTheRestartPlace) {
  open();
  commit_many(100);
  const Place preamble = commit(record_of(RecordKind::preamble));
  commit_many(2000);
  ASSERT_TRUE(journal->set_consumer("eu", at(2000)).ok());
  trim();
  EXPECT_LE(first(), preamble.sequence);
  commit(record_of(RecordKind::preamble));
  commit_many(2000);
  ASSERT_TRUE(journal->set_consumer("eu", at(2050)).ok());
  trim();
  EXPECT_LE(first(), preamble.sequence);
  ASSERT_TRUE(journal->set_consumer("eu", at(3000)).ok());
  trim();
  EXPECT_GT(first(), preamble.sequence);
  EXPECT_LE(first(), Sequence(2102));
}

TEST_F(JournalRetention, KeepsNoPreambleForConsumersThatOnlyShip) {
  options.keep_preambles = false;
  options.bytes_max = 256_KiB;
  open();
  commit(record_of(RecordKind::preamble));
  ASSERT_TRUE(journal->set_consumer("eu", {.required = true}).ok());
  Record part = data_record(7, Bytes(1000, 'x'), true, false);
  part.flags.streamed = true;
  for (int i = 0; i < 1000; ++i, part.flags.first = false) {  // one open transaction, without end
    const Place place = commit(part);
    ASSERT_TRUE(journal->set_consumer("eu", at(place.sequence.value(), true)).ok());
  }
  EXPECT_GT(first(), Sequence(500));
  EXPECT_EQ(*journal->first_preamble(), std::nullopt);
}

TEST_F(JournalRetention, NamesTheOpenTransactionThatFillsIt) {
  options.bytes_max = 256_KiB;
  for (const bool streamed : {true, false}) {  // as it is written, or whole behind its commit
    SCOPED_TRACE(streamed);
    if (journal) {
      ASSERT_TRUE(journal->clear().ok());
    } else {
      open();
    }
    const Place begin = commit(record_of(RecordKind::preamble));
    ASSERT_TRUE(journal->set_consumer("apply", at(begin.sequence.value())).ok());
    commit(data_record(6, "row"));
    Record part = data_record(7, Bytes(1000, 'x'), true, false);
    part.flags.streamed = streamed;
    Result<Place> place = Place{};
    for (; place.ok(); part.flags.first = false)
      place = journal->append(std::span(&part, 1), world.after(500ms));
    EXPECT_THAT(place.error().what,
                HasSubstr("'apply' still needs what begins at sequence 1: transaction 7 of the "
                          "source began there, 2"));
    EXPECT_THAT(journal->status().reason, HasSubstr("KiB of it have come, and its end has not"));
  }
}

TEST_F(JournalRetention, KeepsByTheTimeOfAppending) {
  options.keep = 24h;
  open();
  commit_many(2000);
  trim();
  EXPECT_EQ(first(), Sequence(1));
  world.wall_offset = 25h;
  trim();
  EXPECT_GT(first(), Sequence(1000));
  EXPECT_EQ(count_events("journal.keep_shortened"), 0U);
}

TEST_F(JournalRetention, SizeShortensKeepAndSaysSoOnce) {
  options.keep = 24h;
  options.bytes_max = 256_KiB;
  open();
  commit_many(5000);
  EXPECT_LE(journal->status().bytes, options.bytes_max);
  EXPECT_EQ(count_events("journal.keep_shortened"), 1U);
  EXPECT_EQ(count_events("journal.full"), 0U);
  EXPECT_EQ(read_all(first().value()).back().place.sequence, Sequence(5000));
}

TEST_F(JournalRetention, SaysWhenThereIsRoomForAllOfKeepAgain) {
  options.keep = 24h;
  options.bytes_max = 256_KiB;
  open();
  commit_many(5000);
  ASSERT_TRUE(eventually([&] { return count_events("journal.keep_shortened") == 1; }));
  EXPECT_EQ(count_events("journal.keep_restored"), 0U);
  world.wall_offset = 25h;  // all that is kept is older than `keep`: the limit presses no more
  trim();
  EXPECT_EQ(count_events("journal.keep_restored"), 1U);
  EXPECT_EQ(count_events("journal.keep_shortened"), 1U);
}

TEST_F(JournalRetention, HoldMakesAppendWaitUntilTheConsumerGoesOn) {
  options.bytes_max = 256_KiB;
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  const Record record = data_record(1, Bytes(1000, 'x'));
  Result<Place> place = Place{};
  while ((place = journal->append(std::span(&record, 1), world.after(200ms))).ok()) {
  }
  EXPECT_EQ(place.error().kind, ErrorKind::disk_full);
  EXPECT_NE(place.error().what.find("'eu'"), std::string::npos) << place.error().what;
  const Status status = journal->status();
  EXPECT_EQ(status.health, Health::full);
  EXPECT_EQ(status.first.sequence, Sequence(1));
  EXPECT_LE(status.bytes, options.bytes_max);
  EXPECT_EQ(count_events("journal.full"), 1U);
  for (const std::string& told : {place.error().what, event_text("journal.full")})
    EXPECT_NE(told.find("raise journal.max, free space (below journal.free_min"), std::string::npos)
        << told;
  EXPECT_FALSE(journal->append(std::span(&record, 1), world.after(1500ms)).ok());
  EXPECT_EQ(count_events("journal.full"), 1U);
  os::Thread consumer("consumer", [&](std::stop_token) {
    ASSERT_TRUE(journal->set_consumer("eu", at(status.written.sequence.value())).ok());
  });
  EXPECT_EQ(append(record).sequence, status.written.sequence.next());
  EXPECT_TRUE(eventually([&] { return journal->status().health == Health::good; }));
  EXPECT_TRUE(eventually([&] { return count_events("journal.full_over") == 1; }));
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 0U);
}

TEST_F(JournalRetention, AnAppendThatDoesNotWaitIsToldOfTheLimitToo) {
  options.bytes_max = 256_KiB;
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  const Record record = data_record(1, Bytes(1000, 'x'));
  Result<Place> place = Place{};
  while (place.ok()) place = journal->append(std::span(&record, 1), Deadline::passed());
  EXPECT_EQ(place.error().kind, ErrorKind::disk_full);
  EXPECT_NE(place.error().what.find("journal.max (256KiB) is reached"), std::string::npos)
      << place.error().what;
}

TEST_F(JournalRetention, DropOvertakesTheOptionalOneWithAClearErrorAndNeverAGap) {
  options.bytes_max = 256_KiB;
  options.when_full = WhenFull::drop;
  open();
  ASSERT_TRUE(journal->set_consumer("slow", {}).ok());
  commit_many(10, 1000);
  auto reader = *journal->reader(Sequence(1));
  EXPECT_EQ(reader->next(1, soon())->size(), 1U);
  auto cursor = *journal->cursor(Sequence(1), Sequence(0));
  ASSERT_TRUE(cursor->next(soon())->has_value());
  commit_many(500, 1000);
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 1U);
  EXPECT_NE(event_text("journal.consumer_overtaken").find("'slow'"), std::string::npos);
  EXPECT_EQ(count_events("journal.full"), 0U);
  EXPECT_EQ(reader->next(1_MiB, soon()).error().kind, ErrorKind::overtaken);
  ErrorKind kind = ErrorKind::invalid;
  for (int i = 0; i < 20 && kind == ErrorKind::invalid; ++i)
    if (const auto item = cursor->next(soon()); !item) kind = item.error().kind;
  EXPECT_EQ(kind, ErrorKind::overtaken);
  EXPECT_EQ(journal->cursor(Sequence(2), Sequence(1)).error().kind, ErrorKind::overtaken);
  EXPECT_EQ(journal->cursor(Sequence(0), Sequence(1)).error().kind, ErrorKind::overtaken);
  EXPECT_EQ(journal->set_consumer("slow", at(1)).error().kind, ErrorKind::overtaken);
  reopen();
  EXPECT_EQ(journal->consumer("slow")->restart, Sequence(1));
  EXPECT_EQ(journal->cursor(journal->consumer("slow")->restart, Sequence(0)).error().kind,
            ErrorKind::overtaken);
  ASSERT_TRUE(journal->set_consumer("slow", at(510)).ok());
}

// Between the decision and the removal the disk works, and consumers come and go.
TEST_F(JournalRetention, AConsumerAcceptedWhileTrimmingIsNotTrimmedPast) {
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  commit_many(2000);
  ASSERT_TRUE(journal->set_consumer("eu", at(1900)).ok());
  world.disk.set({.seen = [&](std::string_view what, const std::string& path) {
    if (what != "rename" || path != kFolder + "/consumers") return;
    EXPECT_TRUE(journal->set_consumer("late", {}).ok());
  }});
  trim();
  world.disk.set({});
  ASSERT_TRUE(journal->consumer("late"));
  EXPECT_LE(first(), journal->consumer("late")->restart);
  EXPECT_TRUE(journal->cursor(journal->consumer("late")->restart, Sequence(0)).ok());
}

TEST_F(JournalRetention, AConsumerThatWasRemovedIsNotBroughtBackAsOvertaken) {
  commit_for_slow();
  options.bytes_max = 128_KiB;
  reopen();                           // the indexes are read again
  std::atomic<bool> reading = false;  // the trim reads one, and so may the scrub
  os::Thread remover("remover", [&](std::stop_token) {
    EXPECT_TRUE(eventually([&] { return reading.load(); }));
    (void)journal->remove_consumer("slow");
  });
  world.disk.set({.seen = [&](std::string_view what, const std::string& path) {
    if (what != "open" || !path.ends_with(".index")) return;
    reading = true;
    EXPECT_TRUE(eventually([&] { return !journal->consumer("slow"); }));
  }});
  trim();
  remover.join();
  world.disk.set({});
  EXPECT_FALSE(journal->consumer("slow"));
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 0U);
}

TEST_F(JournalRetention, DropHoldsForARequiredConsumer) {
  options.bytes_max = 256_KiB;
  options.when_full = WhenFull::drop;
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {Sequence(0), Sequence(1), true}).ok());
  const Record record = data_record(1, Bytes(1000, 'x'));
  Result<Place> place = Place{};
  while ((place = journal->append(std::span(&record, 1), world.after(200ms))).ok()) {
  }
  EXPECT_EQ(place.error().kind, ErrorKind::disk_full);
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 0U);
  EXPECT_EQ(first(), Sequence(1));
}

TEST_F(JournalRetention, LittleFreeSpaceIsFullUntilThereIsMore) {
  options.free_bytes_min = 100_KiB;
  options.keep = 24h;
  world.disk.set({.capacity = 1_MiB});
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  const Record record = data_record(1, Bytes(1000, 'x'));
  Result<Place> place = Place{};
  for (int i = 0; i < 100'000 && place.ok(); ++i) {
    place = journal->append(std::span(&record, 1), world.after(200ms));
    if (i % 100 == 99) trim();
  }
  ASSERT_FALSE(place.ok());
  EXPECT_EQ(place.error().kind, ErrorKind::disk_full);
  EXPECT_EQ(journal->status().health, Health::full);
  world.disk.set({.capacity = 10_MiB});
  EXPECT_TRUE(eventually([&] { return journal->status().health == Health::good; }));
  EXPECT_TRUE(eventually([&] { return count_events("journal.full_over") == 1; }));
  append(record);
}

TEST_F(JournalRetention, AFullDiskUnderAWriteIsWaitedOutAndNothingIsLost) {
  open();
  commit_many(20);
  const auto paths = world.disk.paths();
  std::uint64_t used = 0;
  for (const std::string& path : paths) used += world.disk.read(path).size();
  world.disk.set({.capacity = used + 700});
  const Place place = append(data_record(77, Bytes(2000, 'x')));
  EXPECT_EQ(journal->wait_durable(place.sequence, world.after(1500ms)).error().kind,
            ErrorKind::timeout);
  EXPECT_EQ(journal->status().durable.sequence, Sequence(20));
  EXPECT_EQ(journal->status().health, Health::full);
  EXPECT_EQ(count_events("journal.full"), 1U);
  EXPECT_EQ(count_events("journal.failed"), 0U);
  world.disk.set({});
  EXPECT_EQ(journal->wait_durable(place.sequence, soon())->sequence, place.sequence);
  EXPECT_TRUE(eventually([&] { return journal->status().health == Health::good; }));
  EXPECT_TRUE(eventually([&] { return count_events("journal.full_over") == 1; }));
  reopen();
  EXPECT_EQ(read_all().size(), 21U);
  EXPECT_EQ(count_events("journal.tail_cut"), 0U);
}

TEST_F(JournalRetention, AFullDiskUnderAWriteWithDropOvertakesAndGoesOn) {
  commit_for_slow();
  std::uint64_t used = 0;
  for (const std::string& path : world.disk.paths()) used += world.disk.read(path).size();
  world.disk.set({.capacity = used + 700});
  const Place place = append(data_record(77, Bytes(2000, 'x')));
  EXPECT_EQ(journal->wait_durable(place.sequence, soon())->sequence, place.sequence);
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 1U);
}

// After a crash a consumer without the mark would go on behind a gap.
TEST_F(JournalRetention, NothingGoesBeforeTheMarkOfWhoNeedsItIsSaved) {
  commit_for_slow();
  options.bytes_max = 128_KiB;
  reopen();
  world.disk.set({.capacity = 1});
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(journal->trim().error().kind, ErrorKind::disk_full);
    EXPECT_EQ(first(), Sequence(1));
    EXPECT_FALSE(journal->overtaken("slow"));
  }
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 0U);
  world.disk.set({});
  trim();
  EXPECT_GT(first(), Sequence(1));
  EXPECT_TRUE(journal->overtaken("slow"));
  EXPECT_EQ(count_events("journal.consumer_overtaken"), 1U);
}

TEST_F(JournalRetention, OnADiskWithoutAnyRoomTheIndexesOfWhatGoesMakeRoomForTheMark) {
  commit_for_slow();
  options.bytes_max = 128_KiB;
  reopen();
  std::uint64_t used = 0;
  for (const std::string& path : world.disk.paths()) used += world.disk.read(path).size();
  world.disk.set({.capacity = used});
  trim();
  EXPECT_GT(first(), Sequence(1));
  EXPECT_TRUE(journal->overtaken("slow"));
}

TEST_F(JournalRetention, ConsumersAreSavedWithinASecondAndRefusedWhenTheyMakeNoSense) {
  open();
  commit_many(10);
  ASSERT_TRUE(journal->set_consumer("eu", at(7, true)).ok());
  EXPECT_TRUE(eventually(
      [&] {
        const auto paths = world.disk.paths();
        return std::count(paths.begin(), paths.end(), kFolder + "/consumers") == 1;
      },
      200));
  EXPECT_EQ(journal->set_consumer("eu", {Sequence(3), Sequence(12)}).error().kind,
            ErrorKind::invalid);
  EXPECT_EQ(journal->set_consumer("", at(1)).error().kind, ErrorKind::invalid);
  EXPECT_EQ(journal->remove_consumer("nobody").error().kind, ErrorKind::not_found);
  EXPECT_EQ(*journal->consumer("eu"), at(7, true));
}

TEST_F(JournalRetention, AnOldConsumersFileAfterATrimIsNoGap) {
  open();
  ASSERT_TRUE(journal->set_consumer("eu", {}).ok());
  commit_many(2000);
  journal->close();
  const Bytes old = world.disk.read(kFolder + "/consumers");
  reopen();
  ASSERT_TRUE(journal->set_consumer("eu", at(1900)).ok());
  trim();
  const Sequence kept = first();
  journal.reset();
  world.disk.change(kFolder + "/consumers", [&](Bytes& bytes) { bytes = old; });
  open();
  EXPECT_EQ(journal->consumer("eu")->restart, kept);
}

}  // namespace
}  // namespace farshore::journal
