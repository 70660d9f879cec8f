#include "pipeline/messages.h"

#include <gmock/gmock.h>

#include "base/checksum.h"
#include "base/test_golden.h"
#include "change/record_codec.h"
#include "os/real/real_world.h"
#include "os/thread.h"
#include "pipeline/backlog_meter.h"
#include "pipeline/commit_positions.h"
#include "pipeline/commit_waits.h"
#include "pipeline/lag_gauge.h"
#include "pipeline/stopper.h"
#include "pipeline/totals.h"

namespace farshore::pipeline {
namespace {

constexpr std::size_t kPauseAtBytes = 8;  // of an Ack's end

std::vector<Message> samples() {
  const PlacedRecord placed{
      {Epoch(1), Sequence(7)}, 99, {.kind = RecordKind::data, .xid = 5, .payload = "abc"}};
  PlacedRecord next{{Epoch(1), Sequence(8)}, 0, {.kind = RecordKind::heartbeat}};
  Bytes encoded;
  encode_record(next.record, encoded);
  next.hash = chain_hash(placed.hash, encoded);
  const SourceTable table{"public.t", 10, 1000, "{}"};
  return {Hello{.stream = Uuid::from_random(1, 2),
                .name = "orders",
                .epoch = Epoch(3),
                .definition = "d"},
          Welcome{.durable = {Epoch(1), Sequence(9)},
                  .hash = 77,
                  .position = {"pos"},
                  .session = 4,
                  .history = {{Epoch(1), Sequence(1), "id"}},
                  .copied = true},
          Refuse{ErrorKind::conflict, Retry::yes, "no"},
          Begin{.next = {Epoch(1), Sequence(10)}, .hash_before = 77, .history = {}},
          Records{{placed, next}},
          Ack{.durable = {Epoch(1), Sequence(9)},
              .applied = Sequence(8),
              .state = State::streaming,
              .reason = "r",
              .pause_at = WallTime(7s)},
          Fetch{Sequence(1), Sequence(2)},
          Fetched{{placed}},
          Verb{Uuid::from_random(1, 2), Epoch(3), "pause", "now"},
          VerbDone{"x"},
          Prepare{.shared_definitions = "s", .tables = {table}, .existing = ExistingRows::keep},
          Prepared{{{"public.t", TableState::copied, 10}}},
          CopyDone{},
          Completed{},
          TableBegin{.table = table},
          Chunk{"bytes"},
          TableEnd{"mark", 3},
          TableCopied{},
          CopyAsk{{table}, Sequence(7)},
          CopyMissing{{"public.t"}, true},
          Overtaken{"trimmed"}};
}

TEST(Messages, EachIsReadAsItWasWritten) {
  for (const Message& message : samples()) {
    const Bytes bytes = encode(message);
    auto decoded = decode(bytes);
    ASSERT_TRUE(decoded.ok()) << message.index();
    EXPECT_EQ(decoded->index(), message.index());
    EXPECT_EQ(encode(*decoded), bytes);
  }
}

TEST(Messages, AreReadAndWrittenAsVersion1Was) {
  Bytes all;
  for (const Message& message : samples()) ByteWriter(all).string32(encode(message));
  const Bytes golden = golden_file("ship/1/messages.bin", all);
  EXPECT_EQ(golden, all);
  ByteReader in(golden);
  for (const Message& message : samples()) {
    const auto decoded = decode(in.string32());
    ASSERT_TRUE(decoded.ok()) << message.index();
    EXPECT_EQ(encode(*decoded), encode(message));
  }
}

TEST(Messages, WhatANewerVersionAddsBehindTheFieldsIsPassedOver) {
  for (const Message& message : samples()) {
    const auto decoded = decode(encode(message) + "new");
    ASSERT_TRUE(decoded.ok()) << message.index();
    EXPECT_EQ(encode(*decoded), encode(message));
  }
}

TEST(Messages, AnAckOfABuildThatKnowsNoPauseToComeIsRead) {
  const Bytes bytes = encode(samples()[5]);
  const auto older = decode(ByteView(bytes).substr(0, bytes.size() - kPauseAtBytes));
  ASSERT_TRUE(older.ok()) << older.error().what;
  EXPECT_EQ(std::get<Ack>(*older).reason, "r");
  EXPECT_EQ(std::get<Ack>(*older).pause_at, WallTime{});
  EXPECT_EQ(std::get<Ack>(*decode(bytes)).pause_at, WallTime(7s));
}

TEST(Messages, EveryTruncationIsRefused) {
  for (const Message& message : samples()) {
    const Bytes bytes = encode(message);
    const bool grown = std::holds_alternative<Ack>(message);
    for (std::size_t size = 0; size < bytes.size(); ++size)
      EXPECT_EQ(decode(ByteView(bytes).substr(0, size)).ok(),
                grown && size == bytes.size() - kPauseAtBytes)
          << message.index() << " at " << size;
  }
}

TEST(Messages, AnotherVersionAndAnUnknownTypeAreRefused) {
  Bytes bytes = encode(CopyDone{});
  bytes[0] = 9;
  EXPECT_FALSE(decode(bytes).ok());
  bytes[0] = 1;
  bytes[1] = 99;
  EXPECT_FALSE(decode(bytes).ok());
}

TEST(Messages, AWordThatIsNotKnownIsNamed) {
  const auto refused = [](const Message& message) {
    const auto decoded = decode(encode(message));
    return decoded.ok() ? "taken" : decoded.error().what;
  };
  EXPECT_EQ(refused(Refuse{ErrorKind(12), Retry::no, "no"}),
            "a message of type 2: its error kind is 12, this build knows 0 to 11");
  EXPECT_EQ(refused(Refuse{ErrorKind(-1), Retry::no, "no"}),
            "a message of type 2: its error kind is 4294967295, this build knows 0 to 11");
  EXPECT_EQ(refused(Refuse{ErrorKind::io, Retry(2), "no"}),
            "a message of type 2: its retry is 2, this build knows 0 to 1");
  EXPECT_EQ(refused(Prepare{.existing = ExistingRows(3)}),
            "a message of type 10: its policy for existing rows is 3, this build knows 0 to 2");
  EXPECT_EQ(refused(Prepared{{{"public.t", TableState(5), 10}}}),
            "a message of type 11: its state of a table is 5, this build knows 0 to 4");
  EXPECT_EQ(refused(Ack{.state = State(9)}),
            "a message of type 5: its state of a leg is 9, this build knows 0 to 8");
}

TEST(Messages, AListThatClaimsMoreThanThereIsIsRefused) {
  Bytes bytes = encode(Records{});
  bytes[2] = bytes[3] = '\xff';
  EXPECT_FALSE(decode(bytes).ok());
}

TEST(Messages, RecordsThatContradictTheirHashAreNamed) {
  auto records = std::get<Records>(samples()[4]);
  records.records.back().hash ^= 1;
  EXPECT_THAT(decode(encode(records)).error().what, testing::HasSubstr("records 1:7 to 1:8"));
}

TEST(Totals, AreReadAsTheyWereWrittenAndDamageIsSeen) {
  const std::vector<StreamTotals> totals{{.stream = Uuid::from_random(1, 2),
                                          .name = "orders",
                                          .captured = {Epoch(1), Sequence(5)},
                                          .source_position = "0/16B3748",
                                          .commit_time = WallTime(5s),
                                          .transactions = 1,
                                          .changes = 2,
                                          .bytes = 3,
                                          .open_transactions = 4}};
  Bytes bytes = encode_totals(totals);
  auto decoded = decode_totals(bytes);
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(decoded->at(0).source_position, "0/16B3748");
  EXPECT_EQ(encode_totals(*decoded), bytes);
  bytes[10] ^= 1;
  EXPECT_FALSE(decode_totals(bytes).ok());
}

TEST(Totals, APeerThatNamesNoStreamYetTakesNothingBack) {
  const std::unique_ptr<os::World> owned = os::make_real_world(std::nullopt);
  os::World& world = *owned;
  const std::string path = testing::TempDir() + "/farshore-totals-test";
  (void)world.files().remove(path);
  {
    TotalsKeeper keeper(world, path, {});
    keeper.received(encode_totals({{.name = "orders", .transactions = 7}}));
    keeper.received(encode_totals({}));
    os::Thread thread("totals", [&](std::stop_token stop) { keeper.run(stop); });
    for (int tries = 0; tries < 100 && !read_file(world.files(), path).ok(); ++tries)
      Stopper(world).wait({}, 50ms);
  }
  TotalsKeeper again(world, path, {});
  ASSERT_TRUE(again.of("orders"));
  EXPECT_EQ(again.of("orders")->transactions, 7U);
}

TEST(LagGauge, IsUnknownUntilSomethingPassesAndThenGrowsWithTheClock) {
  LagGauge gauge;
  EXPECT_FALSE(gauge.read(WallTime(10s)).age);
  gauge.advance(WallTime(10s), WallTime(11s));
  EXPECT_EQ(gauge.read(WallTime(11s)).transit, 1s);
  EXPECT_EQ(gauge.read(WallTime(70s)).age, 60s);
  EXPECT_EQ(gauge.read(WallTime(70s)).transit, 1s);
}

TEST(LagGauge, AnOlderCommitDoesNotMakeItYounger) {
  LagGauge gauge;
  gauge.advance(WallTime(10s), WallTime(10s));
  gauge.advance(WallTime(9s), WallTime(20s));
  EXPECT_EQ(gauge.read(WallTime(20s)).age, 10s);
}

TEST(LagGauge, IsOfTheClockThatTheCommitTimesAreOf) {
  LagGauge gauge;
  gauge.advance(WallTime(40s), WallTime(11s));  // ours is 30 s behind
  const Lag lag = gauge.read(WallTime(15s), 30s);
  EXPECT_EQ(lag.transit, 1s);
  EXPECT_EQ(lag.age, 5s);
}

TEST(LagGauge, IsNeverNegative) {
  LagGauge gauge;
  gauge.advance(WallTime(40s), WallTime(10s));
  const Lag lag = gauge.read(WallTime(10s), 30s - 1ms);  // off by less than can be measured
  EXPECT_EQ(lag.transit, 0s);
  EXPECT_EQ(lag.age, 0s);
}

TEST(CommitPositions, AnswersTheNewestThatIsDurable) {
  CommitPositions positions;
  positions.add(Sequence(1), {.position = {"a"}});
  positions.add(Sequence(2), {});
  positions.add(Sequence(3), {.position = {"c"}});
  EXPECT_EQ(positions.through(Sequence(2))->position.bytes, "a");
  EXPECT_FALSE(positions.through(Sequence(2)));
  EXPECT_EQ(positions.through(Sequence(9))->position.bytes, "c");
}

TEST(CommitWaits, AreCountedWhenTheyEndByHowLongTheyTook) {
  CommitWaits waits;
  const MonotonicTime start{100s};
  waits.received(Sequence(3), start);
  waits.received(Sequence(7), start + 10ms);
  EXPECT_EQ(waits.histogram().count(), 0U);
  waits.acknowledged(Sequence(6), start + 2ms);
  waits.acknowledged(Sequence(7), start + 60ms);
  const auto histogram = waits.histogram();
  EXPECT_EQ(histogram.ended[1], 1U);  // up to 2 ms
  EXPECT_EQ(histogram.ended[5], 1U);  // up to 50 ms
  EXPECT_EQ(histogram.count(), 2U);
  EXPECT_EQ(histogram.sum, 52ms);
}

TEST(CommitWaits, AnAcknowledgementThatOvertakesTheNoteEndsTheWait) {
  CommitWaits waits;
  waits.acknowledged(Sequence(9), MonotonicTime{11s});
  waits.received(Sequence(8), MonotonicTime{10s});
  EXPECT_EQ(waits.histogram().sum, 1s);
}

TEST(CommitWaits, OfALongOutageNoneIsLostAndNoneIsCountedShorterThanItWas) {
  CommitWaits waits;
  constexpr std::uint64_t kMany = CommitWaits::kPendingMax * 8 + 3;
  Duration exact{};
  for (std::uint64_t i = 1; i <= kMany; ++i) {
    waits.received(Sequence(i), MonotonicTime{1s * i});
    exact += 1s * (kMany - i);
  }
  waits.acknowledged(Sequence(kMany), MonotonicTime{1s * kMany});
  const auto histogram = waits.histogram();
  EXPECT_EQ(histogram.count(), kMany);
  EXPECT_GE(histogram.sum, exact);
  EXPECT_LT(histogram.sum, exact + exact / 100);
  EXPECT_GT(histogram.ended.back(), 0U);
}

TEST(BacklogMeter, CountsWhatCameAfterAndIsUnknownBelowItsOldestMark) {
  BacklogMeter meter;
  EXPECT_FALSE(meter.after(Sequence(5)));
  meter.note(Sequence(10), {1, 10, 100});
  meter.note(Sequence(20), {2, 20, 200});
  EXPECT_EQ(meter.after(Sequence(20))->changes, 0U);
  EXPECT_EQ(meter.after(Sequence(10))->changes, 10U);
  EXPECT_EQ(meter.after(Sequence(9))->changes, 20U);
  EXPECT_FALSE(meter.after(Sequence(3)));
}

}  // namespace
}  // namespace farshore::pipeline
