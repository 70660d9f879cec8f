#include "pipeline/copy_sender.h"

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"
#include "source/test_no_tables.h"

namespace farshore::pipeline {
namespace {

// One table with one row; its snapshot cannot be held.
struct UnheldTable final : SnapshotSource {
  struct Rows final : TableRows {
    Bytes mark() const override { return {}; }
    Result<Bytes> next(Deadline) override { return Bytes("row"); }
    Result<void> held() const override { return transient(ErrorKind::unavailable, "unwatched"); }
    std::uint64_t rows_read() const override { return 1; }
  };
  Result<std::vector<SourceTable>> tables() override {
    return std::vector<SourceTable>{{.name = "t", .membership = {}, .definition = {}}};
  }
  Result<Bytes> shared_definitions() override { return Bytes(); }
  Result<std::unique_ptr<TableRows>> open(const SourceTable&, Deadline) override {
    return std::unique_ptr<TableRows>(new Rows);
  }
  void interrupt() override {}
};

// Takes the beginning of a table, and nothing of it.
class FullChannel final : public link::Channel {
 public:
  Result<void> send(ByteView message, Deadline) override {
    if (std::holds_alternative<TableBegin>(*decode(message))) return {};
    return transient(ErrorKind::timeout, "full");
  }
  Result<Bytes> receive(Deadline) override { return transient(ErrorKind::timeout, "nothing"); }
  void set_class(link::Class) override {}
  void close() override {}
  std::uint64_t queued_bytes() const override { return 0; }
};

// A first copy.
class CopySenderTest : public journal::JournalFixture {
 protected:
  // To a target that answers with these.
  Result<void> copy(SnapshotSource& source, const std::vector<Message>& answers) {
    auto [ours, theirs] = link::PairedChannel::make();
    std::unique_ptr<link::Channel> channel = std::move(ours);
    os::Thread target("target", [&](std::stop_token) {
      for (const Message& answer : answers) {
        EXPECT_TRUE(theirs->receive(soon()).ok());
        EXPECT_TRUE(theirs->send(encode(answer), soon()).ok());
      }
    });
    CopySender sender(world,
                      [&](const std::string& name, link::Class) {
                        if (name.starts_with("table/")) channel.reset(new FullChannel);
                        return Result<std::unique_ptr<link::Channel>>(std::move(channel));
                      },
                      source, board,
                      {.stream = Uuid::from_random(1, 2), .stream_name = "app", .site = "app-eu"});
    return sender.run_once({});
  }
  // Nothing is missing there.
  Result<void> copy() {
    NoTables source;
    return copy(source, {CopyMissing{.tables = {}, .first = true}, Completed{}});
  }

  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "us-east-1"}};
};

TEST_F(CopySenderTest, TheLegStreamsWhenAllIsCopied) {
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(board.state(), State::streaming);
}

// Of an application that waits for the table's lock nobody would know.
TEST_F(CopySenderTest, ASnapshotThatCannotBeHeldEndsTheCopyAlsoWhenNobodyTakesItsRows) {
  UnheldTable source;
  const auto copied = copy(
      source, {CopyMissing{.tables = {"t"}, .first = true}, Prepared{.tables = {{.name = "t"}}}});
  ASSERT_FALSE(copied.ok());
  EXPECT_EQ(copied.error().what, "copy of t: unwatched");
}

TEST_F(CopySenderTest, WhatTheLegHasFailedOfMeanwhileStaysShown) {
  board.fail(permanent(ErrorKind::overtaken, "it lacks a part"), "resnapshot");
  ASSERT_TRUE(copy().ok());
  EXPECT_EQ(board.state(), State::failed);
  EXPECT_EQ(board.get().remedy, "resnapshot");
}

}  // namespace
}  // namespace farshore::pipeline
