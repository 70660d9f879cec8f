// A source's server whose storage went back in time, and one that merely crashed.
#include <gmock/gmock.h>

#include <atomic>

#include "engine/postgres/resume_place.h"
#include "engine/postgres/test_database.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::HasSubstr;

class SetBackSource : public testing::TestWithParam<std::string> {
 protected:
  SetBackSource() {
    sql("CREATE TABLE t (id bigserial PRIMARY KEY, v text)");
    stream_.start();
    insert(3);
    read(1);
  }
  std::string sql(const std::string& statement) {
    return TestSession(database_.conninfo()).value(statement);
  }
  void insert(int rows) {
    sql("INSERT INTO t (v) SELECT repeat('x', 1000) FROM generate_series(1, " +
        std::to_string(rows) + ")");
  }
  void read(std::size_t transactions) {
    for (const Record& record : stream_.read_transactions(transactions))
      if (!record.position.empty()) last_ = record.position;
  }
  // Of more log that holds nothing of ours.
  void read_place() {
    sql("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 100)");
    const auto has_place = [](const std::vector<Record>& records) {
      return !records.empty() && records.back().kind == RecordKind::heartbeat;
    };
    const auto records = stream_.read(has_place);
    ASSERT_TRUE(has_place(records));
    last_ = records.back().position;
  }
  // Of so many rows, behind what is kept to be put back.
  void capture_what_will_be_lost(int rows) {
    stream_.source->stop();
    server_.keep();
    stream_.start(last_);
    insert(rows);
    read(1);
  }
  void release() {
    stream_.source->acknowledge({last_, last_, last_});
    (void)stream_.read_for(100ms);
  }
  bool is_released() {
    return Lsn::parse(sql("SELECT confirmed_flush_lsn FROM pg_replication_slots")).value() >=
           *Lsn::from(last_);
  }
  // Starts behind what was read, and reads until something is wrong.
  Error error_of_next_session() {
    const auto started = stream_.source->start(last_, TestStream::accept_any);
    if (!started.ok()) return started.error();
    release_unread();
    for (const Deadline end = soon(20s); !end.reached(test_world().now());) {
      const auto records = stream_.source->next(soon(100ms));
      if (!records.ok()) return records.error();
      for (const Record& record : *records) EXPECT_FALSE(ends_transaction(record));
    }
    return Error{};
  }
  // As the loop that captures does at once: the far side said so before.
  void release_unread() { stream_.source->acknowledge({last_, last_, last_}); }
  void expect_set_back(const Error& error) {
    EXPECT_EQ(error.kind, ErrorKind::overtaken);
    EXPECT_EQ(error.retry, Retry::no);
    EXPECT_THAT(error.what, HasSubstr("the server was set back"));
    EXPECT_THAT(error.what, HasSubstr("farshore stream resnapshot orders"));
  }

  TestServer server_{{.bin = GetParam(), .port = 21260, .settings = {"autovacuum = off"}}};
  TestDatabase database_{server_};
  TestStream stream_{database_};
  Position last_;
};

INSTANTIATE_TEST_SUITE_P(Servers, SetBackSource, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(SetBackSource, IsRecognisedWhileItsLogEndsBeforeOurPlace) {
  capture_what_will_be_lost(5000);
  release();
  server_.put_back();
  insert(1);
  const Error error = error_of_next_session();
  expect_set_back(error);
  EXPECT_THAT(error.what, HasSubstr("its log ends at"));
  EXPECT_THAT(error.what, HasSubstr(Lsn::from(last_)->text()));
}

TEST_P(SetBackSource, IsRecognisedOnceItHasGrownBeyondOurPlace) {
  capture_what_will_be_lost(5);
  release();
  server_.put_back();
  insert(5000);
  insert(1);
  expect_set_back(error_of_next_session());
  // What we held of it before did not move its slot: it is recognised again.
  expect_set_back(error_of_next_session());
}

TEST_P(SetBackSource, IsRecognisedByItsLogAlsoWhenNothingOfOursIsWrittenToIt) {
  sql("CREATE TABLE other (v text)");  // without a key: not published
  capture_what_will_be_lost(5);
  server_.put_back();
  sql("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 5000)");
  expect_set_back(error_of_next_session());
}

// Places of log that holds nothing of ours: the slot is released up to one, the journal ends at
// another, and the last commit lies before both.
TEST_P(SetBackSource, IsRecognisedByACommitBeforeOurPlaceWhereOnlyPlacesWereCaptured) {
  sql("CREATE TABLE other (v text)");  // without a key: not published
  sql("CHECKPOINT");  // with the next release older servers write the slot, newer ones when they
                      // stop
  read_place();
  release();
  EXPECT_TRUE(eventually([&] { return is_released(); }));
  sql("CHECKPOINT");
  stream_.source->stop();
  server_.restart();
  server_.keep();
  EXPECT_TRUE(is_released());
  stream_.start(last_);
  read_place();
  server_.put_back();
  insert(1);
  sql("INSERT INTO other SELECT repeat('x', 1000) FROM generate_series(1, 5000)");
  expect_set_back(error_of_next_session());
  // What we held of it before did not move its slot: it is recognised again.
  expect_set_back(error_of_next_session());
}

// It is kept where only such places were captured, and after a crash.
TEST_P(SetBackSource, PlacesAloneAreNoAlarm) {
  sql("CREATE TABLE other (v text)");
  read_place();
  release();
  read_place();
  server_.stop("immediate");
  server_.start();
  stream_.start(last_);
  release_unread();
  insert(1);
  read(1);
  release();
  EXPECT_TRUE(eventually([&] { return is_released(); }));
}

TEST_P(SetBackSource, GoesOnFromWhatItHoldsWhenNoPlaceIsGiven) {
  capture_what_will_be_lost(5);
  release();
  server_.put_back();
  stream_.start({});
  insert(1);
  read(1);
  stream_.start(last_);
  insert(1);
  read(1);
}

// Commits that were lost, since nothing waited for their log to be flushed, were never sent.
TEST_P(SetBackSource, ACrashUnderLoadIsNone) {
  for (int round = 0; round < 12; ++round) {
    std::atomic<bool> stop = false;
    os::Thread load("load", [&](std::stop_token) {
      TestSession session(database_.conninfo());
      session.run("SET synchronous_commit = off");
      while (!stop && session.connection()
                          .query("INSERT INTO t (v) VALUES (repeat('x', 300))", soon(20s))
                          .ok()) {
      }
    });
    (void)stream_.read_transactions(20);
    std::vector<Record> records = stream_.read_for(50ms);
    for (const Record& record : records)
      if (!record.position.empty()) last_ = record.position;
    if (round % 3 == 0) release_unread();
    if (round % 4 == 0) sql("CHECKPOINT");
    server_.stop("immediate");
    stop = true;
    load.join();
    // What was on its way.
    for (auto rest = stream_.source->next(soon(100ms)); rest.ok() && !rest->empty();
         rest = stream_.source->next(soon(100ms)))
      for (const Record& record : *rest)
        if (!record.position.empty()) last_ = record.position;
    server_.start();
    const auto started = stream_.source->start(last_, TestStream::accept_any);
    ASSERT_TRUE(started.ok()) << started.error().what;
    insert(1);
    read(1);
  }
}

}  // namespace
}  // namespace farshore::postgres
