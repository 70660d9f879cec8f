#include <gtest/gtest.h>

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"
#include "os/thread.h"
#include "pipeline/messages.h"
#include "pipeline/target_leg.h"
#include "sink/test_idle_target.h"

namespace farshore::pipeline {
namespace {

// The test is the source: it says Hello on ship channels.
class TargetLegSourceTest : public journal::JournalFixture {
 protected:
  TargetLegSourceTest() {
    thread_ = os::Thread("leg", [this](std::stop_token stop) { leg_.run(stop); });
  }
  ~TargetLegSourceTest() override {
    thread_.request_stop();
    thread_.join();
  }
  // A channel on which the leg has welcomed this.
  std::unique_ptr<link::Channel> welcomed(const Hello& hello) {
    for (const Deadline end = world.after(10s); !end.reached(world.now());) {
      auto [ours, theirs] = link::PairedChannel::make();
      leg_.accept("ship", std::move(theirs));
      (void)ours->send(encode(hello), world.after(1s));
      const auto bytes = ours->receive(world.after(5s));
      if (!bytes.ok()) continue;  // it is starting
      const auto answer = decode(*bytes);
      EXPECT_TRUE(answer.ok() && std::holds_alternative<Welcome>(*answer));
      return std::move(ours);
    }
    return ADD_FAILURE() << "no welcome", nullptr;
  }
  std::optional<StreamFile> file_after(const Hello& hello) {
    welcomed(hello)->close();
    const auto file = load_stream_file(world.files(), "/leg/stream.file");
    return file.ok() ? *file : std::nullopt;
  }
  void send(link::Channel& channel, const Message& message) {
    EXPECT_TRUE(channel.send(encode(message), world.after(5s)).ok());
  }

  IdleSink sink_, aside_;
  NoCopy copy_sink_;
  TargetLeg leg_{world,
                 {.stream_name = "app",
                  .site = "app-eu",
                  .region = "eu",
                  .folder = "/leg",
                  .journal = {.segment_bytes = 64_KiB, .bytes_max = 256_KiB, .free_bytes_min = 0}},
                 sink_,
                 aside_,
                 copy_sink_,
                 sink()};
  const Hello hello_{.stream = Uuid::from_random(1, 2), .name = "app", .epoch = Epoch(1)};
  os::Thread thread_;
};

// As it does that takes the near journal back from here: it does not tell a definition.
TEST_F(TargetLegSourceTest, ASourceWithoutADefinitionLeavesTheOneThatIsKnown) {
  Hello hello = hello_;
  hello.definition = R"({"apply_delay":"1h"})";
  const auto told = file_after(hello);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->definition, hello.definition);
  Hello other = hello;
  other.definition.clear();
  other.epoch = Epoch(2);
  const auto kept = file_after(other);
  ASSERT_TRUE(kept);
  EXPECT_EQ(kept->definition, hello.definition);
  EXPECT_EQ(kept->epoch, Epoch(2));
}

TEST_F(TargetLegSourceTest, WhatWasReceivedIsCountedAnewFromWhereAnEmptiedJournalBegins) {
  open();
  ASSERT_TRUE(
      journal->begin_epoch({.epoch = Epoch(1), .first = Sequence(1), .identity = "app"}).ok());
  commit_many(2);
  const Begin begin{.next = {Epoch(1), Sequence(1)}, .history = journal->history()};
  const auto counted = [&] { return leg_.status().received_ever; };
  const auto before = welcomed(hello_);
  send(*before, begin);
  send(*before, Records{read_all()});
  EXPECT_TRUE(eventually([&] { return counted().through.sequence == Sequence(2); }));
  const auto emptied = leg_.verb(kBeginAnew, "");
  ASSERT_TRUE(emptied.ok()) << emptied.error().what;
  const auto after = welcomed(hello_);
  send(*after, begin);
  EXPECT_TRUE(eventually([&] { return counted().amount == Amount(); }));
  EXPECT_EQ(counted().from, begin.next);
  EXPECT_EQ(counted().through, (Place{Epoch(1), Sequence(0)}));
  send(*after, Records{read_all()});
  EXPECT_TRUE(eventually([&] { return counted().through.sequence == Sequence(2); }));
  EXPECT_EQ(counted().amount.transactions, 2U);
}

TEST_F(TargetLegSourceTest, AFullJournalIsToldOnce) {
  open();
  ASSERT_TRUE(
      journal->begin_epoch({.epoch = Epoch(1), .first = Sequence(1), .identity = "app"}).ok());
  commit_many(400, 1000);
  const auto ship = welcomed(hello_);
  send(*ship, Begin{.next = {Epoch(1), Sequence(1)}, .history = journal->history()});
  std::vector<PlacedRecord> all = read_all();
  for (auto part = all.begin(); part != all.end(); part += 50)
    send(*ship, Records{{part, part + 50}});
  ASSERT_TRUE(eventually([&] { return count_events("journal.full") > 0; }));
  EXPECT_FALSE(eventually([&] { return count_events("journal.full") > 1; }, 150));
  EXPECT_EQ(leg_.status().journal.health, journal::Health::full);
}

}  // namespace
}  // namespace farshore::pipeline
