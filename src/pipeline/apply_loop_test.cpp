#include "pipeline/apply_loop.h"

#include <gmock/gmock.h>

#include "base/test_golden.h"
#include "change/record_codec.h"
#include "journal/journal_fixture.h"

namespace farshore::pipeline {
namespace {

using journal::data_record;
using journal::record_of;
using ::testing::HasSubstr;

// Takes everything but one transaction.
class PickySink final : public Sink {
 public:
  explicit PickySink(os::World& world) : world_(world) {}

  Result<Sequence> open(const Uuid&, Epoch) override {
    ++opens;
    os::Lock lock(mutex_);
    changed_.wait(lock, world_.after(10s), [&] { return !shut_; });
    return through_ = recorded_;
  }
  Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) override {
    ++calls;
    FARSHORE_TRY_ASSIGN(const auto item, cursor.next(deadline));
    os::Lock lock(mutex_);
    const bool news = item && item->place.sequence > through_;
    if (news && item->kind == RecordKind::data && item->xid == refused_)
      return permanent(ErrorKind::rejected, "transaction {} is refused", item->xid);
    if (news) through_ = item->place.sequence;
    if (news && (item->kind != RecordKind::data || item->xid != without_effect_))
      recorded_ = through_;
    return Applied{.through = through_, .durable = through_, .recorded = recorded_};
  }
  Result<void> skip(const CursorItem& item) override {
    os::Lock lock(mutex_);
    if (!skips_apart) through_ = recorded_ = item.place.sequence;
    skipped_.push_back(item.xid);
    return {};
  }
  void listed(TablesListed) override {}
  void interrupt() override {}
  void close() override {}

  void refuse(std::uint64_t xid) {
    os::Lock lock(mutex_);
    refused_ = xid;
  }
  // It is passed over: all that follows it is as durable as what was before.
  void has_no_effect(std::uint64_t xid) {
    os::Lock lock(mutex_);
    without_effect_ = xid;
  }
  // As after a restore from a backup: its next session begins there.
  void restore(Sequence through) {
    os::Lock lock(mutex_);
    recorded_ = through;
  }
  Sequence recorded() const {
    os::Lock lock(mutex_);
    return recorded_;
  }
  void shut(bool shut) {  // open() waits
    os::Lock lock(mutex_);
    shut_ = shut;
    changed_.notify_all();
  }
  std::vector<std::uint64_t> skipped() const {
    os::Lock lock(mutex_);
    return skipped_;
  }

  std::atomic<int> opens = 0, calls = 0;  // of open() and apply()
  std::atomic<bool> skips_apart = false;

 private:
  os::World& world_;
  mutable os::Mutex mutex_;
  os::CondVar changed_;
  std::uint64_t refused_ = 0, without_effect_ = 0;
  bool shut_ = false;
  Sequence through_, recorded_;  // a new session begins at what is recorded
  std::vector<std::uint64_t> skipped_;
};

class SkipTest : public journal::JournalFixture {
 protected:
  void SetUp() override {
    open();
    ASSERT_TRUE(journal->set_consumer(ApplyLoop::kConsumer, {}).ok());
    loop.emplace(world, sink_of_target, *journal, board,
                 ApplyLoop::Options{.stream_name = "app",
                                    .site = "app-eu",
                                    .stream = {},
                                    .skip_folder = "/skipped",
                                    .terms =
                                        [this] {
                                          return TargetTerms{.apply_delay = delay,
                                                             .difference = differs ? "to" : ""};
                                        }},
                 [](const Error&) {});
    thread = os::Thread("apply", [this](std::stop_token stop) { loop->run(stop); });
  }
  void TearDown() override {
    sink_of_target.shut(false);
    thread.request_stop();
    thread.join();
  }
  Place transaction() { return commit(data_record(++xid, "row")); }
  Place heartbeat() { return commit(record_of(RecordKind::heartbeat)); }
  bool applied(Place place) {
    return eventually([&] { return loop->stats().applied >= place.sequence; }, 300);
  }
  bool shows(State state) {
    return eventually([&] { return board.state() == state; }, 300);
  }
  Result<void> skip(Place place, Duration wait = 5s) {
    return loop->skip(place, world.after(wait));
  }
  std::size_t count_states(const std::string& message) {
    const os::Lock lock(events_mutex);
    return static_cast<std::size_t>(std::ranges::count_if(
        events, [&](const Event& e) { return e.name == "stream.state" && e.message == message; }));
  }
  // What was saved of the transaction that was skipped at this place.
  Bytes saved_bytes(Place place) {
    const auto bytes = os::read_file(
        world.files(), fmt::format("/skipped/{}-{}.records", place.epoch, place.sequence));
    if (!bytes.ok()) ADD_FAILURE() << bytes.error().what;
    return bytes.ok() ? *bytes : Bytes();
  }
  std::vector<Record> saved(Place place) { return records_in(saved_bytes(place)); }
  static std::vector<Record> records_in(const Bytes& bytes) {
    std::vector<Record> records;
    for (ByteReader in(bytes); in.left() > 0 && !in.failed();) {
      const auto record = decode_record(in.string32());
      if (!record.ok()) return ADD_FAILURE() << record.error().what, records;
      records.push_back(*record);
    }
    return records;
  }
  static Place after(Place place, std::uint64_t count) {
    return {place.epoch, Sequence(place.sequence.value() + count)};
  }

  std::atomic<Duration> delay{Duration::zero()};
  std::atomic<bool> differs{false};
  PickySink sink_of_target{world};
  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "eu-west-1"}};
  std::optional<ApplyLoop> loop;
  os::Thread thread;
};

TEST_F(SkipTest, IsRefusedAtOnceWhileTheLegStreamsAndApplyingGoesOn) {
  const Place first = transaction();
  ASSERT_TRUE(applied(first));
  const MonotonicTime asked = world.now();
  const auto refused = skip(after(first, 2));
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().what, HasSubstr("neither failed nor paused"));
  EXPECT_THAT(refused.error().what,
              HasSubstr("`farshore stream pause app --to app-eu --region eu-west-1`"));
  EXPECT_LT(world.now() - asked, 1s);
  EXPECT_TRUE(applied(heartbeat()));
  EXPECT_TRUE(applied(transaction()));  // at the place that was named
  EXPECT_THAT(sink_of_target.skipped(), ::testing::IsEmpty());
}

TEST_F(SkipTest, PassesOverTheTransactionThatTheLegFailedOf) {
  sink_of_target.refuse(2);
  transaction();
  heartbeat();
  const Place bad = transaction();
  ASSERT_TRUE(shows(State::failed));
  EXPECT_EQ(board.get().remedy,
            "repair the cause, then `farshore stream resume app --to app-eu --region eu-west-1`");
  const auto done = skip(bad);
  ASSERT_TRUE(done.ok()) << done.error().what;
  EXPECT_THAT(sink_of_target.skipped(), ::testing::ElementsAre(2));
  EXPECT_THAT(saved(bad), ::testing::ElementsAre(data_record(2, "row")));
  EXPECT_THAT(
      event_text("stream.skipped"),
      HasSubstr(fmt::format("transaction 2 at {} with 1 changes was skipped by an operator; "
                            "it is kept in /skipped/{}-{}.records",
                            bad, bad.epoch, bad.sequence)));
  EXPECT_TRUE(applied(transaction()));
  EXPECT_EQ(board.state(), State::streaming);
}

// Parts in their order, without those of others; and what of it has no effect. As version 1 wrote
// it, which is read for ever.
TEST_F(SkipTest, SavesAllThatATransactionIsMadeOf) {
  sink_of_target.refuse(7);
  std::vector<Record> parts{data_record(7, "one", true, false), data_record(7, "two", false, false),
                            data_record(7, "three", false, true)};
  for (Record& part : parts) part.flags.streamed = true;
  const Record rolled_back{.kind = RecordKind::abort, .session = 1, .xid = 7, .sub_xid = 8};
  commit(parts[0]);
  heartbeat();
  transaction();
  commit(parts[1]);
  commit(rolled_back);
  const Place bad = commit(parts[2]);
  ASSERT_TRUE(shows(State::failed));
  const auto done = skip(bad);
  ASSERT_TRUE(done.ok()) << done.error().what;
  parts.push_back(rolled_back);
  const Bytes golden = golden_file("skipped/1/1-6.records", saved_bytes(bad));
  EXPECT_EQ(saved_bytes(bad), golden);
  EXPECT_EQ(records_in(golden), parts);
}

TEST_F(SkipTest, NothingIsPassedOverThatCannotBeSaved) {
  sink_of_target.refuse(1);
  const Place bad = transaction();
  ASSERT_TRUE(shows(State::failed));
  world.disk.set({.writes_until_failure = 0, .failing_path = "/skipped"});
  EXPECT_FALSE(skip(bad).ok());
  world.disk.set({.syncs_until_failure = 0, .failing_path = "/skipped"});
  EXPECT_FALSE(skip(bad).ok());
  EXPECT_THAT(sink_of_target.skipped(), ::testing::IsEmpty());
}

TEST_F(SkipTest, AnotherThanTheNextOneIsRefusedAndThePauseHolds) {
  ASSERT_TRUE(applied(transaction()));
  loop->pause(std::nullopt);
  ASSERT_TRUE(shows(State::paused));
  const Place beat = heartbeat(), next = transaction(), later = transaction();
  EXPECT_THAT(skip(later).error().what, HasSubstr("only the next one can be skipped"));
  EXPECT_THAT(skip(beat).error().what, HasSubstr("no transaction waits"));
  EXPECT_THAT(skip(after(later, 100)).error().what, HasSubstr("nothing is at"));
  EXPECT_THAT(sink_of_target.skipped(), ::testing::IsEmpty());
  EXPECT_LT(loop->stats().applied, beat.sequence);
  loop->resume();
  EXPECT_TRUE(applied(later));
  EXPECT_GT(later.sequence, next.sequence);
}

// As the PostgreSQL sink does: what is skipped is recorded apart from how far it has applied.
TEST_F(SkipTest, WhileItIsPausedTheNextOneIsShownAndNoMomentOfStreaming) {
  sink_of_target.skips_apart = true;
  ASSERT_TRUE(applied(transaction()));
  loop->pause(std::nullopt);
  ASSERT_TRUE(shows(State::paused));
  const Place first = transaction(), second = transaction();
  const auto next_is = [&](const std::string& next) {
    return eventually([&] { return board.get().reason == "by an operator" + next; }, 300);
  };
  const auto named = [&](std::uint64_t number, Place place) {
    return fmt::format("; next is transaction {} at {}, 1 changes, committed {}", number, place,
                       format_time(data_record(number, "").commit_time));
  };
  ASSERT_TRUE(next_is(named(2, first))) << board.get().reason;
  const std::size_t streamed = count_states("streaming");
  ASSERT_TRUE(skip(first).ok());
  EXPECT_TRUE(next_is(named(3, second))) << board.get().reason;
  EXPECT_GE(loop->stats().applied, first.sequence);
  const auto again = skip(second);
  EXPECT_TRUE(again.ok()) << again.error().what;
  EXPECT_TRUE(next_is("")) << board.get().reason;
  EXPECT_EQ(count_states("streaming"), streamed);
  loop->resume();
  EXPECT_TRUE(applied(transaction()));
  EXPECT_EQ(board.state(), State::streaming);
}

TEST_F(SkipTest, EndsAlthoughHeartbeatsComeWithoutEnd) {
  ASSERT_TRUE(applied(transaction()));
  loop->pause(std::nullopt);
  ASSERT_TRUE(shows(State::paused));
  Record open = data_record(++xid, "part", true, false);
  const Place part = commit(open);  // of a transaction that does not end
  os::Thread beats("beats", [&](std::stop_token stop) {
    while (!stop.stop_requested()) {
      heartbeat();
      eventually([&] { return stop.stop_requested(); }, 20);
    }
  });
  const auto refused = skip(part, 10s);
  EXPECT_THAT(refused.error().what, HasSubstr("no transaction waits"));
  beats.request_stop();
  beats.join();
}

TEST_F(SkipTest, WhatWasNotBegunInTimeIsCalledOffForGood) {
  sink_of_target.refuse(1);
  const Place bad = transaction();
  ASSERT_TRUE(shows(State::failed));
  sink_of_target.shut(true);
  const auto late = skip(bad, 300ms);
  ASSERT_FALSE(late.ok());
  EXPECT_THAT(late.error().what, HasSubstr("target app-eu did not come to skip 1:1 in time"));
  sink_of_target.refuse(0);
  sink_of_target.shut(false);
  EXPECT_TRUE(applied(transaction()));
  EXPECT_THAT(sink_of_target.skipped(), ::testing::IsEmpty());
}

// All of it was rolled back to a savepoint, or in a table that is set aside: the target has
// recorded nothing of it, and the place to restart at lies within it.
TEST_F(SkipTest, AStreamedTransactionWithoutEffectIsPassedOverAgainByTheNextSession) {
  const auto part = [](bool first, bool last) {
    Record record = data_record(100, "part", first, last);
    record.flags.streamed = true;
    return record;
  };
  Record among_open = record_of(RecordKind::preamble);
  among_open.flags.streamed = true;
  sink_of_target.has_no_effect(100);
  commit(record_of(RecordKind::preamble));
  transaction();
  commit(part(true, false));
  const Place preamble = commit(among_open);
  commit(part(false, true));
  ASSERT_TRUE(eventually(
      [&] { return journal->consumer(ApplyLoop::kConsumer)->restart == preamble.sequence; }, 300));
  loop->pause(std::nullopt);
  ASSERT_TRUE(shows(State::paused));
  loop->resume();
  EXPECT_TRUE(applied(transaction())) << board.get().reason;
}

TEST_F(SkipTest, ATargetThatWasRestoredIsSaidAndGetsWhatItLacksAgain) {
  const Place kept = transaction(), lost = transaction();
  ASSERT_TRUE(applied(lost));
  sink_of_target.refuse(3);
  transaction();
  ASSERT_TRUE(shows(State::failed));
  sink_of_target.restore(kept.sequence);
  sink_of_target.refuse(0);
  loop->resume();
  EXPECT_TRUE(eventually([&] { return sink_of_target.recorded() > lost.sequence; }, 300));
  EXPECT_EQ(count_events("stream.target_went_back"), 1U);
  EXPECT_THAT(event_text("stream.target_went_back"),
              HasSubstr(fmt::format("held everything through {} and holds it through {} now",
                                    lost.sequence, kept.sequence)));
}

// As each time the source connects, when it asks what is missing and nothing is.
TEST_F(SkipTest, AVerbThatEndsNoSessionLetsAHeldChangeWaitOnWithoutASpin) {
  loop->pause(std::nullopt);
  ASSERT_TRUE(shows(State::paused));
  delay = 1h;
  Record record = data_record(++xid, "row");
  record.commit_time = world.wall();
  const Place held = commit(record);
  int before = sink_of_target.calls;
  loop->resume();
  ASSERT_TRUE(eventually([&] { return sink_of_target.calls > before; }, 300));
  ASSERT_TRUE(loop->hold_for_copy(false, now()));
  before = sink_of_target.calls;
  EXPECT_FALSE(eventually([&] { return sink_of_target.calls > before + 10; }, 100));
  EXPECT_LT(loop->stats().applied, held.sequence);
}

class TermsTest : public SkipTest {};

// As where both agents start anew with a changed file: the source is heard while the target is
// dialled.
TEST_F(TermsTest, ThoseThatChangeWhileASessionOpensHoldForTheNextOne) {
  ASSERT_TRUE(shows(State::streaming));
  differs = true;
  sink_of_target.shut(true);
  loop->new_session();
  ASSERT_TRUE(eventually([&] { return sink_of_target.opens == 2; }, 300));
  differs = false;
  loop->new_session();
  sink_of_target.shut(false);
  ASSERT_TRUE(eventually([&] { return sink_of_target.opens == 3; }, 300));
  EXPECT_TRUE(shows(State::streaming));
}

}  // namespace
}  // namespace farshore::pipeline
