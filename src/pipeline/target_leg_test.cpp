#include "pipeline/target_leg.h"

#include <gmock/gmock.h>

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"
#include "pipeline/messages.h"
#include "sink/test_idle_target.h"

namespace farshore::pipeline {
namespace {

// Knows one table, which is copied.
struct OneTable final : NoCopy {
  Result<void> reset(const Uuid&, std::optional<Epoch>, const std::string& table) override {
    if (table == "public.t") return {};
    return permanent(ErrorKind::not_found, "no table {}", table);
  }
};

class TargetLegTest : public journal::JournalFixture {
 protected:
  void SetUp() override {
    ASSERT_TRUE(world.files().create_folder(folder).ok());
    const StreamFile paused{
        .stream = Uuid::from_random(1, 2), .name = "app", .copied = true, .paused = true};
    ASSERT_TRUE(save_stream_file(world.files(), file, paused).ok());
  }
  void TearDown() override {
    thread.request_stop();
    thread.join();
  }
  void start() {
    thread = os::Thread("leg", [this](std::stop_token stop) { leg.run(stop); });
  }
  bool shows(State state) {
    return eventually([&] { return leg.status().leg.state == state; }, 300);
  }
  bool kept_as_paused() {
    const auto kept = load_stream_file(world.files(), file);
    return kept.ok() && *kept && (*kept)->paused;
  }

  const std::string folder = "/leg", file = folder + "/stream.file";
  IdleSink sink_of_target, aside;
  OneTable copies;
  TargetLeg leg{world,
                {.stream_name = "app",
                 .site = "app-eu",
                 .region = "eu-west-1",
                 .folder = folder,
                 .journal = options},
                sink_of_target,
                aside,
                copies,
                sink()};
  std::atomic<bool> resumed = false;
  os::Thread thread;
};

TEST_F(TargetLegTest, APauseOutlivesTheAgentUntilItIsResumed) {
  start();
  ASSERT_TRUE(shows(State::paused));
  ASSERT_TRUE(leg.resume().ok());
  EXPECT_TRUE(shows(State::streaming));
  EXPECT_FALSE(kept_as_paused());
}

TEST_F(TargetLegTest, APauseIsShownWhenItsVerbEnds) {
  ASSERT_TRUE(leg.resume().ok());
  start();
  for (int i = 0; i < 3; ++i) {
    ASSERT_TRUE(shows(State::streaming));
    ASSERT_TRUE(leg.pause(std::nullopt).ok());
    EXPECT_EQ(leg.status().leg.state, State::paused);
    ASSERT_TRUE(leg.resume().ok());
  }
}

TEST_F(TargetLegTest, AResumeBeforeItHasBegunHolds) {
  ASSERT_TRUE(leg.resume().ok());
  start();
  EXPECT_TRUE(shows(State::streaming));
  EXPECT_FALSE(kept_as_paused());
}

// At the start of an agent that takes minutes with a long journal; and after a leg has failed.
TEST_F(TargetLegTest, AResumeWhileTheJournalIsBeingOpenedHolds) {
  world.disk.set({.failing_path = "", .seen = [&](std::string_view, const std::string& path) {
                    if (!path.starts_with(folder + "/journal") || resumed.exchange(true)) return;
                    EXPECT_TRUE(leg.resume().ok());
                  }});
  start();
  EXPECT_TRUE(shows(State::streaming));
  EXPECT_TRUE(resumed);
  EXPECT_FALSE(kept_as_paused());
}

TEST_F(TargetLegTest, AFullJournalNamesTheRegionAndTheKeyWhoseLimitItIs) {
  journal::Options small = options;
  small.free_bytes_min = 1_MiB;
  world.disk.set({.capacity = 512_KiB});
  TargetLeg full{world,
                 {.stream_name = "app",
                  .site = "app-eu",
                  .region = "eu-west-1",
                  .folder = folder,
                  .journal = small},
                 sink_of_target,
                 aside,
                 copies,
                 sink()};
  ASSERT_TRUE(full.resume().ok());
  os::Thread runs("leg", [&](std::stop_token stop) { full.run(stop); });
  EXPECT_TRUE(eventually([&] { return full.status().leg.state == State::degraded; }, 300));
  EXPECT_THAT(full.status().leg.reason, testing::HasSubstr("fewer than journal.free_min (1MiB)"));
  EXPECT_THAT(full.status().leg.remedy, testing::HasSubstr("streams.app.journal.max in the "
                                                           "farshore.yaml of region eu-west-1"));
}

// The journal is kept for a table that is copied again, and no longer.
TEST_F(TargetLegTest, TheJournalIsNotKeptForWhatIsNotCopied) {
  start();
  ASSERT_TRUE(shows(State::paused));
  const auto kept = [&](bool wanted) {
    return eventually([&] {
      const Bytes consumers = world.disk.read(folder + "/journal/consumers");
      return (consumers.find("aside") != Bytes::npos) == wanted;
    });
  };
  EXPECT_EQ(leg.resnapshot("public.typo").error().kind, ErrorKind::not_found);
  EXPECT_TRUE(kept(false));
  ASSERT_TRUE(leg.resnapshot("public.t").ok());
  EXPECT_TRUE(kept(true));
  EXPECT_EQ(leg.resnapshot("public.typo").error().kind, ErrorKind::not_found);
  EXPECT_TRUE(kept(true));
  auto [ours, theirs] = link::PairedChannel::make();  // the source finds nothing missing
  leg.accept("copy", std::move(theirs));
  for (const Message& message : {Message(CopyAsk{}), Message(CopyDone{})}) {
    ASSERT_TRUE(ours->send(encode(message), soon()).ok());
    ASSERT_TRUE(ours->receive(soon()).ok());
  }
  EXPECT_TRUE(kept(false));
}

}  // namespace
}  // namespace farshore::pipeline
