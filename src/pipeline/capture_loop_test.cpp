#include "pipeline/capture_loop.h"

#include <deque>

#include "journal/journal_fixture.h"

namespace farshore::pipeline {
namespace {

// Never starts. As every source, once interrupted it does nothing more until it is stopped.
class ShutSource final : public Source {
 public:
  explicit ShutSource(ErrorKind kind) : kind_(kind) {}

  Result<SourceIdentity> start(const Position&, const AcceptSource&) override {
    ++starts;
    return Error{kind_, kind_ == ErrorKind::denied ? Retry::no : Retry::yes, "shut"};
  }
  Result<std::vector<Record>> next(Deadline) override { return std::vector<Record>(); }
  std::vector<Bytes> preamble() const override { return {}; }
  void acknowledge(const Acknowledgement&) override {}
  SourceProgress progress() override { return {}; }
  Result<void> bound_log() override {
    if (interrupted_) return transient(ErrorKind::unavailable, "interrupted");
    return {};
  }
  void interrupt() override { interrupted_ = true; }
  void stop() override { interrupted_ = false; }

  std::atomic<int> starts = 0;

 private:
  const ErrorKind kind_;
  std::atomic<bool> interrupted_ = false;
};

// Gives what it was made with, once, batch by batch.
class GivenSource final : public Source {
 public:
  explicit GivenSource(std::vector<Record> records) : batches_{std::move(records)} {}
  explicit GivenSource(std::vector<std::vector<Record>> batches)
      : batches_(batches.begin(), batches.end()) {}

  Result<SourceIdentity> start(const Position&, const AcceptSource&) override {
    return SourceIdentity{};
  }
  Result<std::vector<Record>> next(Deadline) override {
    std::vector<Record> records;
    if (batches_.empty()) return records;
    records = std::move(batches_.front());
    batches_.pop_front();
    return records;
  }
  std::vector<Bytes> preamble() const override { return {}; }
  void acknowledge(const Acknowledgement&) override {}
  SourceProgress progress() override { return {}; }
  Result<void> bound_log() override { return {}; }
  void interrupt() override {}
  void stop() override {}

 private:
  std::deque<std::vector<Record>> batches_;
};

// Does not hold the log of before while `lost`; later it may have to read it again.
class LostSource final : public Source {
 public:
  Result<SourceIdentity> start(const Position& after, const AcceptSource&) override {
    ++starts;
    if (lost && !after.empty()) return Error{ErrorKind::overtaken, Retry::no, "set back"};
    return SourceIdentity{};
  }
  Result<std::vector<Record>> next(Deadline) override { return std::vector<Record>(); }
  std::vector<Bytes> preamble() const override { return {}; }
  void acknowledge(const Acknowledgement&) override {}
  SourceProgress progress() override {
    SourceProgress progress;
    progress.log_is_known = known;
    return progress;
  }
  Result<void> bound_log() override { return {}; }
  void interrupt() override {}
  void stop() override {}

  std::atomic<int> starts = 0;
  std::atomic<bool> lost = true, known = false;
};

class CaptureTest : public journal::JournalFixture {};

// Its loop has failed, since the log behind what the journal holds is gone.
class CaptureGapTest : public journal::JournalFixture {
 protected:
  CaptureGapTest() {
    open();
    commit(journal::data_record(5, "row"));
    loop.emplace(world, source, *journal, board, CaptureLoop::Options{},
                 CaptureLoop::Callbacks{.identity_seen = {},
                                        .tables_joined = {},
                                        .journal_failed = [this](const Error&) { failed = true; }});
    thread = os::Thread("capture", [this](std::stop_token stop) { loop->run(stop); });
    EXPECT_TRUE(eventually([&] { return loop->log_gone(); }, 300));
  }
  ~CaptureGapTest() override {
    thread.request_stop();
    thread.join();
  }
  // A session that reads the log of before again, as an operator's resume begins it.
  void begin_session() {
    const Sequence before = journal->status().written.sequence;
    source.lost = false;
    loop->poke();
    ASSERT_TRUE(
        eventually([&] { return journal->status().written.sequence > before.next(); }, 300));
  }

  LostSource source;
  StateBoard board{sink(), {.stream = "app", .target = "", .region = "us-east-1"}};
  std::optional<CaptureLoop> loop;
  std::atomic<bool> failed = false;
  os::Thread thread;
};

TEST_F(CaptureGapTest, ASessionHasBegunOnceItsLogIsKnown) {
  begin_session();
  EXPECT_TRUE(loop->log_gone());
  EXPECT_FALSE(loop->wait_started(now()));
  EXPECT_EQ(board.state(), State::failed);
  source.known = true;
  EXPECT_TRUE(loop->wait_started(soon()));
  EXPECT_FALSE(loop->log_gone());
  EXPECT_EQ(board.state(), State::streaming);
}

TEST_F(CaptureGapTest, AcceptedDuringASessionItIsGivenUpAfterThat) {
  begin_session();
  const Sequence last = journal->status().written.sequence;
  const auto accepted = loop->accept_gap();
  ASSERT_TRUE(accepted.ok()) << accepted.error().what;
  EXPECT_TRUE(eventually([&] { return source.starts == 3; }, 300));
  EXPECT_TRUE(eventually(
      [&] { return journal->status().durable.sequence > journal->status().first.sequence; }, 300));
  const Sequence first = journal->status().first.sequence;
  EXPECT_EQ(first, last.plus(2));
  EXPECT_EQ(read_all(first.value()).at(0).record.kind, RecordKind::session);
  EXPECT_FALSE(failed);
}

TEST_F(CaptureGapTest, AJournalThatCannotBeginAnewIsOpenedAnew) {
  world.disk.set({.writes_until_failure = 0, .failing_path = "history"});
  EXPECT_FALSE(loop->accept_gap().ok());
  EXPECT_EQ(journal->status().written.sequence, Sequence(0));
  EXPECT_TRUE(eventually([&] { return failed.load(); }, 300));
  world.disk.set({});
}

TEST_F(CaptureTest, OnlyAHeartbeatsCommitTimeIsOneOfAHeartbeat) {
  open();
  Record beat = journal::record_of(RecordKind::heartbeat);
  beat.commit_time = WallTime(6s);
  Record place = beat;  // of a place alone: the time is that of the commit before it
  place.commit_time = WallTime(7s);
  GivenSource source({journal::data_record(5, "row"), beat, journal::data_record(7, "row"), place});
  StateBoard board(sink(), {.stream = "app", .target = "", .region = "us-east-1"});
  CaptureLoop loop(world, source, *journal, board, {}, {});
  os::Thread thread("capture", [&](std::stop_token stop) { loop.run(stop); });
  EXPECT_TRUE(eventually([&] { return loop.stats().transactions == 2; }, 300));
  EXPECT_EQ(loop.stats().commit_time, WallTime(7s));
  EXPECT_EQ(loop.stats().heartbeat_time, WallTime(6s));
  thread.request_stop();
  thread.join();
}

// A batch may end within a transaction. One that is written whole ends soon, and a reader that
// began within it would not learn what it defines; those that are streamed may overlap for ever.
TEST_F(CaptureTest, APreambleStandsBetweenWholeTransactionsAndSaysWhetherStreamedOnesAreOpen) {
  open();
  const std::string large(1000, 'x');
  const auto part = [&](std::uint64_t of, bool first, bool last) {
    Record record = journal::data_record(of, large, first, last);
    record.flags.streamed = true;
    return record;
  };
  GivenSource source(std::vector<std::vector<Record>>{
      {journal::data_record(1, large, true, false)},
      {journal::data_record(1, large, false, true)},
      {part(2, true, false)},
      {part(3, true, false), part(2, false, true)},
      {part(3, false, true)},
  });
  StateBoard board(sink(), {.stream = "app", .target = "", .region = "us-east-1"});
  CaptureLoop loop(world, source, *journal, board, {.preamble_every_bytes = 1000}, {});
  os::Thread thread("capture", [&](std::stop_token stop) { loop.run(stop); });
  EXPECT_TRUE(eventually([&] { return journal->status().durable.sequence == Sequence(12); }, 300));
  thread.request_stop();
  thread.join();
  std::string text;
  for (const PlacedRecord& placed : read_all()) {
    const Record& record = placed.record;
    if (record.kind == RecordKind::session) text += 's';
    if (record.kind == RecordKind::preamble) text += record.flags.streamed ? 'o' : 'P';
    if (record.kind == RecordKind::data) text += static_cast<char>('0' + record.xid);
  }
  EXPECT_EQ(text, "sP11P2o32o3P");
}

class CaptureStopTest : public journal::JournalFixture,
                        public ::testing::WithParamInterface<ErrorKind> {};

// The loop is stopped while it waits: for the next try, or for an operator.
TEST_P(CaptureStopTest, WhatComesAfterItMayStillBoundTheSourcesLog) {
  open();
  ShutSource source(GetParam());
  StateBoard board(sink(), {.stream = "app", .target = "", .region = "us-east-1"});
  CaptureLoop loop(world, source, *journal, board, {}, {});
  os::Thread thread("capture", [&](std::stop_token stop) { loop.run(stop); });
  ASSERT_TRUE(eventually([&] { return source.starts > 0; }, 300));
  ASSERT_TRUE(
      eventually([&] { return board.get().retries + (board.state() == State::failed); }, 300));
  thread.request_stop();
  thread.join();
  const auto bounded = source.bound_log();
  EXPECT_TRUE(bounded.ok()) << bounded.error().what;
}

INSTANTIATE_TEST_SUITE_P(Waiting, CaptureStopTest,
                         ::testing::Values(ErrorKind::unavailable, ErrorKind::denied));

}  // namespace
}  // namespace farshore::pipeline
