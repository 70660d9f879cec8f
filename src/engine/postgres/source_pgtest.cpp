// The source against real servers of each version that is here: what comes, and how sessions begin
// and end. Its slot: source_slot_pgtest.cpp.
#include "change/remedy.h"
#include "engine/postgres/capture_session.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/source_fixture.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::HasSubstr;

INSTANTIATE_TEST_SUITE_P(Servers, SourceOnServer, testing::ValuesIn(server_bin_folders()),
                         server_name);

TEST_P(SourceOnServer, GivesEachTransactionAsARecordInCommitOrder) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t VALUES (1, 'a'), (2, 'b')");
  database_.run("BEGIN; UPDATE t SET v = 'c' WHERE id = 1; DELETE FROM t WHERE id = 2; COMMIT");
  database_.run("TRUNCATE t");
  const auto records = only(stream.read_transactions(3), RecordKind::data);
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(letters_of({records[0]}), "BRIIC");
  EXPECT_EQ(changes_of({records[1]}), "BUDC");
  EXPECT_EQ(changes_of({records[2]}), "BTC");
  EXPECT_EQ(records[0].changes, 2u);
  EXPECT_EQ(records[2].changes, 1u);
  for (const Record& record : records) {
    EXPECT_TRUE(record.flags.first && record.flags.last && !record.flags.streamed);
    EXPECT_GT(record.xid, 0u);
    EXPECT_LT(test_world().clock().wall() - record.commit_time, 60s);
    EXPECT_FALSE(record.position.empty());
  }
  EXPECT_LT(*Lsn::from(records[0].position), *Lsn::from(records[1].position));
}

TEST_P(SourceOnServer, AServerThatDoesNotWriteLogicalLogIsNamedWithTheLineToPaste) {
  TestServer server(
      {.bin = GetParam(), .port = 21360 + port_offset(), .settings = {"wal_level = replica"}});
  TestDatabase database(server);
  TestStream stream(database);
  stream.source = make_source(test_world(), stream.options);
  const auto started = stream.source->start({}, TestStream::accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().retry, Retry::no);
  EXPECT_THAT(started.error().what, HasSubstr("wal_level is 'replica': nothing can be captured"));
  EXPECT_THAT(split_remedy(started.error().what).remedy,
              testing::StartsWith("ALTER SYSTEM SET wal_level = 'logical';  -- restart the server, "
                                  "then `farshore stream resume"));
}

TEST_P(SourceOnServer, SaysWhoItIs) {
  TestStream stream(database_);
  stream.start();
  const std::string system = database_.value("SELECT system_identifier FROM pg_control_system()");
  const std::string oid =
      database_.value("SELECT oid FROM pg_database WHERE datname = current_database()");
  EXPECT_EQ(stream.identity.text, "system=" + system + " timeline=1 database=" + oid +
                                      " slot=" + slot_name(stream.options.stream));
}

TEST_P(SourceOnServer, SaysWhileNoTableIsInTheStream) {
  TestStream stream(database_, {{.match = "public.orders"}});
  stream.options.region = "us-east-1";
  stream.start();
  EXPECT_THAT(stream.source->progress().no_tables,
              HasSubstr("`farshore check orders --region us-east-1` says what is wrong"));
  const auto has_none = [&] { return !stream.source->progress().no_tables.empty(); };
  database_.run("CREATE TABLE orders (id int PRIMARY KEY)");
  EXPECT_TRUE(eventually([&] { return !has_none(); }));
  database_.run("DROP TABLE orders");
  EXPECT_TRUE(eventually(has_none));
}

TEST_P(SourceOnServer, ResumesAfterAPositionWithoutLossAndWithoutRepeat) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  for (int i = 0; i < 10; ++i) database_.run("INSERT INTO t VALUES (" + std::to_string(i) + ")");
  const auto before = only(stream.read_transactions(10), RecordKind::data);
  ASSERT_EQ(before.size(), 10u);
  stream.start(before[3].position);
  const auto again = only(stream.read_transactions(6), RecordKind::data);
  ASSERT_EQ(again.size(), 6u);
  for (std::size_t i = 0; i < 6; ++i) {
    EXPECT_EQ(again[i].xid, before[4 + i].xid);
    EXPECT_EQ(again[i].position, before[4 + i].position);
  }
}

TEST_P(SourceOnServer, PreambleHoldsRelationsAndTypesOfTheSession) {
  database_.run(
      "CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE TABLE t (id int PRIMARY KEY, m mood)");
  TestStream stream(database_);
  stream.start();
  EXPECT_TRUE(stream.source->preamble().empty());
  database_.run("INSERT INTO t VALUES (1, 'sad')");
  ASSERT_EQ(letters_of(stream.read_transactions(1)), "BYRIC");
  const auto preamble = stream.source->preamble();
  ASSERT_EQ(preamble.size(), 1u);
  EXPECT_EQ(letters_of({{.kind = RecordKind::preamble, .payload = preamble[0]}}), "YR");
}

TEST_P(SourceOnServer, NamesInValuesComeWithTheirSchema) {
  database_.run("CREATE TABLE named (id int PRIMARY KEY); CREATE TABLE t (r regclass PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t VALUES ('named')");
  const auto records = only(stream.read_transactions(1), RecordKind::data);
  ASSERT_EQ(records.size(), 1u);
  EXPECT_THAT(std::string(records[0].payload), HasSubstr("public.named"));
}

TEST_P(SourceOnServer, StreamsALargeTransactionWhileItRunsAndMarksItsAbortedParts) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.start();
  TestSession big(database_.conninfo());
  big.run("BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 3000) i");
  big.run(
      "SAVEPOINT s; INSERT INTO t SELECT i, repeat('y', 100) FROM generate_series(3001, 6000) i");
  database_.run("INSERT INTO t VALUES (0, 'small')");  // makes the server decode, and stream
  big.run("ROLLBACK TO s; INSERT INTO t SELECT i, 'z' FROM generate_series(9001, 12000) i; COMMIT");
  const auto records = stream.read_transactions(2);

  std::uint64_t changes = 0, aborts = 0, sub_xid = 0, firsts = 0;
  std::vector<Record> streamed;
  for (const Record& record : records) {
    if (record.kind == RecordKind::abort) {
      ++aborts;
      sub_xid = record.sub_xid;
    }
    if (record.kind == RecordKind::data && record.flags.streamed) streamed.push_back(record);
  }
  ASSERT_GT(streamed.size(), 2u);
  std::uint64_t aborted_changes = 0;
  PayloadReader reader;
  for (const Record& record : streamed) {
    changes += record.changes;
    firsts += record.flags.first ? 1 : 0;
    EXPECT_EQ(record.xid, streamed[0].xid);
    ASSERT_TRUE(reader.feed(record.payload, record.flags.continued).ok());
    for (auto message = reader.next(); *message; message = reader.next()) {
      auto decoded = decode(**message, true);
      ASSERT_TRUE(decoded.ok()) << decoded.error().what;
      if (const auto* insert = std::get_if<Insert>(&*decoded))
        aborted_changes += insert->xid == sub_xid ? 1 : 0;
    }
  }
  EXPECT_EQ(aborts, 1u);
  EXPECT_NE(sub_xid, 0u);
  EXPECT_EQ(firsts, 1u);
  EXPECT_EQ(changes - aborted_changes, 6000u);
  EXPECT_TRUE(streamed.back().flags.last);
  EXPECT_EQ(letters_of({streamed.back()}), "c");
}

TEST_P(SourceOnServer, AStreamedTransactionThatRollsBackEndsInAnAbort) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.start();
  TestSession big(database_.conninfo());
  big.run("BEGIN; INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 6000) i");
  database_.run("INSERT INTO t VALUES (0, 'small')");
  (void)stream.read_transactions(1);
  big.run("ROLLBACK");
  const auto records = stream.read(
      [](const auto& all) { return !all.empty() && all.back().kind == RecordKind::abort; });
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records.back().kind, RecordKind::abort);
  EXPECT_EQ(records.back().sub_xid, 0u);
}

TEST_P(SourceOnServer, ARowOf100MegabytesIsCutIntoRecordsAndComesTogetherAgain) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t VALUES (1, repeat('0123456789', 10000000))");
  const auto records = only(stream.read_transactions(1, 60s), RecordKind::data);
  ASSERT_GT(records.size(), 95u);
  PayloadReader reader;
  std::uint64_t bytes = 0;
  for (const Record& record : records) {
    EXPECT_LE(record.payload.size(), kRecordPayloadMax);
    ASSERT_TRUE(reader.feed(record.payload, record.flags.continued).ok());
    for (auto message = reader.next(); *message; message = reader.next()) {
      auto decoded = decode(**message, record.flags.streamed);
      ASSERT_TRUE(decoded.ok()) << decoded.error().what;
      const auto* insert = std::get_if<Insert>(&*decoded);
      if (insert == nullptr) continue;
      TupleReader values(insert->row);
      (void)values.next();
      bytes += values.next()->bytes.size();
    }
  }
  EXPECT_TRUE(reader.at_message_end());
  EXPECT_EQ(bytes, 100000000u);
}

TEST_P(SourceOnServer, AHeartbeatIsARecordAndOtherMessagesAreNot) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  database_.run("SELECT pg_logical_emit_message(true, 'of.others', 'x')");
  database_.run("SELECT pg_logical_emit_message(false, 'farshore.heartbeat', 'x')");
  database_.run("SELECT pg_logical_emit_message(true, 'farshore.heartbeat', 'x')");
  database_.run(
      "BEGIN; INSERT INTO t VALUES (1); SELECT "
      "pg_logical_emit_message(true, 'of.others', 'x'); COMMIT");
  const auto records = stream.read_transactions(1);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].kind, RecordKind::heartbeat);
  EXPECT_NE(records[0].commit_time, WallTime{});
  EXPECT_FALSE(records[0].position.empty());
  EXPECT_EQ(changes_of({records[1]}), "BIC");
}

TEST_P(SourceOnServer, TransactionsOfOurOriginsDoNotComeAndThoseOfOthersDo) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  auto as_origin = [&](const std::string& name, const std::string& sql) {
    TestSession session(database_.conninfo());
    session.run("SELECT pg_replication_origin_create('" + name + "')");
    session.run("SELECT pg_replication_origin_session_setup('" + name + "')");
    session.run(sql);
    session.run("SELECT pg_replication_origin_session_reset()");
    session.run("SELECT pg_replication_origin_drop('" + name + "')");
  };
  as_origin("farshore_00000000000000000000000000000000_1", "INSERT INTO t VALUES (1)");
  as_origin("farshore_00000000000000000000000000000000_1",
            "INSERT INTO t SELECT generate_series(1000, 9000)");
  as_origin("elsewhere", "INSERT INTO t VALUES (2)");
  database_.run("INSERT INTO t VALUES (3)");
  const auto all = stream.read_transactions(2);
  const auto records = only(all, RecordKind::data);
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(changes_of({records[0]}), "BOIC");
  EXPECT_EQ(changes_of({records[1]}), "BIC");
  // The server told of the relation in a transaction that was dropped.
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all[0].kind, RecordKind::schema);
  EXPECT_EQ(letters_of({all[0]}), "R");
  EXPECT_EQ(stream.source->preamble().size(), 1u);
}

TEST_P(SourceOnServer, TypesComeAsTheServerPrintsThem) {
  database_.run(
      "CREATE TYPE pair AS (a int, b text); CREATE TABLE t (id int PRIMARY KEY, "
      "n numeric, d date, i interval, f float8, p pair, a int[][], j jsonb, y bytea)");
  TestStream stream(database_);
  stream.start();
  database_.run(
      "SET datestyle = 'German'; SET intervalstyle = 'iso_8601'; SET extra_float_digits = 0;"
      "INSERT INTO t VALUES (1, 'NaN', 'infinity', '1 day 2 hours', 0.1, (1, 'x y'), "
      "'{{1,2},{3,4}}', '{\"k\": 1}', '\\x00ff')");
  const auto records = stream.read_transactions(1);
  PayloadReader reader;
  ASSERT_TRUE(reader.feed(records[0].payload, false).ok());
  std::vector<std::string> values;
  for (auto message = reader.next(); *message; message = reader.next()) {
    auto decoded = decode(**message, false);
    if (const auto* insert = std::get_if<Insert>(&*decoded))
      for (TupleReader row(insert->row); auto value = row.next();)
        values.emplace_back(value->bytes);
  }
  EXPECT_THAT(values,
              testing::ElementsAre("1", "NaN", "infinity", "1 day 02:00:00", "0.1", "(1,\"x y\")",
                                   "{{1,2},{3,4}}", "{\"k\": 1}", "\\x00ff"));
}

TEST_P(SourceOnServer, AWalsenderSpeaksInTimeWhateverTheServersTimeoutIs) {
  const auto bounded = [&](const std::string& timeout) {
    auto session = Connection::open(test_world(),
                                    {.conninfo = database_.conninfo(),
                                     .application_name = "test",
                                     .replication = true,
                                     .settings = {{"wal_sender_timeout", timeout}}},
                                    soon());
    FARSHORE_CHECK(session.ok(), "{}", session.error().what);
    const auto done = bound_sender_timeout(**session, soon());
    EXPECT_TRUE(done.ok()) << done.error().what;
    return std::string((*session)->query("SHOW wal_sender_timeout", soon())->text(0, 0));
  };
  EXPECT_EQ(bounded("10min"), "1min");
  EXPECT_EQ(bounded("0"), "1min");
  EXPECT_EQ(bounded("3s"), "3s");
}

TEST_P(SourceOnServer, AnInterruptedNextReturnsAtOnce) {
  TestStream stream(database_);
  stream.start();
  const MonotonicTime before = test_world().now();
  os::Thread other("interrupts", [&](std::stop_token) { stream.source->interrupt(); });
  auto records = stream.source->next(soon(30s));
  EXPECT_TRUE(records.ok());
  EXPECT_TRUE(stream.source->next(soon(30s)).ok());  // sticky
  EXPECT_LT(test_world().now() - before, 5s);
}

TEST_P(SourceOnServer, AnEndedSessionIsTriedAgainAndLosesNothing) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t VALUES (1)");
  const auto first = stream.read_transactions(1);
  database_.run(
      "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots WHERE slot_name = '" +
      slot_name(stream.options.stream) + "'");
  database_.run("INSERT INTO t VALUES (2)");
  for (;;) {
    auto records = stream.source->next(soon(5s));
    if (records.ok()) continue;
    EXPECT_EQ(records.error().kind, ErrorKind::unavailable);
    EXPECT_EQ(records.error().retry, Retry::yes);
    EXPECT_THAT(records.error().what, HasSubstr("57P01"));
    break;
  }
  stream.start(first.back().position);
  const auto second = stream.read_transactions(1);
  ASSERT_EQ(only(second, RecordKind::data).size(), 1u);
  EXPECT_NE(second.back().xid, first.back().xid);
}

TEST_P(SourceOnServer, NothingIsMadeAtAServerThatIsNotAccepted) {
  TestStream stream(database_);
  stream.source = make_source(test_world(), stream.options);
  const auto started = stream.source->start({}, [](const SourceIdentity&) -> Result<void> {
    return permanent(ErrorKind::conflict, "another server");
  });
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().what, "another server");
  EXPECT_EQ(database_.value("SELECT count(*) FROM pg_publication"), "0");
  EXPECT_EQ(of_slot(stream, "count(*)"), "0");
}

TEST_P(SourceOnServer, RemoveLeavesNothingBehind) {
  TestStream stream(database_);
  stream.start();
  ASSERT_TRUE(remove_source(test_world(), stream.options).ok());
  ASSERT_TRUE(remove_source(test_world(), stream.options).ok());
  EXPECT_EQ(database_.value("SELECT count(*) FROM pg_publication"), "0");
}

}  // namespace
}  // namespace farshore::postgres
