#include "pipeline/copy_sender.h"

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"
#include "source/test_no_tables.h"

namespace farshore::pipeline {
namespace {

// A first copy to a target where nothing is missing.
class CopySenderTest : public journal::JournalFixture {
 protected:
  Result<void> copy() {
    auto [ours, theirs] = link::PairedChannel::make();
    std::unique_ptr<link::Channel> channel = std::move(ours);
    os::Thread target("target", [&theirs, this](std::stop_token) {
      EXPECT_TRUE(theirs->receive(soon()).ok());  // CopyAsk
      EXPECT_TRUE(theirs->send(encode(CopyMissing{.tables = {}, .first = true}), soon()).ok());
      EXPECT_TRUE(theirs->receive(soon()).ok());  // CopyDone
      EXPECT_TRUE(theirs->send(encode(Completed{}), soon()).ok());
    });
    NoTables source;
    CopySender sender(world,
                      [&](const std::string&, link::Class) {
                        return Result<std::unique_ptr<link::Channel>>(std::move(channel));
                      },
                      source, board,
                      {.stream = Uuid::from_random(1, 2), .stream_name = "app", .site = "app-eu"});
    return sender.run_once({});
  }

  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "us-east-1"}};
};

TEST_F(CopySenderTest, TheLegStreamsWhenAllIsCopied) {
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(board.state(), State::streaming);
}

TEST_F(CopySenderTest, WhatTheLegHasFailedOfMeanwhileStaysShown) {
  board.fail(permanent(ErrorKind::overtaken, "it lacks a part"), "resnapshot");
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(board.state(), State::failed);
  EXPECT_EQ(board.get().remedy, "resnapshot");
}

}  // namespace
}  // namespace farshore::pipeline
