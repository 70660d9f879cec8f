#include "pipeline/ship_loop.h"

#include <gmock/gmock.h>

#include <list>

#include "journal/journal_fixture.h"
#include "link/paired_channel.h"

namespace farshore::pipeline {
namespace {

using journal::data_record;
using ::testing::HasSubstr;

// Fails to send while its session is said to be over; its receiver does not hear of that. Tells
// which class it was given last.
class BrokenChannel final : public link::Channel {
 public:
  BrokenChannel(std::unique_ptr<link::Channel> inner, const std::atomic<bool>& broken,
                std::atomic<link::Class>& klass)
      : inner_(std::move(inner)), broken_(broken), klass_(klass) {}

  Result<void> send(ByteView message, Deadline deadline) override {
    if (broken_) return transient(ErrorKind::unavailable, "the session ended");
    return inner_->send(message, deadline);
  }
  Result<Bytes> receive(Deadline deadline) override { return inner_->receive(deadline); }
  void set_class(link::Class klass) override {
    klass_ = klass;
    inner_->set_class(klass);
  }
  void close() override { inner_->close(); }
  std::uint64_t queued_bytes() const override { return inner_->queued_bytes(); }

 private:
  const std::unique_ptr<link::Channel> inner_;
  const std::atomic<bool>& broken_;
  std::atomic<link::Class>& klass_;
};

// The test is the target: it holds the other ends of the channels that the loop opens.
class ShipTest : public journal::JournalFixture {
 protected:
  void SetUp() override {
    open();
    commit(data_record(++xid, "row"));
    loop.emplace(
        world, [this](const std::string& name, link::Class) { return dial(name); }, *journal, board,
        ShipLoop::Options{.stream = stream,
                          .stream_name = "app",
                          .site = "app-eu",
                          .definition = "",
                          .epoch = Epoch(2)},
        ShipLoop::Callbacks{.far_durable = [](const CommitPosition&) {},
                            .commits_wait = [this] { return commits_wait.load(); },
                            .copy_wanted = [] {},
                            .preamble_wanted = [] {},
                            .journal_failed = [this](const Error&) { journal_failed = true; }});
    thread = os::Thread("ship", [this](std::stop_token stop) { loop->run(stop); });
  }
  void TearDown() override {
    thread.request_stop();
    thread.join();
  }

  Result<std::unique_ptr<link::Channel>> dial(const std::string& name) {
    auto [ours, theirs] = link::PairedChannel::make();
    os::Lock lock(mutex);
    dialled.emplace_back(name, std::move(theirs));
    changed.notify_all();
    return std::unique_ptr<link::Channel>(new BrokenChannel(std::move(ours), broken, klass));
  }
  // The next channel of this kind; nothing when none is opened in time.
  std::unique_ptr<link::Channel> accept(const std::string& kind) {
    const std::string name = kind + "/app/app-eu";
    std::unique_ptr<link::Channel> channel;
    os::Lock lock(mutex);
    changed.wait(lock, soon(), [&] {
      for (auto it = dialled.begin(); it != dialled.end(); ++it) {
        if (it->first != name) continue;
        channel = std::move(it->second);
        dialled.erase(it);
        return true;
      }
      return false;
    });
    return channel;
  }
  template <typename M>
  M receive(link::Channel& channel) {
    const auto bytes = channel.receive(soon());
    if (!bytes.ok()) return ADD_FAILURE() << bytes.error().what, M{};
    const auto message = decode(*bytes);
    const auto* wanted = message.ok() ? std::get_if<M>(&*message) : nullptr;
    if (wanted == nullptr) return ADD_FAILURE() << "another message", M{};
    return *wanted;
  }
  // A ship channel on which the first records were received.
  std::unique_ptr<link::Channel> begin() {
    auto channel = accept("ship");
    if (!channel) return ADD_FAILURE() << "no ship channel", nullptr;
    receive<Hello>(*channel);
    EXPECT_TRUE(channel->send(encode(Welcome{.stream = stream}), soon()).ok());
    EXPECT_EQ(receive<Begin>(*channel).next.sequence, Sequence(1));
    EXPECT_EQ(receive<Records>(*channel).records.size(), 1U);
    return channel;
  }

  const Uuid stream = Uuid::from_random(1, 2);
  os::Mutex mutex;
  os::CondVar changed;
  std::list<std::pair<std::string, std::unique_ptr<link::Channel>>> dialled;
  std::atomic<bool> journal_failed = false, broken = false, commits_wait = false;
  std::atomic<link::Class> klass = link::Class::copy;  // of the channel, as the loop gave it
  StateBoard board{sink(), {.stream = "app", .target = "app-eu", .region = "us-east-1"}};
  std::optional<ShipLoop> loop;
  os::Thread thread;
};

TEST_F(ShipTest, AChannelThatEndsIsFollowedByAnotherOne) {
  for (int i = 0; i < 3; ++i) begin().reset();  // its end: while nothing is sent, or with records
  const auto channel = begin();
  commit(data_record(++xid, "row"));
  EXPECT_EQ(receive<Records>(*channel).records.size(), 1U);
  EXPECT_FALSE(journal_failed);
}

// The receiving thread hears nothing but the loop's own close then.
TEST_F(ShipTest, ItsOwnCloseIsNotTakenForAClosedJournal) {
  const auto channel = begin();
  broken = true;
  commit(data_record(++xid, "row"));
  EXPECT_EQ(channel->receive(soon()).error().kind, ErrorKind::unavailable);
  broken = false;
  EXPECT_TRUE(accept("ship"));
  EXPECT_FALSE(journal_failed);
}

TEST_F(ShipTest, TheStreamGoesAheadOfOthersWhileCommitsWait) {
  const auto channel = begin();
  const auto becomes = [&](link::Class wanted) {
    return eventually([&] { return klass == wanted; }, 300);
  };
  EXPECT_TRUE(becomes(link::Class::stream));
  commits_wait = true;
  EXPECT_TRUE(becomes(link::Class::waiting));
  commit(data_record(++xid, "row"));
  receive<Records>(*channel);
  EXPECT_EQ(klass, link::Class::waiting);
  commits_wait = false;
  EXPECT_TRUE(becomes(link::Class::stream));
}

// What a commit waits for goes at once; the rest gathers for a moment.
TEST_F(ShipTest, LittleRecordsGoTogetherUnlessACommitWaits) {
  const auto channel = begin();
  constexpr int kRows = 200;
  const MonotonicTime began = world.now();
  os::Thread writer("writer", [&](std::stop_token) {
    for (int i = 0; i < kRows; ++i) commit(data_record(++xid, "row"));
  });
  std::size_t rows = 0;
  int messages = 0;
  for (; rows < kRows && !HasFailure(); ++messages)
    rows += receive<Records>(*channel).records.size();
  writer.join();
  EXPECT_EQ(rows, kRows);
  EXPECT_LE(messages - 1, (world.now() - began) / ShipLoop::kGather);

  commits_wait = true;
  for (int i = 0; i < 3; ++i) {
    commit(data_record(++xid, "row"));
    EXPECT_EQ(receive<Records>(*channel).records.size(), 1U);
  }
}

TEST_F(ShipTest, AClosedJournalIsReported) {
  const auto channel = begin();
  journal->close();
  EXPECT_TRUE(eventually([&] { return journal_failed.load(); }, 300));
}

TEST_F(ShipTest, AJournalThatIsBeingBegunAnewIsWaitedFor) {
  const auto channel = accept("ship");
  ASSERT_TRUE(channel);
  receive<Hello>(*channel);
  ASSERT_TRUE(journal->clear().ok());
  const Place held{Epoch(1), Sequence(1)};
  ASSERT_TRUE(channel->send(encode(Welcome{.stream = stream, .durable = held}), soon()).ok());
  EXPECT_TRUE(accept("ship"));
  EXPECT_NE(board.state(), State::failed) << board.get().reason;
}

TEST_F(ShipTest, AVerbGoesAChannelOfItsOwnAheadOfAllRecords) {
  const auto full = begin();
  commit(data_record(++xid, "row"));  // not taken
  Result<void> done;
  os::Thread asker("asker", [&](std::stop_token) { done = loop->verb("resume", "", soon()); });
  const auto channel = accept("verb");
  ASSERT_TRUE(channel);
  const Verb verb = receive<Verb>(*channel);
  EXPECT_EQ(verb.stream, stream);
  EXPECT_EQ(verb.epoch, Epoch(2));
  EXPECT_EQ(verb.name, "resume");
  ASSERT_TRUE(channel->send(encode(VerbDone{"not now"}), soon()).ok());
  asker.join();
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().what, "not now");
}

TEST_F(ShipTest, AVerbThatIsNotAnsweredSaysWhereToGiveIt) {
  const auto done = loop->verb("pause", "", now());
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().what,
              HasSubstr("app-eu did not take `pause` (it did not answer in time): give it to its "
                        "own region's agent"));
}

TEST_F(ShipTest, AStopEndsTheWaitForAVerbsAnswer) {
  Result<void> done;
  os::Thread asker("asker",
                   [&](std::stop_token) { done = loop->verb("pause", "", Deadline::never()); });
  const auto channel = accept("verb");
  ASSERT_TRUE(channel);
  thread.request_stop();
  asker.join();
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().what, HasSubstr("stopping"));
}

}  // namespace
}  // namespace farshore::pipeline
