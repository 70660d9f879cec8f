#include "pipeline/receive_loop.h"

#include <gmock/gmock.h>

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"

namespace farshore::pipeline {
namespace {

using ::testing::HasSubstr;

// Its clock may stand behind that of the journal: then what waits by it waits shorter.
class BehindWorld final : public os::World, public os::Clock {
 public:
  explicit BehindWorld(os::World& world) : world_(world) {}
  os::Clock& clock() override { return *this; }
  os::Random& random() override { return world_.random(); }
  os::Files& files() override { return world_.files(); }
  os::Network& network() override { return world_.network(); }
  MonotonicTime monotonic() override { return world_.now() - behind.load(); }
  WallTime wall() override { return world_.clock().wall(); }

  std::atomic<Duration> behind{Duration::zero()};

 private:
  os::World& world_;
};

// The test is the source: it ships what the fixture's journal holds.
class ReceiveTest : public journal::JournalFixture {
 protected:
  void SetUp() override {
    open();
    ASSERT_TRUE(
        journal->begin_epoch({.epoch = Epoch(1), .first = Sequence(1), .identity = "app"}).ok());
    commit_many(3, 2000);
    options.buffered_bytes_max = 1;  // one at a time
    options.segment_bytes = 1_KiB;   // and each in a new file
    auto opened = journal::Journal::open(world, "/far", options, sink());
    ASSERT_TRUE(opened.ok()) << opened.error().what;
    far = *std::move(opened);
    loop.emplace(receivers_world, *far, board,
                 ReceiveLoop::Callbacks{.hello = [](const Hello&) { return Welcome{}; },
                                        .fill = [](Ack&) {},
                                        .journal_failed = [](const Error&) {}});
    std::tie(ours, theirs) = link::PairedChannel::make();
    thread = os::Thread("receive", [this](std::stop_token stop) { loop->serve(*theirs, stop); });
    send(Hello{.stream = Uuid::from_random(1, 2), .name = "app", .epoch = Epoch(1)});
  }
  void TearDown() override {
    stuck = false;
    world.disk.set({});
    thread.request_stop();
    thread.join();
  }
  void send(const Message& message) { ASSERT_TRUE(ours->send(encode(message), soon()).ok()); }

  BehindWorld receivers_world{world};
  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "eu-west-1"}};
  std::atomic<bool> stuck = false;  // no file of the far journal opens
  std::unique_ptr<journal::Journal> far;
  std::optional<ReceiveLoop> loop;
  std::unique_ptr<link::Channel> ours, theirs;
  os::Thread thread;
};

TEST_F(ReceiveTest, ADiskThatIsSlowIsSaidOnceAndWhenItIsOver) {
  send(Begin{.next = {Epoch(1), Sequence(1)}, .history = journal->history()});
  ASSERT_TRUE(eventually([&] { return loop->stats().began.has_value(); }));
  receivers_world.behind = 950ms;  // of the second that an append waits
  stuck = true;
  world.disk.set({.failing_path = "", .seen = [&](std::string_view, const std::string& path) {
                    if (path.starts_with("/far")) eventually([&] { return !stuck; });
                  }});
  for (const PlacedRecord& placed : read_all()) send(Records{{placed}});
  ASSERT_TRUE(eventually([&] { return count_events("journal.slow") > 0; }));
  EXPECT_THAT(event_text("journal.slow"), HasSubstr("wait to be written, nothing more was taken"));
  EXPECT_EQ(count_events("journal.slow_over"), 0U);
  stuck = false;
  ASSERT_TRUE(eventually([&] { return count_events("journal.slow_over") > 0; }));
  EXPECT_EQ(count_events("journal.slow"), 1U);
  EXPECT_TRUE(eventually([&] { return loop->stats().written.sequence == Sequence(3); }));
}

}  // namespace
}  // namespace farshore::pipeline
