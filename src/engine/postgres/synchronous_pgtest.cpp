// Commits that wait for us: with our name in synchronous_standby_names, remote_write waits for the
// near journal and remote_apply for the far one, and what holds nothing for us does not wait.
#include <gtest/gtest.h>

#include <atomic>

#include "engine/postgres/test_database.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

// Reads a source all the time, as a capture loop does.
class Capturing {
 public:
  explicit Capturing(TestStream& stream) : stream_(stream) {
    thread_ = os::Thread("capturing", [this](std::stop_token stop) {
      while (!stop.stop_requested()) {
        auto records = stream_.source->next(soon(50ms));
        if (!records.ok()) return;
        os::Lock lock(mutex_);
        for (Record& record : *records)
          if (!record.position.empty()) last_ = std::move(record.position);
      }
    });
  }
  Position last() {
    os::Lock lock(mutex_);
    return last_;
  }

 private:
  TestStream& stream_;
  os::Mutex mutex_;
  Position last_;
  os::Thread thread_;
};

// One commit at a given level, in a thread of its own.
class WaitingCommit {
 public:
  WaitingCommit(const std::string& conninfo, const std::string& level, const std::string& sql)
      : thread_("commit", [this, conninfo, level, sql](std::stop_token) {
          TestSession session(conninfo);
          session.run("SET synchronous_commit = " + level);
          const MonotonicTime before = test_world().now();
          session.run(sql);
          took_ = test_world().now() - before;
          done_ = true;
        }) {}
  bool done() const { return done_; }
  bool done_within(Duration limit) {
    return eventually([&] { return done(); }, limit);
  }
  Duration took() const { return took_; }

 private:
  std::atomic<bool> done_ = false;
  std::atomic<Duration> took_{};
  os::Thread thread_;
};

class SynchronousOnServer : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    database_.run("CREATE TABLE t (id serial PRIMARY KEY, v text)");
    database_.run("CREATE TABLE unpublished (id serial PRIMARY KEY)");
    stream_.start();
    capturing_ = std::make_unique<Capturing>(stream_);
    set_name(application_name(stream_.options.stream));
    ASSERT_TRUE(eventually([&] {
      return database_.value(
                 "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'") == "1";
    }));
    // Everything before this moment is durable on both sides.
    database_.run("INSERT INTO t (v) VALUES ('first')");
    acknowledge(true, true);
  }
  void TearDown() override {
    set_name("");
    capturing_.reset();
  }
  void set_name(const std::string& name) {
    TestSession session(server_.conninfo());
    session.run("ALTER SYSTEM SET synchronous_standby_names = '" + name + "'");
    session.run("SELECT pg_reload_conf()");
  }
  void acknowledge(bool near, bool far) {
    ASSERT_TRUE(eventually([&] { return !capturing_->last().empty(); }));
    const Position last = capturing_->last();
    if (near) acknowledged_.near_durable = last;
    if (far) acknowledged_.far_durable = acknowledged_.released = last;
    stream_.source->acknowledge(acknowledged_);
  }
  // Waits until the commit of `before` or later was read.
  void read_past(const Position& before) {
    ASSERT_TRUE(eventually([&] { return !(capturing_->last() == before); }));
  }

  TestServer& server_ = shared_server(GetParam(), 21200);
  TestDatabase database_{server_};
  TestStream stream_{database_, {{.match = "public.t"}}};
  std::unique_ptr<Capturing> capturing_;
  Acknowledgement acknowledged_;
};

INSTANTIATE_TEST_SUITE_P(Servers, SynchronousOnServer, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(SynchronousOnServer, RemoteWriteWaitsForTheNearJournal) {
  const Position before = capturing_->last();
  WaitingCommit commit(database_.conninfo(), "remote_write", "INSERT INTO t (v) VALUES ('near')");
  read_past(before);
  EXPECT_FALSE(commit.done_within(300ms));
  acknowledge(true, false);
  EXPECT_TRUE(commit.done_within(2s));
}

TEST_P(SynchronousOnServer, RemoteApplyWaitsForTheFarJournal) {
  const Position before = capturing_->last();
  WaitingCommit commit(database_.conninfo(), "remote_apply", "INSERT INTO t (v) VALUES ('far')");
  read_past(before);
  acknowledge(true, false);
  EXPECT_FALSE(commit.done_within(300ms));
  acknowledge(true, true);
  EXPECT_TRUE(commit.done_within(2s));
}

TEST_P(SynchronousOnServer, TheSourceKnowsThatCommitsWait) {
  EXPECT_TRUE(eventually([&] { return stream_.source->progress().commits_wait; }));
  set_name("");
  EXPECT_TRUE(eventually([&] { return !stream_.source->progress().commits_wait; }));
}

// pg_stat_replication hides sync_state from it.
TEST_P(SynchronousOnServer, ARoleOfLeastPrivilegeKnowsThatCommitsWaitToo) {
  set_name("");
  database_.run(
      "DO $$ BEGIN CREATE ROLE least LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN END "
      "$$; ALTER TABLE t OWNER TO least; GRANT CREATE ON DATABASE " +
      database_.name() + " TO least");
  TestStream least(database_, {{.match = "public.t"}});
  least.options.conninfo += " user=least";
  least.start();
  Capturing reading(least);
  const auto waits = [&] { return least.source->progress().commits_wait; };
  const std::string name = application_name(least.options.stream);
  ASSERT_TRUE(eventually([&] { return !least.source->progress().server_position.empty(); }));
  EXPECT_FALSE(waits());
  set_name("ANY 1 (other, \"" + name + "\")");
  EXPECT_TRUE(eventually(waits));
  set_name("other, " + name + "1");
  EXPECT_TRUE(eventually([&] { return !waits(); }));
  set_name("*");
  EXPECT_TRUE(eventually(waits));
  set_name("");
}

TEST_P(SynchronousOnServer, UnpublishedAndEmptyTransactionsDoNotWait) {
  for (const char* level : {"remote_write", "remote_apply"}) {
    for (const char* sql : {"INSERT INTO unpublished DEFAULT VALUES", "SELECT pg_current_xact_id()",
                            "CREATE TEMPORARY TABLE x (i int)",
                            "SELECT pg_logical_emit_message(true, 'other', 'x')"}) {
      WaitingCommit commit(database_.conninfo(), level, sql);
      EXPECT_TRUE(commit.done_within(5s)) << level << ": " << sql;
      EXPECT_LT(commit.took(), 1s) << level << ": " << sql;
    }
  }
}

TEST_P(SynchronousOnServer, AnUnpublishedCommitAtOnWaitsForAPlaceAtMost) {
  WaitingCommit commit(database_.conninfo(), "on", "INSERT INTO unpublished DEFAULT VALUES");
  EXPECT_TRUE(eventually(
      [&] {
        acknowledge(true, true);
        return commit.done();
      },
      10s));
}

TEST_P(SynchronousOnServer, AnUnpublishedCommitWaitsForThePublishedOneBeforeIt) {
  const Position before = capturing_->last();
  WaitingCommit first(database_.conninfo(), "remote_apply", "INSERT INTO t (v) VALUES ('far')");
  read_past(before);
  WaitingCommit second(database_.conninfo(), "remote_apply",
                       "INSERT INTO unpublished DEFAULT VALUES");
  EXPECT_FALSE(second.done_within(300ms));
  acknowledge(true, true);
  EXPECT_TRUE(first.done_within(2s));
  EXPECT_TRUE(second.done_within(2s));
}

TEST_P(SynchronousOnServer, AReportComesThroughWhileTheCaptureLoopIsHeldUp) {
  const Position before = capturing_->last();
  WaitingCommit commit(database_.conninfo(), "remote_write", "INSERT INTO t (v) VALUES ('near')");
  read_past(before);
  const Position last = capturing_->last();
  capturing_.reset();  // it waits for room in the journal
  acknowledged_.near_durable = last;
  stream_.source->acknowledge(acknowledged_);
  EXPECT_TRUE(commit.done_within(2s));
}

TEST_P(SynchronousOnServer, OurOwnSessionsNeverWait) {
  capturing_.reset();  // nobody answers
  SourceOptions other = stream_.options;
  other.stream = Uuid::from_random(1, 2);
  other.slot_wait = 5s;
  auto second = make_source(test_world(), other);
  auto started = second->start({}, TestStream::accept_any);
  EXPECT_TRUE(started.ok()) << started.error().what;
  second.reset();
  EXPECT_TRUE(remove_source(test_world(), other).ok());
}

}  // namespace
}  // namespace farshore::postgres
