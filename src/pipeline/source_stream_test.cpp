#include "pipeline/source_stream.h"

#include <gmock/gmock.h>

#include <list>

#include "change/remedy.h"
#include "journal/journal_fixture.h"
#include "link/paired_channel.h"
#include "source/test_no_tables.h"

namespace farshore::pipeline {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Gives one transaction in each session. While its log is gone no session begins.
class LosingSource final : public Source {
 public:
  explicit LosingSource(os::World& world) : world_(world) {}

  Result<SourceIdentity> start(const Position& after, const AcceptSource&) override {
    if (no_slot) return transient(ErrorKind::rejected, "all slots are in use{}", to_do("raise it"));
    if (log_gone && !after.empty()) return permanent(ErrorKind::overtaken, "the log is gone");
    given_ = false;
    return SourceIdentity{"system=1"};
  }
  Result<std::vector<Record>> next(Deadline deadline) override {
    if (log_gone && !std::exchange(told_, true))
      return transient(ErrorKind::unavailable, "the session ended");
    std::vector<Record> records;
    if (!std::exchange(given_, true)) {
      records.push_back(journal::data_record(++xid_, "row"));
      return records;
    }
    os::Lock lock(mutex_);
    never_.wait(lock, earlier(deadline, world_.after(20ms)));
    return records;
  }
  std::vector<Bytes> preamble() const override { return {"preamble"}; }
  void acknowledge(const Acknowledgement&) override {}
  SourceProgress progress() override { return {}; }
  Result<void> bound_log() override { return {}; }
  void interrupt() override {}
  void stop() override {}

  std::atomic<bool> log_gone = false, no_slot = false;

 private:
  os::World& world_;
  os::Mutex mutex_;
  os::CondVar never_;
  bool given_ = false, told_ = false;
  std::uint64_t xid_ = 0;
};

// A target's region: its journal is where it ends, and all is copied there.
class FarRegion {
 public:
  explicit FarRegion(os::World& world) : world_(world) {}
  ~FarRegion() {
    os::Lock lock(mutex_);
    std::list<os::Thread> threads = std::move(threads_);
    lock.unlock();
    for (os::Thread& thread : threads) thread.request_stop();
    for (os::Thread& thread : threads) thread.join();
  }

  Result<std::unique_ptr<link::Channel>> dial(const std::string& name) {
    if (away || (verbs_fail && name.starts_with("verb/")))
      return transient(ErrorKind::unavailable, "no session stands");
    auto [theirs, ours] = link::PairedChannel::make();
    os::Lock lock(mutex_);
    threads_.emplace_back("far", [this, name, channel = std::shared_ptr(std::move(ours))](
                                     std::stop_token stop) { serve(name, *channel, stop); });
    return std::move(theirs);
  }
  std::vector<std::string> verbs() {
    os::Lock lock(mutex_);
    return verbs_;
  }
  std::uint64_t received() {
    os::Lock lock(mutex_);
    return welcome_.durable.sequence.value();
  }
  void hold(Welcome welcome) {
    os::Lock lock(mutex_);
    welcome_ = std::move(welcome);
  }

  std::atomic<bool> away = false, verbs_fail = false;
  std::atomic<int> copies = 0;
  std::atomic<std::uint32_t> overtaken = 0;  // how often it was told so

 private:
  void serve(const std::string& name, link::Channel& channel, std::stop_token stop) {
    const int begun = begun_anew_;  // that ends a ship channel
    bool ships = false;
    while (!stop.stop_requested() && !away &&
           (begun == begun_anew_ || !name.starts_with("ship/"))) {
      if (ships) tell(channel);
      const auto bytes = channel.receive(world_.after(50ms));
      if (!bytes.ok() && bytes.error().kind == ErrorKind::timeout) continue;
      if (!bytes.ok()) break;
      const auto message = decode(*bytes);
      if (!message.ok()) break;
      ships |= std::holds_alternative<Begin>(*message);
      if (auto answer = take(*message))
        if (!channel.send(encode(*answer), world_.after(5s)).ok()) break;
    }
    channel.close();
  }
  void tell(link::Channel& channel) {
    os::Lock lock(mutex_);
    const auto ack = std::exchange(to_tell_, std::nullopt);
    if (ack) (void)channel.send(encode(*ack), world_.after(5s));
  }
  std::optional<Message> take(const Message& message) {
    os::Lock lock(mutex_);
    if (std::holds_alternative<Hello>(message)) return welcome_;
    if (const auto* records = std::get_if<Records>(&message)) {
      welcome_.durable = records->records.back().place;
      welcome_.hash = records->records.back().hash;
    }
    // As after a restart of its agent: the source takes it that an operator has said `resume`.
    if (std::holds_alternative<Overtaken>(message))
      return Ack{.durable = welcome_.durable, .state = State::streaming, .resumes = ++overtaken};
    if (const auto* verb = std::get_if<Verb>(&message)) {
      verbs_.push_back(verb->name);
      if (verb->name == "pause" || verb->name == "resume") {
        const auto at = parse_time(verb->argument);
        const bool pauses = verb->name == "pause" && !at.ok();
        to_tell_ = Ack{.durable = welcome_.durable,
                       .state = pauses ? State::paused : State::streaming,
                       .pause_at = at.ok() ? *at : WallTime{}};
      }
      if (verb->name == kBeginAnew) welcome_.durable = {}, ++begun_anew_;
      return VerbDone{};
    }
    if (std::holds_alternative<CopyAsk>(message)) {
      ++copies;
      return CopyMissing{};
    }
    if (std::holds_alternative<CopyDone>(message)) return Completed{};
    return std::nullopt;
  }

  os::World& world_;
  std::atomic<int> begun_anew_ = 0;
  os::Mutex mutex_;
  Welcome welcome_{.stream = {}, .copied = true};
  std::vector<std::string> verbs_;
  std::optional<Ack> to_tell_;  // on the ship channel
  std::list<os::Thread> threads_;
};

class SourceStreamFixture : public journal::JournalFixture {
 protected:
  void TearDown() override { stop(); }
  void stop() {
    thread.request_stop();
    if (thread.joinable()) thread.join();
  }
  SourceStream::Target target(const std::string& site, FarRegion& far, bool required = true) {
    return {.site = site,
            .region = site,
            .dial = [&far](const std::string& name, link::Class) { return far.dial(name); },
            .required = required};
  }
  void start(std::vector<SourceStream::Target> targets) {
    stream = std::make_unique<SourceStream>(
        world,
        SourceStream::Options{.name = "app",
                              .region = "us-east-1",
                              .folder = "/stream",
                              .journal = options,
                              .definition = "",
                              .targets = std::move(targets),
                              .optional_wait = 300ms},
        [this](const Uuid&) -> Result<SourceParts> {
          return SourceParts{source, std::make_unique<NoTables>()};
        },
        sink());
    thread = os::Thread("stream", [this](std::stop_token stop) { stream->run(stop); });
  }
  LegState leg(std::size_t number) {
    const SourceStatus status = stream->status();
    return status.targets.at(number).leg;
  }
  bool streams(std::size_t number) { return leg(number).state == State::streaming; }
  bool captures() { return stream->status().capture.state == State::streaming; }

  const std::shared_ptr<LosingSource> source = std::make_shared<LosingSource>(world);
  FarRegion ap{world}, eu{world};
  std::unique_ptr<SourceStream> stream;
  os::Thread thread;
};

class SourceStreamTest : public SourceStreamFixture {
 protected:
  void SetUp() override {
    start({target("ap", ap), target("eu", eu)});
    ASSERT_TRUE(eventually([&] { return streams(0) && streams(1); }, 500));
    ASSERT_TRUE(eventually([&] { return ap.received() >= 3 && eu.received() >= 3; }, 500));
    ASSERT_TRUE(eventually([&] { return ap.copies > 0 && eu.copies > 0; }, 500));
  }
  bool overtaken(std::size_t number) {
    const LegState shown = leg(number);
    return shown.state == State::failed && shown.remedy.find("resnapshot") != std::string::npos;
  }
  // Capture has failed since the log is gone, and could go on behind the gap.
  void lose_log() {
    source->log_gone = true;
    ASSERT_TRUE(eventually([&] { return stream->status().capture.state == State::failed; }, 500));
    source->log_gone = false;
  }
};

class SourceStreamBegins : public SourceStreamFixture {};

TEST_F(SourceStreamTest, AResnapshotBehindAGapReachesEveryTargetThatCanBeReachedAndLaterTheOthers) {
  ap.verbs_fail = true;
  lose_log();
  const auto first = stream->resnapshot("", "");
  ASSERT_FALSE(first.ok());
  EXPECT_THAT(first.error().what, HasSubstr("ap did not take"));
  EXPECT_THAT(eu.verbs(), ElementsAre(kBeginAnew));
  EXPECT_TRUE(eventually([&] { return overtaken(0) && streams(1) && captures(); }, 500))
      << leg(0).reason;
  ap.verbs_fail = false;
  const auto second = stream->resnapshot("ap", "");
  EXPECT_TRUE(second.ok()) << second.error().what;
  EXPECT_THAT(ap.verbs(), ElementsAre(kBeginAnew));
}

TEST_F(SourceStreamTest, AResumeOfATargetThatCannotBeReachedSaysSoAtOnce) {
  ap.away = true;
  ASSERT_TRUE(eventually([&] { return leg(0).retries > 0; }, 500));
  const MonotonicTime asked = world.now();
  EXPECT_THAT(stream->resume("ap").error().what, HasSubstr("ap did not take `resume`"));
  EXPECT_LT(world.now() - asked, 2s);
  ap.away = false;
  EXPECT_TRUE(stream->resume("ap").ok());
  EXPECT_TRUE(eventually([&] { return leg(0).retries == 0; }, 500));
  EXPECT_THAT(ap.verbs(), ElementsAre("resume"));
}

TEST_F(SourceStreamTest, APauseIsShownWhenItsVerbIsAnswered) {
  const std::string at = "2036-11-24T16:00:00.000Z";
  const auto to_come = [&] { return stream->status().targets.at(0).far.ack.pause_at; };
  ASSERT_TRUE(stream->forward("ap", "pause", at).ok());
  EXPECT_EQ(to_come(), *parse_time(at));
  EXPECT_TRUE(streams(0));
  ASSERT_TRUE(stream->resume("ap").ok());
  EXPECT_TRUE(eventually([&] { return to_come() == WallTime{}; }, 300));
  ASSERT_TRUE(stream->forward("ap", "pause", "").ok());
  EXPECT_EQ(leg(0).state, State::paused);
}

TEST_F(SourceStreamTest, NothingIsCopiedBesideALogThatTheTargetLacksAPartOf) {
  ap.verbs_fail = true;
  lose_log();
  const int before = ap.copies, before_there = eu.copies;
  ASSERT_FALSE(stream->resnapshot("", "").ok());
  ASSERT_TRUE(eventually([&] { return ap.overtaken > 0 && eu.copies > before_there; }, 500));
  EXPECT_FALSE(eventually([&] { return ap.copies > before; }, 50));
  EXPECT_TRUE(overtaken(0)) << leg(0).reason;
  ap.verbs_fail = false;
  ASSERT_TRUE(stream->resnapshot("ap", "").ok());
}

TEST_F(SourceStreamBegins, WithoutATargetThatIsNotRequiredAndIsAway) {
  eu.away = true;
  start({target("eu", eu, false), target("ap", ap)});
  ASSERT_TRUE(eventually([&] { return captures() && streams(1) && ap.received() >= 3; }, 500));
  EXPECT_THAT(event_text("stream.target_not_asked"), HasSubstr("'eu'"));
  eu.away = false;
  EXPECT_TRUE(eventually([&] { return streams(0) && eu.received() >= 3; }, 500)) << leg(0).reason;
}

TEST_F(SourceStreamBegins, WhatKeepsCaptureFromBeginningIsWhatItShows) {
  source->no_slot = true;
  start({target("ap", ap)});
  const auto capture = [&] { return stream->status().capture; };
  ASSERT_TRUE(eventually([&] { return capture().retries > 1; }, 500));
  EXPECT_EQ(capture().state, State::starting);
  EXPECT_EQ(shown_reason(capture()), "all slots are in use");
  EXPECT_EQ(shown_remedy(capture()), "raise it");
  source->no_slot = false;
  ASSERT_TRUE(eventually([&] { return captures(); }, 1000));
  EXPECT_TRUE(eventually([&] { return shown_reason(capture()).empty(); }, 500));
}

TEST_F(SourceStreamBegins, NotWithoutOneThatIsRequired) {
  ap.away = true;
  start({target("ap", ap), target("eu", eu, false)});
  EXPECT_FALSE(eventually([&] { return stream->status().stream != Uuid{}; }, 60));
  ap.away = false;
  EXPECT_TRUE(eventually([&] { return captures() && streams(0) && streams(1); }, 500));
  EXPECT_EQ(count_events("stream.target_not_asked"), 0U);
}

TEST_F(SourceStreamBegins, WithOneOfThoseOfWhichNoneIsRequired) {
  ap.away = eu.away = true;
  start({target("ap", ap, false), target("eu", eu, false)});
  EXPECT_FALSE(eventually([&] { return stream->status().stream != Uuid{}; }, 60));
  eu.away = false;
  EXPECT_TRUE(eventually([&] { return captures() && streams(1); }, 500));
}

TEST_F(SourceStreamBegins, ATargetThatWasNotAskedAndHoldsMoreFailsWithARemedy) {
  const Uuid id = Uuid::from_random(1, 2);
  const auto holding = [&](std::uint64_t sequence, std::uint64_t hash) {
    return Welcome{.stream = id,
                   .durable = {Epoch(1), Sequence(sequence)},
                   .hash = hash,
                   .history = {{Epoch(1), Sequence(1), "app"}},
                   .copied = true};
  };
  ap.hold(holding(2, 7));
  for (const std::uint64_t far : {3, 500}) {
    SCOPED_TRACE(far);
    eu.hold(holding(far, 9));
    eu.away = true;
    start({target("ap", ap), target("eu", eu, false)});
    ASSERT_TRUE(eventually([&] { return captures() && ap.received() >= 5; }, 500));
    eu.away = false;
    EXPECT_TRUE(eventually([&] { return leg(1).state == State::failed; }, 500));
    EXPECT_THAT(leg(1).remedy, HasSubstr("`farshore stream remove app --to eu`"));
    EXPECT_EQ(eu.received(), far);
    EXPECT_TRUE(captures() && streams(0));
    stop();
    for (const std::string& path : world.disk.paths())
      if (path.starts_with("/stream/")) {
        ASSERT_TRUE(world.disk.remove(path).ok());
      }
    ap.hold(holding(2, 7));
  }
}

}  // namespace
}  // namespace farshore::pipeline
