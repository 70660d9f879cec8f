#include "pipeline/target_leg.h"

#include "journal/journal_fixture.h"
#include "sink/test_idle_target.h"

namespace farshore::pipeline {
namespace {

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
  NoCopy copies;
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

}  // namespace
}  // namespace farshore::pipeline
