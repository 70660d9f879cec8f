// The initial copy's reader on real servers.
#include <gmock/gmock.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "engine/postgres/catalog.h"
#include "engine/postgres/snapshot.h"
#include "engine/postgres/test_database.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class SnapshotOnServer : public testing::TestWithParam<std::string> {
 protected:
  SnapshotSource& snapshot(const TestStream& stream) {
    snapshot_ = make_snapshot_source(test_world(), stream.options);
    return *snapshot_;
  }
  // Of what `sql` makes, in a stream that has started.
  SnapshotSource& snapshot_of(const std::string& sql) {
    database_.run(sql);
    stream_.emplace(database_).start();
    return snapshot(*stream_);
  }
  std::vector<SourceTable> tables(SnapshotSource& source) {
    auto tables = source.tables();
    FARSHORE_CHECK(tables.ok(), "{}", tables.error().what);
    return *tables;
  }
  std::unique_ptr<TableRows> open(SnapshotSource& source, const SourceTable& table) {
    auto rows = source.open(table, soon());
    FARSHORE_CHECK(rows.ok(), "{}", rows.error().what);
    return *std::move(rows);
  }
  Bytes read_all(TableRows& rows) {
    Bytes all;
    for (;;) {
      auto chunk = rows.next(soon());
      FARSHORE_CHECK(chunk.ok(), "{}", chunk.error().what);
      if (chunk->empty()) return all;
      all += *chunk;
    }
  }
  std::vector<std::string> names(const std::vector<SourceTable>& tables) {
    std::vector<std::string> out;
    out.reserve(tables.size());
    for (const SourceTable& table : tables) out.push_back(table.name);
    return out;
  }

  TestServer& server_ = shared_server(GetParam(), 21200);
  TestDatabase database_{server_};
  std::optional<TestStream> stream_;
  std::unique_ptr<SnapshotSource> snapshot_;
};

INSTANTIATE_TEST_SUITE_P(Servers, SnapshotOnServer, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(SnapshotOnServer, BeforeTheStreamStartedThereIsNothingToCopyYet) {
  TestStream stream(database_);
  auto tables = snapshot(stream).tables();
  ASSERT_FALSE(tables.ok());
  EXPECT_EQ(tables.error().kind, ErrorKind::not_found);
  EXPECT_EQ(tables.error().retry, Retry::yes);
}

TEST_P(SnapshotOnServer, RowsComeAsTextOrBinaryWithoutGeneratedColumns) {
  auto& source = snapshot_of(
      "CREATE TYPE mood AS ENUM ('sad', 'glad');"
      "CREATE TABLE a (id int PRIMARY KEY, m mood, g int GENERATED ALWAYS AS (id * 2) STORED);"
      "CREATE TABLE b (id int PRIMARY KEY, v text);"
      "INSERT INTO a VALUES (1, 'glad'), (2, NULL); INSERT INTO b VALUES (1, 'x'), (2, 'y')");
  const auto all = tables(source);
  ASSERT_THAT(names(all), ElementsAre("public.a", "public.b"));
  auto rows = open(source, all[0]);
  EXPECT_EQ(read_all(*rows), "t1\tglad\n2\t\\N\n");
  EXPECT_EQ(rows->rows_read(), 2u);
  rows = open(source, all[1]);
  const Bytes binary = read_all(*rows);
  EXPECT_EQ(binary.substr(0, 12), ByteView("bPGCOPY\n\377\r\n\0", 12));
  EXPECT_EQ(rows->rows_read(), 2u);
}

TEST_P(SnapshotOnServer, ALargeTableComesInChunksAndMayTimeOutInBetween) {
  auto& source = snapshot_of(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
  auto rows = open(source, tables(source)[0]);
  std::uint64_t bytes = 0, chunks = 0;
  for (;;) {
    auto chunk = rows->next(Deadline::passed());
    if (!chunk.ok()) {
      ASSERT_EQ(chunk.error().kind, ErrorKind::timeout);
      os::poll_fd(-1, false, false, soon(1ms));
      continue;
    }
    if (chunk->empty()) break;
    EXPECT_TRUE(chunks > 0 || chunk->front() == 'b');
    EXPECT_LE(chunk->size(), 256_KiB);
    bytes += chunk->size();
    ++chunks;
  }
  EXPECT_EQ(rows->rows_read(), 5000u);
  EXPECT_EQ(bytes, 1 + 21u + 5000u * (2 + 4 + 4 + 4 + 1000));
  EXPECT_GT(chunks, 10u);
}

TEST_P(SnapshotOnServer, TheMarkNamesExactlyTheTransactionsWhoseRowsWereCopied) {
  auto& source = snapshot_of("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  auto rows = open(source, tables(source)[0]);
  database_.run("INSERT INTO t VALUES (2)");
  const std::string later = database_.value("SELECT xmin FROM t WHERE id = 2");
  const std::string earlier = database_.value("SELECT xmin FROM t WHERE id = 1");
  const auto mark = nlohmann::json::parse(rows->mark());
  const std::string text = mark["snapshot"];
  auto visible = [&](const std::string& xid) {
    return database_.value("SELECT pg_visible_in_snapshot('" + xid + "'::xid8, '" + text +
                           "'::pg_snapshot)");
  };
  EXPECT_EQ(visible(earlier), "t");
  EXPECT_EQ(visible(later), "f");
  EXPECT_EQ(
      database_.value("SELECT '" + std::string(mark["lsn"]) + "'::pg_lsn <= pg_current_wal_lsn()"),
      "t");
  // Binary COPY of one int: 21 of header and trailer, 10 of the row.
  EXPECT_EQ(read_all(*rows).size(), 1 + 21 + 10u);
}

TEST_P(SnapshotOnServer, WaitsForTransactionsThatRanAndNamesTheOneItWaitsFor) {
  auto& source = snapshot_of("CREATE TABLE t (id int PRIMARY KEY)");
  const auto all = tables(source);
  TestSession running(database_.conninfo());
  running.run("BEGIN; INSERT INTO t VALUES (1)");
  auto rows = source.open(all[0], soon(500ms));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().kind, ErrorKind::timeout);
  EXPECT_THAT(rows.error().what, HasSubstr("pid " + running.value("SELECT pg_backend_pid()")));
  EXPECT_THAT(rows.error().what, HasSubstr("since 20"));
  running.run("COMMIT");
  auto opened = open(source, all[0]);
  read_all(*opened);
  EXPECT_EQ(opened->rows_read(), 1u);
}

TEST_P(SnapshotOnServer, APreparedTransactionIsNamed) {
  auto& source = snapshot_of("CREATE TABLE t (id int PRIMARY KEY)");
  const auto all = tables(source);
  TestSession session(database_.conninfo());
  session.run("BEGIN; INSERT INTO t VALUES (1); PREPARE TRANSACTION 'forgotten'");
  auto rows = source.open(all[0], soon(300ms));
  session.run("ROLLBACK PREPARED 'forgotten'");
  ASSERT_FALSE(rows.ok());
  EXPECT_THAT(rows.error().what, HasSubstr("'forgotten'"));
}

TEST_P(SnapshotOnServer, ACommitThatHangsInASynchronousWaitIsWaitedFor) {
  auto& source = snapshot_of("CREATE TABLE t (id int PRIMARY KEY)");
  const auto all = tables(source);
  TestSession admin(server_.conninfo());
  admin.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'");
  admin.run("SELECT pg_reload_conf()");
  std::atomic<int> pid = 0;
  os::Thread commit("commit", [&](std::stop_token) {
    TestSession session(database_.conninfo());
    eventually([&] { return session.value("SHOW synchronous_standby_names") == "nobody"; });
    pid = std::stoi(session.value("SELECT pg_backend_pid()"));
    session.run("SET synchronous_commit = on; INSERT INTO t VALUES (1)");
  });
  ASSERT_TRUE(eventually([&] {
    return database_.value("SELECT wait_event FROM pg_stat_activity WHERE pid = " +
                           std::to_string(pid)) == "SyncRep";
  }));
  // Decoded already, and not yet visible.
  EXPECT_EQ(letters_of(stream_->read_transactions(1)), "BRIC");
  EXPECT_EQ(database_.value("SELECT count(*) FROM t"), "0");
  auto rows = source.open(all[0], soon(500ms));
  admin.run("ALTER SYSTEM RESET synchronous_standby_names");
  admin.run("SELECT pg_reload_conf()");
  ASSERT_FALSE(rows.ok());
  EXPECT_THAT(rows.error().what, HasSubstr("waits for SyncRep"));
  auto opened = open(source, all[0]);
  read_all(*opened);
  EXPECT_EQ(opened->rows_read(), 1u);
}

TEST_P(SnapshotOnServer, TheCopyGivesWayToTheApplicationsLocks) {
  auto& source = snapshot_of(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i");
  auto rows = open(source, tables(source)[0]);
  ASSERT_TRUE(rows->next(soon()).ok());
  const MonotonicTime began = test_world().now();
  database_.run("SET lock_timeout = '10s'; TRUNCATE t");
  EXPECT_LT(test_world().now() - began, 5s);
  for (;;) {
    auto chunk = rows->next(soon());
    if (chunk.ok()) {
      ASSERT_FALSE(chunk->empty());
      continue;
    }
    EXPECT_EQ(chunk.error().kind, ErrorKind::conflict) << chunk.error().what;
    EXPECT_EQ(chunk.error().retry, Retry::yes);
    break;
  }
}

TEST_P(SnapshotOnServer, TheCopyGoesOnWhileSessionsWaitForOthers) {
  auto& source = snapshot_of(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i");
  auto rows = open(source, tables(source)[0]);
  TestSession building(database_.conninfo()), writing(database_.conninfo());
  building.run("BEGIN; LOCK TABLE t IN SHARE MODE");
  os::Thread waiting("waiting", [&](std::stop_token) { writing.run("INSERT INTO t VALUES (0)"); });
  ASSERT_TRUE(eventually(
      [&] { return database_.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"; }));
  os::poll_fd(-1, false, false, soon(600ms));  // the watcher has looked
  const auto chunk = rows->next(soon());
  EXPECT_TRUE(chunk.ok()) << chunk.error().what;
  building.run("COMMIT");
  waiting.join();
  read_all(*rows);
  EXPECT_EQ(rows->rows_read(), 50000u);
}

TEST_P(SnapshotOnServer, ARewriteThatCommitsWhileTheCopyWaitsForItsLockHidesNoRows) {
  auto& source = snapshot_of(
      "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1), (2, 2)");
  const auto all = tables(source);
  TestSession older(database_.conninfo()), rewriting(database_.conninfo());
  older.run("BEGIN; SELECT pg_current_xact_id()");
  std::unique_ptr<TableRows> rows;
  os::Thread copy("copy", [&](std::stop_token) { rows = open(source, all[0]); });
  ASSERT_TRUE(eventually([&] {  // the copy waits for `older`, and then for what began after that
    return database_.value(
               "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%snapshot_xmin%'"
               " AND pid <> pg_backend_pid()") != "0";
  }));
  rewriting.run("BEGIN; ALTER TABLE t ALTER v TYPE int USING v + 0");
  older.run("COMMIT");
  ASSERT_TRUE(eventually(
      [&] { return database_.value("SELECT count(*) FROM pg_locks WHERE NOT granted") == "1"; }));
  rewriting.run("COMMIT");
  copy.join();
  read_all(*rows);
  EXPECT_EQ(rows->rows_read(), 2u);
}

TEST_P(SnapshotOnServer, WithoutASessionThatWatchesNoLockIsTaken) {
  const std::string role = "one_" + database_.name();
  database_.run("CREATE TABLE t (id int PRIMARY KEY); CREATE ROLE " + role +
                " LOGIN CONNECTION LIMIT 1; GRANT SELECT ON t TO " + role);
  TestStream stream(database_);
  stream.start();
  TestStream reader(database_);
  reader.options.stream = stream.options.stream;
  std::string& conninfo = reader.options.conninfo;
  conninfo.replace(conninfo.find("user=postgres"), 13, "user=" + role);
  auto& source = snapshot(reader);
  auto rows = source.open(tables(source)[0], soon());
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().retry, Retry::yes);
  EXPECT_THAT(rows.error().what, HasSubstr("table public.t is not copied without a session"));
}

TEST_P(SnapshotOnServer, AWatchingSessionThatBreaksIsOpenedAgainOrTheCopyEnds) {
  const std::string role = "watched_" + database_.name();
  database_.run(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 50000) i;"
      "CREATE ROLE " +
      role + " LOGIN; GRANT SELECT ON t TO " + role);
  TestStream stream(database_);
  stream.start();
  TestStream reader(database_);
  reader.options.stream = stream.options.stream;
  reader.options.unwatched_max = 2s;
  std::string& conninfo = reader.options.conninfo;
  conninfo.replace(conninfo.find("user=postgres"), 13, "user=" + role);
  auto& source = snapshot(reader);
  auto rows = open(source, tables(source)[0]);
  const auto watchers = [&] {
    return database_.value(
        "SELECT string_agg(pid::text, ',') FROM pg_stat_activity WHERE usename = '" + role +
        "' AND application_name LIKE '% copy watch'");
  };
  const auto end = [&](const std::string& pid) {
    database_.run("SELECT pg_terminate_backend(" + pid + ", 5000)");
  };
  const std::string first = watchers();
  end(first);
  ASSERT_TRUE(eventually([&] { return !watchers().empty() && watchers() != first; }));
  ASSERT_TRUE(rows->next(soon()).ok());

  database_.run("ALTER ROLE " + role + " CONNECTION LIMIT 1");
  end(watchers());
  ASSERT_TRUE(eventually([&] { return !rows->held().ok(); }));
  Error error;
  ASSERT_TRUE(eventually([&] {
    const auto chunk = rows->next(soon());
    if (!chunk.ok()) error = chunk.error();
    return !chunk.ok() || chunk->empty();
  }));
  EXPECT_EQ(error.kind, ErrorKind::unavailable);
  EXPECT_EQ(error.retry, Retry::yes);
  EXPECT_THAT(error.what, HasSubstr("table public.t: the session that watches for those who wait"));
}

// A list may be hours old when the turn of a table comes.
TEST_P(SnapshotOnServer, ATableThatIsNotWhatWasListedIsNotCopied) {
  auto& source = snapshot_of(
      "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1);"
      "CREATE TABLE u (id int PRIMARY KEY)");
  const auto listed = tables(source);
  const auto refused = [&](const SourceTable& table, const char* why) {
    const auto rows = source.open(table, soon());
    ASSERT_FALSE(rows.ok());
    EXPECT_EQ(rows.error().retry, Retry::yes);
    EXPECT_THAT(rows.error().what, HasSubstr(why));
  };
  database_.run("ALTER TABLE t ADD c bigint; UPDATE t SET c = 10; DROP TABLE u");
  refused(listed[0], "table public.t: its columns changed");
  refused(listed[1], "table public.u: it was dropped or renamed");
  database_.run("ALTER TABLE t DROP c; ALTER TABLE t ALTER v TYPE real");
  refused(listed[0], "table public.t: its columns changed");
  const auto now = tables(source);
  EXPECT_EQ(read_all(*open(source, now[0])).empty(), false);
  database_.run("ALTER TABLE t RENAME TO t_old; CREATE TABLE t (LIKE t_old INCLUDING ALL)");
  refused(now[0], "table public.t: another table bears its name by now");
}

// Others see it, and a crash of the server takes it back.
TEST_P(SnapshotOnServer, WhatIsNotFlushedIsNotCopiedBeforeItIs) {
  database_.run("ALTER SYSTEM SET wal_writer_delay = '1s'");
  database_.run("SELECT pg_reload_conf()");
  auto& source = snapshot_of("CREATE TABLE t (id int PRIMARY KEY)");
  const auto listed = tables(source);
  database_.run("SET synchronous_commit = off; INSERT INTO t VALUES (1)");
  const std::string end = database_.value("SELECT pg_current_wal_insert_lsn()");
  read_all(*open(source, listed[0]));
  EXPECT_EQ(database_.value("SELECT pg_current_wal_flush_lsn() >= '" + end + "'"), "t");
  database_.run("ALTER SYSTEM RESET wal_writer_delay");
  database_.run("SELECT pg_reload_conf()");
}

TEST_P(SnapshotOnServer, PartitionsAreCopiedUnderTheirOwnNamesOrThroughTheirRoot) {
  database_.run(
      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20);"
      "INSERT INTO p VALUES (1), (2), (11)");
  {
    TestStream leaves(database_);
    leaves.start();
    auto& source = snapshot(leaves);
    const auto all = tables(source);
    ASSERT_THAT(names(all), ElementsAre("public.p", "public.p_1", "public.p_2"));
    std::vector<std::uint64_t> counts;
    for (const SourceTable& table : all) {
      auto rows = open(source, table);
      read_all(*rows);
      counts.push_back(rows->rows_read());
    }
    EXPECT_THAT(counts, ElementsAre(0u, 2u, 1u));
    const auto part = *table_from_json(all[1].definition);
    EXPECT_EQ(part.parent_name, "p");
    EXPECT_EQ(part.partition_bound, "FOR VALUES FROM (0) TO (10)");
    EXPECT_EQ(table_from_json(all[0].definition)->partition_by, "RANGE (id)");
  }
  TestStream root(database_);
  root.options.publish_via_partition_root = true;
  root.start();
  auto& source = snapshot(root);
  const auto all = tables(source);
  ASSERT_THAT(names(all), ElementsAre("public.p"));
  EXPECT_EQ(table_from_json(all[0].definition)->partitions.size(), 2u);
  auto rows = open(source, all[0]);
  read_all(*rows);
  EXPECT_EQ(rows->rows_read(), 3u);
}

// What it is copied under then would not be what it is once listed.
TEST_P(SnapshotOnServer, APartitionIsCopiedOnceItIsListedOrWhileItCannotBe) {
  database_.run(
      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE p_1 PARTITION OF p FOR VALUES FROM (0) TO (10)");
  TestStream stream(database_);
  stream.options.refresh_every = 1h;
  stream.start();
  database_.run(
      "CREATE TABLE p_2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);"
      "CREATE TABLE p_21 PARTITION OF p_2 FOR VALUES FROM (10) TO (20)");
  auto& source = snapshot(stream);
  EXPECT_THAT(names(tables(source)), ElementsAre("public.p", "public.p_1", "public.p_2"));
  database_.run("BEGIN; LOCK TABLE p_21 IN SHARE UPDATE EXCLUSIVE MODE");
  EXPECT_THAT(names(tables(source)),
              ElementsAre("public.p", "public.p_1", "public.p_2", "public.p_21"));
  database_.run("COMMIT");
  stream.source->stop();
  stream.start();
  EXPECT_THAT(names(tables(source)),
              ElementsAre("public.p", "public.p_1", "public.p_2", "public.p_21"));
}

TEST_P(SnapshotOnServer, RowsThatAPolicyHidesAreAnErrorAndNeverLeftOut) {
  const std::string role = "reader_" + database_.name();
  database_.run(
      "CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1), (2);"
      "ALTER TABLE t ENABLE ROW LEVEL SECURITY;"
      "CREATE POLICY p ON t USING (id = 1);"
      "CREATE ROLE " +
      role + " LOGIN; GRANT SELECT ON t TO " + role);
  TestStream stream(database_);
  stream.start();
  TestStream reader(database_);
  reader.options.stream = stream.options.stream;
  std::string& conninfo = reader.options.conninfo;
  conninfo.replace(conninfo.find("user=postgres"), 13, "user=" + role);
  auto& source = snapshot(reader);
  auto rows = source.open(tables(source)[0], soon());
  ASSERT_FALSE(rows.ok());
  EXPECT_THAT(rows.error().what, HasSubstr("row-level security"));
}

TEST_P(SnapshotOnServer, DefinitionsSayAllThatATargetTableIsMadeFrom) {
  auto& source = snapshot_of(
      "CREATE SCHEMA shop; CREATE TYPE shop.mood AS ENUM ('sad', 'glad \"x\"');"
      "CREATE DOMAIN shop.positive AS int CHECK (VALUE > 0);"
      "CREATE TYPE shop.pair AS (a shop.positive, b shop.mood[]);"
      "CREATE TYPE shop.span AS RANGE (subtype = float8);"
      "CREATE SEQUENCE shop.loose; CREATE TABLE shop.parent (id int PRIMARY KEY);"
      "CREATE TABLE shop.\"T\" (id bigint GENERATED ALWAYS AS IDENTITY, n numeric(10,2) NOT NULL "
      "DEFAULT 1.5,"
      " s serial, l int DEFAULT nextval('shop.loose'), p shop.pair, r shop.span, m shop.mood[],"
      " c text COLLATE \"C\", g int GENERATED ALWAYS AS (s * 2) STORED, f int REFERENCES "
      "shop.parent,"
      " PRIMARY KEY (id), UNIQUE (s, n), CHECK (n > 0)) WITH (fillfactor = 70);"
      "CREATE INDEX by_c ON shop.\"T\" (lower(c)) WHERE l > 0;"
      "CREATE UNIQUE INDEX by_two ON shop.\"T\" (s DESC, id) INCLUDE (l);"
      "CREATE DOMAIN shop.still_positive AS shop.positive;"
      "ALTER TABLE shop.\"T\" ADD d shop.still_positive");
  const auto all = tables(source);
  ASSERT_THAT(names(all), ElementsAre("shop.\"T\"", "shop.parent"));
  auto parsed = table_from_json(all[0].definition);
  ASSERT_TRUE(parsed.ok()) << parsed.error().what;
  const TableDefinition& t = *parsed;
  EXPECT_EQ(t.column("id")->identity, "a");
  EXPECT_EQ(t.column("n")->type, "numeric(10,2)");
  EXPECT_TRUE(t.column("n")->not_null);
  EXPECT_EQ(t.column("n")->default_expression, "1.5");
  EXPECT_EQ(t.column("l")->default_expression, "nextval('shop.loose'::regclass)");
  EXPECT_EQ(t.column("p")->type, "shop.pair");
  EXPECT_EQ(t.column("m")->type, "shop.mood[]");
  EXPECT_EQ(t.column("c")->collation, "pg_catalog.\"C\"");
  EXPECT_EQ(t.column("g")->generated, "s");
  EXPECT_TRUE(t.column("n")->binary_copy);
  EXPECT_FALSE(t.column("m")->binary_copy);
  EXPECT_EQ(t.storage_parameters, "fillfactor=70");
  EXPECT_THAT(t.identity_columns, ElementsAre("id"));
  ASSERT_EQ(t.constraints.size(), 3u);
  EXPECT_EQ(t.constraints[0].definition, "PRIMARY KEY (id)");
  EXPECT_EQ(t.constraints[1].definition, "UNIQUE (s, n)");
  EXPECT_EQ(t.constraints[2].kind, 'c');
  ASSERT_EQ(t.foreign_keys.size(), 1u);
  EXPECT_EQ(t.foreign_keys[0].referenced_table, "parent");
  EXPECT_EQ(t.column("d")->base_type, "integer");
  EXPECT_EQ(t.column("n")->base_type, "");
  ASSERT_EQ(t.indexes.size(), 2u);
  EXPECT_THAT(t.indexes[0].columns, ElementsAre());
  EXPECT_THAT(t.indexes[1].columns, ElementsAre("s", "id"));
  EXPECT_THAT(t.indexes[0].definition,
              HasSubstr("ON shop.\"T\" USING btree (lower(c)) WHERE (l > 0)"));
  ASSERT_EQ(t.sequences.size(), 3u);
  EXPECT_EQ(to_json(t), std::string(all[0].definition));

  auto shared = shared_from_json(*source.shared_definitions());
  ASSERT_TRUE(shared.ok());
  EXPECT_THAT(shared->schemas, ElementsAre("shop"));
  std::vector<std::string> order;
  for (const TypeDefinition& type : shared->types) order.push_back(type.name);
  ASSERT_EQ(order.size(), 5u);
  auto at = [&](const char* name) { return std::ranges::find(order, name) - order.begin(); };
  EXPECT_LT(at("positive"), at("pair"));
  EXPECT_LT(at("mood"), at("pair"));
  EXPECT_THAT(shared->types[at("mood")].labels, ElementsAre("sad", "glad \"x\""));
  EXPECT_EQ(shared->types[at("positive")].checks.at(0).definition, "CHECK ((VALUE > 0))");
  EXPECT_EQ(shared->types[at("pair")].attributes.at(1).type, "shop.mood[]");
  EXPECT_EQ(shared->types[at("span")].base_type, "double precision");
}

}  // namespace
}  // namespace farshore::postgres
