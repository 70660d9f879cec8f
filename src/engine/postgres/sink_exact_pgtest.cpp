// Exactly once: over ends of the session, the server and the sink at any moment; streamed
// transactions; what a resume reads again.

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/sink_session.h"
#include "engine/postgres/sink_test_stream.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::HasSubstr;

class SinkExact : public OnEachServer {
 protected:
  void SetUp() override {
    pair.both("CREATE TABLE t (id int PRIMARY KEY, v text, n int)");
    pair.start();
  }
  void many_transactions(int count) {
    pair.on_source("INSERT INTO t SELECT g, 'v', 0 FROM generate_series(1, 100) g");
    pair.on_source("DO $$ BEGIN FOR i IN 1.." + std::to_string(count) +
                   " LOOP UPDATE t SET n = n + 1 WHERE id = i % 100 + 1; INSERT INTO t VALUES (i + "
                   "1000, 'x', i); COMMIT;"
                   " END LOOP; END $$");
    pair.capture();
  }
  std::string kill_appliers() {
    return pair.target_text(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'farshore_test' AND pid <> pg_backend_pid()");
  }
};

TEST_P(SinkExact, EachTransactionOnceWhenTheSessionIsKilledAgainAndAgain) {
  many_transactions(3000);
  auto killer = pair.connect_target();
  pair.target.reset();
  constexpr int kKills = 12;
  int kills = 0;
  {
    os::Thread killing("killer", [&](std::stop_token stop) {
      for (int i = 0; kills < kKills && !stop.stop_requested(); ++i) {
        (void)killer->wait(pair.world->after(20ms + i % 7 * 11ms), nullptr);
        auto killed = killer->query(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = "
            "current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'",
            pair.world->after(10s));
        if (killed.ok() && killed->text(0, 0) != "0") ++kills;
      }
    });
    Sequence through;
    while (through != pair.log.last()) {
      auto applied = pair.apply_all({.group_transactions_max = 1});
      if (applied.ok())
        through = applied->through;
      else
        ASSERT_EQ(applied.error().retry, Retry::yes) << applied.error().what;
    }
  }
  pair.reconnect_target();
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text("SELECT sum(n) FROM t WHERE id <= 100"), "3000");
  EXPECT_GT(kills, 3);
}

// An agent that was killed left commits that the server has not flushed: a crash of the server
// would take back what the sink that comes next has called durable.
TEST_P(SinkExact, WhatItFindsAtOpenIsDurableBeforeItIsBelieved) {
  const auto flush_late = [&](const std::string& how) {
    auto connection = pair.connect_target();
    pair.run(*connection, "ALTER SYSTEM " + how);
    pair.run(*connection, "SELECT pg_reload_conf()");
  };
  flush_late("SET wal_writer_delay = '10s'");
  many_transactions(3);
  auto sink = pair.sink({.durable_every = 1h});
  const auto applied = pair.apply_with(*sink);
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  ASSERT_LT(applied->durable, applied->through);
  const std::string end = pair.target_text("SELECT pg_current_wal_insert_lsn()");
  sink.reset();
  auto next = pair.sink();
  ASSERT_TRUE(next->open(pair.stream, pair.log.epoch).ok());
  EXPECT_EQ(pair.target_text("SELECT pg_current_wal_flush_lsn() >= '" + end + "'"), "t");
  flush_late("RESET wal_writer_delay");
}

// From 16 on PostgreSQL moves an origin when a transaction ends after xact_setup without a commit.
TEST_P(SinkExact, AnAbortedTransactionThatNamedItsPlaceMovesNothing) {
  many_transactions(3);
  pair.captured_and_applied();
  const std::string progress = pair.target_text("SELECT sequence FROM farshore.progress");
  const std::string origin =
      origin_name(origin_prefix(pair.stream, pair.target_text(kDatabaseOidSql)), pair.log.epoch);
  auto taken = pair.target->query("SELECT pg_replication_origin_session_setup('" + origin + "')",
                                  pair.world->after(9s));
  for (int i = 0; i < 100 && !taken.ok(); ++i) {  // the sink's backend ends
    (void)pair.target->wait(pair.world->after(20ms), nullptr);
    taken = pair.target->query("SELECT pg_replication_origin_session_setup('" + origin + "')",
                               pair.world->after(9s));
  }
  ASSERT_TRUE(taken.ok()) << taken.error().what;
  pair.on_target(
      "BEGIN; INSERT INTO t VALUES (-5, 'x', 0); SELECT pg_replication_origin_xact_setup('0/FFFF', "
      "now()); ROLLBACK");
  pair.on_target("SELECT pg_replication_origin_session_reset()");
  if (GetParam().find("15") == std::string::npos) {
    EXPECT_EQ(pair.target_text("SELECT pg_replication_origin_progress('" + origin + "', false)"),
              "0/FFFF");
  }
  auto sink = pair.sink();
  auto through = sink->open(pair.stream, pair.log.epoch);
  ASSERT_TRUE(through.ok()) << through.error().what;
  EXPECT_EQ(std::to_string(through->value()), progress);
}

TEST_P(SinkExact, ACrashOfTheServerLeavesAPrefixAndTheSinkGoesOnFromIt) {
  TestServer own({.bin = GetParam(), .port = 21310});
  TestPair there(shared_server(GetParam()), own);
  there.both("CREATE TABLE t (id int PRIMARY KEY, v text, n int)");
  there.start();
  there.on_source(
      "DO $$ BEGIN FOR i IN 1..3000 LOOP INSERT INTO t VALUES (i, 'x', i); COMMIT; END LOOP; END "
      "$$");
  there.capture();
  {
    auto sink = there.sink({.group_transactions_max = 7});
    ASSERT_TRUE(sink->open(there.stream, there.log.epoch).ok());
    TestCursor cursor(there.log);
    auto part = sink->apply(cursor, there.world->after(30ms));
    ASSERT_TRUE(part.ok()) << part.error().what;
    own.stop("immediate");
    EXPECT_FALSE(sink->apply(cursor, there.world->after(1s)).ok() &&
                 sink->apply(cursor, there.world->after(1s)).ok());
  }
  own.start();
  there.reconnect_target();
  auto applied = there.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  there.expect_same_tables();
}

TEST_P(SinkExact, StreamedTransactionsWithAbortedParts) {
  pair.on_source(
      "BEGIN; INSERT INTO t SELECT g, repeat('a', 200), 0 FROM generate_series(1, 2000) g;"
      "SAVEPOINT a; INSERT INTO t SELECT g, repeat('b', 200), 0 FROM generate_series(2001, 4000) "
      "g; UPDATE t SET n = -1 WHERE id < 100; ROLLBACK TO a;"
      "SAVEPOINT b; INSERT INTO t SELECT g, repeat('c', 200), 0 FROM generate_series(3001, 5000) "
      "g; SAVEPOINT c; DELETE FROM t WHERE id < 50; RELEASE c; RELEASE b;"
      "SAVEPOINT d; ALTER TABLE t ADD COLUMN later int; UPDATE t SET later = 1; ROLLBACK TO d; "
      "UPDATE t SET n = 3 WHERE id % 3 = 0; COMMIT");
  pair.on_source("INSERT INTO t VALUES (100000, 'after', 1)");
  pair.on_source(
      "BEGIN; INSERT INTO t SELECT g, repeat('z', 200), 0 FROM generate_series(20001, 25000) g; "
      "ROLLBACK");
  pair.on_source("UPDATE t SET n = 9 WHERE id = 100000");
  pair.capture(true);
  const auto streamed =
      std::count_if(pair.log.records.begin(), pair.log.records.end(),
                    [](const PlacedRecord& r) { return r.record.flags.streamed; });
  const auto aborts =
      std::count_if(pair.log.records.begin(), pair.log.records.end(),
                    [](const PlacedRecord& r) { return r.record.kind == RecordKind::abort; });
  EXPECT_GT(streamed, 10);
  EXPECT_GT(aborts, 1);
  for (const std::uint64_t group_bytes : {4_MiB, 64_KiB}) {
    pair.on_target("TRUNCATE t");
    pair.stream = Uuid::from_random(9, group_bytes);
    auto applied = pair.apply_all({.group_bytes_max = group_bytes});
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    pair.expect_same_tables();
  }
}

TEST_P(SinkExact, MessagesThatAreCutOverRecords) {
  TestPair cut(shared_server(GetParam()), shared_server(GetParam()), 2_KiB);
  cut.both("CREATE TABLE t (id int PRIMARY KEY, v text, b bytea, n int)");
  cut.start();
  cut.on_source(
      "INSERT INTO t SELECT g, repeat('v' || g, g * 137), decode(repeat('ab', g * 100), 'hex'), g "
      "FROM generate_series(1, 60) g");
  cut.on_source(
      "UPDATE t SET v = repeat('w', 20000) WHERE id % 2 = 0; UPDATE t SET n = 0; DELETE FROM t "
      "WHERE id = 33");
  cut.capture();
  for (const bool sets : {true, false}) {
    for (const std::uint64_t group_bytes : {4_MiB, 16_KiB}) {
      cut.on_target("TRUNCATE t");
      cut.stream = Uuid::from_random(10 + sets, group_bytes);
      auto applied = cut.apply_all({.group_bytes_max = group_bytes, .set_based = sets});
      ASSERT_TRUE(applied.ok()) << applied.error().what;
      cut.expect_same_tables();
    }
  }
}

TEST_P(SinkExact, ARowOfManyMegabytes) {
  pair.both(
      "CREATE TABLE w (id int PRIMARY KEY, a text, b bytea, n int); ALTER TABLE w ALTER a SET "
      "STORAGE EXTERNAL, ALTER b SET STORAGE EXTERNAL");
  pair.on_source(
      "BEGIN; INSERT INTO w VALUES (1, 'small', 'x', 0), (2, repeat('wide \\\"', 3000000), "
      "decode(repeat('5c', 2000000), 'hex'), 0), (3, 'small', 'x', 0);"
      "UPDATE w SET n = 1; UPDATE w SET a = a || '!' WHERE id = 2; COMMIT");
  pair.capture();
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(pair.on_both("SELECT string_agg(id || md5(a) || md5(b) || n, ',' ORDER BY id) FROM w"),
            "");
}

TEST_P(SinkExact, AResumeInTheMiddleKnowsTheTablesOfWhatItPassesOver) {
  pair.on_source("INSERT INTO t VALUES (1, 'a', 1)");
  pair.on_source("INSERT INTO t VALUES (2, 'b', 2)");
  pair.capture();
  const TestLog whole = pair.log;
  pair.log.records.resize(2);  // session, first transaction: the only one with a Relation message
  auto first = pair.apply_all();
  ASSERT_TRUE(first.ok()) << first.error().what;
  pair.log = whole;
  auto rest = pair.apply_all();
  ASSERT_TRUE(rest.ok()) << rest.error().what;
  EXPECT_EQ(rest->transactions, 1u);
  pair.expect_same_tables();
}

TEST_P(SinkExact, PreamblesTeachTheTables) {
  pair.on_source("INSERT INTO t VALUES (1, 'a', 1)");
  pair.capture();
  // Take the Relation message out of the transaction and into a preamble before it.
  TestLog log;
  log.add({.kind = RecordKind::session});
  PayloadWriter preamble, rest;
  const Record& transaction = pair.log.records[1].record;
  PayloadReader reader;
  ASSERT_TRUE(reader.feed(transaction.payload, false).ok());
  for (;;) {
    auto message = reader.next();
    ASSERT_TRUE(message.ok());
    if (!*message) break;
    ((*message)->front() == 'R' ? preamble : rest)
        .add(**message, 0, [](const Bytes&, std::uint32_t, bool) {});
  }
  ASSERT_FALSE(preamble.empty());
  log.add({.kind = RecordKind::preamble, .payload = preamble.take_payload()});
  Record without = transaction;
  without.payload = rest.take_payload();
  log.add(without);
  log.add({.kind = RecordKind::heartbeat,
           .commit_time = transaction.commit_time + 1s,
           .position = transaction.position});
  pair.log = log;
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(applied->through, log.last());
  pair.expect_same_tables();
}

TEST_P(SinkExact, HeartbeatsMoveThePlaceAndTheTimeWithoutAWrite) {
  pair.on_source("INSERT INTO t VALUES (1, 'a', 1)");
  pair.capture();
  auto sink = pair.sink({.durable_every = 0s});
  ASSERT_TRUE(sink->open(pair.stream, pair.log.epoch).ok());
  TestCursor cursor(pair.log);
  auto first = sink->apply(cursor, pair.world->after(1s));
  ASSERT_TRUE(first.ok()) << first.error().what;
  EXPECT_EQ(first->durable, first->through);
  const std::string before = pair.target_text("SELECT pg_current_xact_id()");
  const WallTime at = first->commit_time + 5s;
  pair.log.add({.kind = RecordKind::heartbeat, .commit_time = at, .position = Lsn(5).position()});
  auto second = sink->apply(cursor, pair.world->after(1s));
  ASSERT_TRUE(second.ok()) << second.error().what;
  EXPECT_EQ(second->through, pair.log.last());
  EXPECT_EQ(second->durable, pair.log.last());
  EXPECT_EQ(second->commit_time, at);
  EXPECT_EQ(pair.target_text("SELECT pg_current_xact_id()"), std::to_string(std::stoi(before) + 1));
  // So a restart knows nothing of it, and the sink says so.
  EXPECT_EQ(second->recorded, first->recorded);
  EXPECT_LT(second->recorded, second->durable);
  EXPECT_EQ(*sink->open(pair.stream, pair.log.epoch), second->recorded);
}

TEST_P(SinkExact, TheSourcesCommitTimeAndOurOriginAreOnTheRows) {
  many_transactions(2);
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok());
  EXPECT_EQ(pair.on_both("SELECT pg_xact_commit_timestamp(xmin) FROM t WHERE id = 1002"), "");
  EXPECT_EQ(
      pair.target_text("SELECT o.roname FROM t, pg_xact_commit_timestamp_origin(xmin) c JOIN "
                       "pg_replication_origin o ON o.roident = c.roident WHERE id = 1002"),
      origin_name(origin_prefix(pair.stream, pair.target_text(kDatabaseOidSql)), pair.log.epoch));
}

// Origins belong to the whole server.
TEST_P(SinkExact, AnotherDatabaseOfTheServerMayBeATargetOfTheSameStream) {
  many_transactions(2);
  pair.captured_and_applied();
  const auto holding = pair.sink();
  ASSERT_TRUE(holding->open(pair.stream, pair.log.epoch).ok());
  pair.on_target("CREATE DATABASE fs_other");
  std::string other = pair.target_conninfo();
  other.replace(other.find("fs_t"), 4, "fs_other");
  {
    PostgresSink sink(*pair.world, {.conninfo = other, .application_name = "other"}, {});
    const auto through = sink.open(pair.stream, pair.log.epoch);
    ASSERT_TRUE(through.ok()) << through.error().what;
    EXPECT_EQ(*through, Sequence(0));
    sink.close();
  }
  ASSERT_TRUE(
      remove_target(*pair.world, {.conninfo = other, .application_name = "other"}, pair.stream)
          .ok());
  pair.on_target("DROP DATABASE fs_other (FORCE)");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM pg_replication_origin"), "1");
}

TEST_P(SinkExact, ASecondSinkIsRefusedAndNamesTheHolder) {
  auto first = pair.sink();
  ASSERT_TRUE(first->open(pair.stream, pair.log.epoch).ok());
  auto second = pair.sink({.holder_wait = 50ms});
  auto refused = second->open(pair.stream, pair.log.epoch);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::conflict);
  EXPECT_EQ(refused.error().retry, Retry::yes);
  EXPECT_THAT(refused.error().what, AllOf(HasSubstr("pid "), HasSubstr("pg_terminate_backend(")));
  (void)pair.target->wait(pair.world->after(100ms), nullptr);
  // Another epoch is no way round.
  refused = second->open(pair.stream, Epoch(2));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().retry, Retry::no);
  first->close();
  EXPECT_TRUE(pair.sink()->open(pair.stream, Epoch(2)).ok());
}

TEST_P(SinkExact, AnInterruptEndsAWaitForALock) {
  pair.on_source("INSERT INTO t VALUES (1, 'a', 1)");
  pair.capture();
  pair.on_target("BEGIN; LOCK TABLE t");
  auto sink = pair.sink();
  ASSERT_TRUE(sink->open(pair.stream, pair.log.epoch).ok());
  TestCursor cursor(pair.log);
  os::Thread interrupting("interrupt", [&](std::stop_token) {
    (void)pair.source->wait(pair.world->after(200ms), nullptr);
    sink->interrupt();
  });
  const MonotonicTime began = pair.world->now();
  auto applied = sink->apply(cursor, pair.world->after(60s));
  EXPECT_LT(pair.world->now() - began, 10s);
  interrupting.join();
  ASSERT_FALSE(applied.ok());
  EXPECT_EQ(applied.error().retry, Retry::yes);
  EXPECT_NE(applied.error().kind, ErrorKind::closed);
  sink->close();
  pair.on_target("ROLLBACK");
  Result<Applied> again = pair.apply_all();
  for (int i = 0; i < 100 && !again.ok() && again.error().kind == ErrorKind::conflict; ++i) {
    (void)pair.source->wait(pair.world->after(50ms), nullptr);  // the old backend ends
    again = pair.apply_all();
  }
  ASSERT_TRUE(again.ok()) << again.error().what;
  pair.expect_same_tables();
}

TEST_P(SinkExact, ADeadlockWithTheTargetsOwnSessionsIsTriedAgain) {
  pair.on_source("INSERT INTO t SELECT g, 'v', 0 FROM generate_series(1, 10) g");
  pair.captured_and_applied();
  pair.on_source("UPDATE t SET n = 1 WHERE id = 1");
  pair.on_source("UPDATE t SET n = 2 WHERE id = 2");
  pair.capture();
  pair.on_target("SET deadlock_timeout = '60s'; BEGIN; UPDATE t SET v = 'mine' WHERE id = 2");
  os::Thread crossing("crossing", [&](std::stop_token) {
    (void)pair.source->wait(pair.world->after(300ms), nullptr);
    (void)pair.target->query("UPDATE t SET v = 'mine' WHERE id = 1; COMMIT",
                             pair.world->after(60s));
  });
  // Row by row the first row is locked before the second is waited for.
  auto applied = pair.apply_all({.set_based = false});
  crossing.join();
  if (!applied.ok()) {
    EXPECT_EQ(applied.error().retry, Retry::yes) << applied.error().what;
    applied = pair.apply_all();
  }
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(pair.target_text("SELECT string_agg(n::text, ',' ORDER BY id) FROM t WHERE id < 3"),
            "1,2");
}

INSTANTIATE_TEST_SUITE_P(Servers, SinkExact, testing::ValuesIn(server_bin_folders()), version_name);

}  // namespace
}  // namespace farshore::postgres
