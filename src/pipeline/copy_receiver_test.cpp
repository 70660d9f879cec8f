#include "pipeline/copy_receiver.h"

#include <gmock/gmock.h>

#include "journal/journal_fixture.h"
#include "link/long_message.h"
#include "link/paired_channel.h"
#include "pipeline/messages.h"
#include "sink/test_idle_target.h"

namespace farshore::pipeline {
namespace {

using journal::data_record;
using ::testing::HasSubstr;

// Takes everything, one item at a call.
struct CountingSink final : Sink {
  Result<Sequence> open(const Uuid&, Epoch) override {
    ++opens;
    if (refuses) return *refuses;
    return through;
  }
  Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) override {
    FARSHORE_TRY_ASSIGN(const auto item, cursor.next(deadline));
    if (item) {
      ++items;
      through = std::max(through, item->place.sequence);
      if (seen) seen(through);
    }
    return Applied{.through = through, .durable = through, .recorded = through};
  }
  Result<void> skip(const CursorItem&) override { return {}; }
  void listed(TablesListed) override {}
  void interrupt() override {}
  void close() override {}

  std::atomic<int> opens = 0, items = 0;
  std::optional<Error> refuses;
  Sequence through;
  std::function<void(Sequence)> seen;
};

struct CountingCopies final : NoCopy {
  Result<std::unique_ptr<TableWriter>> begin(const Uuid&, const SourceTable& table) override {
    ++begun;
    return transient(ErrorKind::unavailable, "no table {}", table.name);
  }
  Result<void> reset(const Uuid&, std::optional<Epoch>, const std::string&) override {
    return reset_answers;
  }
  Result<void> lose_aside(const Uuid&) override {
    ++lost;
    return {};
  }
  Result<void> join(const Uuid&, Epoch, Sequence through) override {
    joined = through;
    return {};
  }

  std::atomic<int> begun = 0, lost = 0;
  Result<void> reset_answers;
  Sequence joined;
};

// Says when somebody listens.
class ListenedChannel final : public link::Channel {
 public:
  explicit ListenedChannel(std::unique_ptr<link::Channel> channel) : channel_(std::move(channel)) {}
  Result<void> send(ByteView message, Deadline deadline) override {
    return channel_->send(message, deadline);
  }
  Result<Bytes> receive(Deadline deadline) override {
    listens = true;
    return channel_->receive(deadline);
  }
  void set_class(link::Class klass) override { channel_->set_class(klass); }
  void close() override { channel_->close(); }
  std::uint64_t queued_bytes() const override { return channel_->queued_bytes(); }

  std::atomic<bool> listens = false;

 private:
  const std::unique_ptr<link::Channel> channel_;
};

class CopyReceiverTest : public journal::JournalFixture {
 protected:
  void SetUp() override {
    open();
    ASSERT_TRUE(journal->set_consumer(ApplyLoop::kConsumer, {}).ok());
    loop.emplace(world, main, *journal, board,
                 ApplyLoop::Options{.stream_name = "app",
                                    .site = "app-eu",
                                    .stream = {},
                                    .skip_folder = "/skipped",
                                    .terms = [] { return TargetTerms{}; }},
                 [](const Error&) {});
    thread = os::Thread("apply", [this](std::stop_token stop) { loop->run(stop); });
    commit_many(1000);
    ASSERT_TRUE(applied_all());
    aside.through = loop->stats().applied;
  }
  void TearDown() override {
    thread.request_stop();
    thread.join();
  }
  bool applied_all() {
    return eventually([&] { return loop->stats().applied == journal->status().written.sequence; },
                      300);
  }
  bool kept() { return journal->consumer("aside").has_value(); }
  Message answer_to(link::Channel& channel, const Message& message) {
    EXPECT_TRUE(link::send_long(channel, encode(message), soon()).ok());
    const auto bytes = link::receive_long(channel, soon());
    if (!bytes.ok()) return ADD_FAILURE() << bytes.error().what, Message(Refuse{});
    return *decode(*bytes);
  }
  // The source's side of a copy whose tables are all there.
  void copy_nothing_but_prepare(const std::function<void()>& meanwhile = [] {}) {
    auto [ours, theirs] = link::PairedChannel::make();
    os::Thread serving("copy", [&, channel = theirs.get()](std::stop_token stop) {
      receiver.serve_copy(*channel, stop);
    });
    EXPECT_TRUE(std::holds_alternative<CopyMissing>(answer_to(*ours, CopyAsk{})));
    EXPECT_TRUE(std::holds_alternative<Prepared>(answer_to(*ours, Prepare{})));
    meanwhile();
    EXPECT_TRUE(std::holds_alternative<Completed>(answer_to(*ours, CopyDone{})));
    ours->close();
  }

  CountingSink main, aside;
  CountingCopies copies;
  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "eu-west-1"}};
  std::optional<ApplyLoop> loop;
  os::Thread thread;
  std::atomic<bool> copied = true;
  std::atomic<int> wanted = 0;
  CopyReceiver receiver{world,
                        copies,
                        main,
                        aside,
                        board,
                        {.leg =
                             [this] {
                               return CopyReceiver::Leg{.alive = {},
                                                        .journal = journal.get(),
                                                        .loop = &*loop,
                                                        .stream = {},
                                                        .epoch = Epoch(1),
                                                        .copied = copied};
                             },
                         .copied = [](bool) { return Result<void>(); },
                         .copy_wanted = [this] { ++wanted; }}};
};

// Under load the others go on meanwhile; a pass over all since the copy began would take longer
// than that lets it come near.
TEST_F(CopyReceiverTest, EachPassOverTheJournalBeginsWhereTheOneBeforeEnded) {
  int more = 5;
  aside.seen = [&](Sequence through) {
    if (more == 0 || through < loop->stats().applied) return;
    --more;
    commit_many(1000);
    EXPECT_TRUE(applied_all());
  };
  copy_nothing_but_prepare([&] {
    commit_many(1000);
    EXPECT_TRUE(applied_all());
  });
  EXPECT_EQ(more, 0);
  EXPECT_EQ(aside.opens, 1);
  EXPECT_LE(aside.items, 6001);  // the one at the place from which the journal was kept
  EXPECT_EQ(copies.joined, journal->status().written.sequence);
  EXPECT_FALSE(kept());
}

// A new session of the leg passes over once more what they hold.
TEST_F(CopyReceiverTest, TheyWaitForALegThatIsBehindThem) {
  aside.through = Sequence(loop->stats().applied.value() + 1000);
  copy_nothing_but_prepare(
      [&] { os::Thread("later", [&](std::stop_token) { commit_many(1000); }).join(); });
  EXPECT_GE(copies.joined, aside.through);
}

TEST_F(CopyReceiverTest, WhereNothingIsSetAsideNothingIsWaitedFor) {
  aside.refuses = permanent(ErrorKind::not_found, "nothing is set aside");
  copy_nothing_but_prepare();
  EXPECT_EQ(copies.joined, Sequence(0));
  EXPECT_FALSE(kept());
}

// The reset may have been carried out, and the journal is kept.
TEST_F(CopyReceiverTest, AResnapshotThatBreaksOffIsAskedForAllTheSame) {
  copies.reset_answers = transient(ErrorKind::unavailable, "the server restarts");
  EXPECT_FALSE(receiver.resnapshot("public.t").ok());
  EXPECT_EQ(wanted, 1);
  EXPECT_TRUE(kept());
  copies.reset_answers = permanent(ErrorKind::not_found, "no such table");
  EXPECT_FALSE(receiver.resnapshot("public.typo").ok());
  EXPECT_EQ(wanted, 1);
}

// Changes of what was set aside before lie behind the place from which the journal is kept now.
TEST_F(CopyReceiverTest, WhatWasSetAsideBeforeTheJournalIsKeptIsLost) {
  ASSERT_TRUE(receiver.resnapshot("public.t").ok());
  EXPECT_EQ(copies.lost, 1);
  ASSERT_TRUE(receiver.resnapshot("public.u").ok());
  copy_nothing_but_prepare();
  EXPECT_EQ(copies.lost, 1);
  copied = false;  // the far disk was lost, and its journal begins anew
  copy_nothing_but_prepare();
  EXPECT_EQ(copies.lost, 2);
}

// In the backup it came from, other tables were being copied than are now.
TEST_F(CopyReceiverTest, WhatATargetThatWasSetBackHasSetAsideEarlierIsLost) {
  ASSERT_TRUE(eventually(
      [&] { return journal->consumer(ApplyLoop::kConsumer)->applied > Sequence(1); }, 300));
  copy_nothing_but_prepare([&] {
    EXPECT_TRUE(kept());
    copies.lost = 0;
    aside.through = Sequence(1);
  });
  EXPECT_EQ(copies.lost, 1);
  EXPECT_EQ(copies.joined, Sequence(0));
  EXPECT_EQ(wanted, 1);
  EXPECT_FALSE(kept());
}

TEST_F(CopyReceiverTest, ATableOfARunBeforeThatIsHeardLateIsNotCopied) {
  auto [ours, theirs] = link::PairedChannel::make();
  ListenedChannel listened(std::move(theirs));
  os::Thread old("table", [&](std::stop_token stop) { receiver.serve_table(listened, stop); });
  ASSERT_TRUE(eventually([&] { return listened.listens.load(); }));
  copy_nothing_but_prepare();
  const Message answer = answer_to(*ours, TableBegin{.stream = {}, .table = {.name = "public.t"}});
  ASSERT_TRUE(std::holds_alternative<Refuse>(answer));
  EXPECT_THAT(std::get<Refuse>(answer).what, HasSubstr("begun anew meanwhile"));
  EXPECT_EQ(copies.begun, 0);
}

}  // namespace
}  // namespace farshore::pipeline
