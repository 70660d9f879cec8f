// The initial copy with the source's real snapshots: what is made, what is refused, what is copied
// beside a stream that goes on, and what a kill leaves.
#include "engine/postgres/copy_sink_fixture.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CopySinkOn : public CopyBetweenServers {};

const char* const kEverything =
    "CREATE SCHEMA \"S x\"; CREATE TYPE \"S x\".mood AS ENUM ('sad', 'it''s'); CREATE DOMAIN pos "
    "AS int DEFAULT 3 CHECK (value > 0);"
    "CREATE TYPE pt AS (a pos, m \"S x\".mood); CREATE TYPE fr AS RANGE (subtype = float8, "
    "subtype_diff = float8mi);"
    "CREATE SEQUENCE loose START 40 INCREMENT 5;"
    "CREATE TABLE p (id serial PRIMARY KEY, code text UNIQUE DEFERRABLE, r fr, EXCLUDE USING gist "
    "(r WITH &&));"
    "CREATE TABLE \"S x\".\"C\" (id bigint GENERATED ALWAYS AS IDENTITY (START 100) PRIMARY KEY, p "
    "int REFERENCES p ON DELETE CASCADE,"
    " m \"S x\".mood DEFAULT 'sad', d pos, x pt, note varchar(20) COLLATE \"C\" NOT NULL DEFAULT "
    "'n', n int DEFAULT nextval('loose'),"
    " twice int GENERATED ALWAYS AS (n * 2) STORED, big bytea, CONSTRAINT small CHECK (n < "
    "1000000), CONSTRAINT late CHECK (n > 0) NOT VALID) WITH (fillfactor = 80);"
    "CREATE UNIQUE INDEX \"by note\" ON \"S x\".\"C\" (lower(note), id) WHERE p IS NOT NULL; "
    "CREATE INDEX ON \"S x\".\"C\" USING hash (p);"
    "CREATE TABLE nokey (a int, b text[]); ALTER TABLE nokey REPLICA IDENTITY FULL;"
    "CREATE TABLE m (id int, at date NOT NULL, p int, PRIMARY KEY (id, at, p)) PARTITION BY RANGE "
    "(at);"
    "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');"
    "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM ('2025-01-01') TO ('2026-01-01') PARTITION BY "
    "LIST (p);"
    "CREATE TABLE m2x PARTITION OF m2 DEFAULT; CREATE INDEX ON m (p);"
    "CREATE TABLE idx (a int NOT NULL, b int NOT NULL); CREATE UNIQUE INDEX idx_ab ON idx (a, b); "
    "ALTER TABLE idx REPLICA IDENTITY USING INDEX idx_ab";

const char* const kRows =
    "INSERT INTO p (code, r) SELECT 'c' || g, fr(g, g + 0.5) FROM generate_series(1, 50) g;"
    "INSERT INTO \"S x\".\"C\" (p, m, d, x, note, big) SELECT g, 'it''s', g, ROW(g, 'sad')::pt, "
    "'n' || g, decode(repeat('0a', g * 50), 'hex') FROM generate_series(1, 50) g;"
    "INSERT INTO nokey VALUES (1, '{a,NULL}'), (1, '{a,NULL}'), (NULL, NULL); INSERT INTO m SELECT "
    "g, '2024-06-01'::date + g * 10, g FROM generate_series(1, 50) g;"
    "INSERT INTO idx VALUES (1, 1), (1, 2)";

TEST_P(CopySinkOn, MakesEverythingThatTheTablesNeedAndCopiesTheirRows) {
  pair.on_source(kEverything);
  pair.on_source(kRows);
  publish("p, \"S x\".\"C\", nokey, m1, m2x, idx");
  copy_all();
  pair.expect_same_tables();
  std::vector<TableName> names{{"public", "p"},   {"S x", "C"},     {"public", "nokey"},
                               {"public", "m"},   {"public", "m1"}, {"public", "m2"},
                               {"public", "m2x"}, {"public", "idx"}};
  auto left = read_tables(*pair.source, names, pair.world->after(20s));
  auto right = read_tables(*pair.target, names, pair.world->after(20s));
  ASSERT_TRUE(left.ok() && right.ok());
  ASSERT_EQ(right->size(), names.size());
  for (std::size_t i = 0; i < names.size(); ++i)
    EXPECT_EQ(to_json((*left)[i]), to_json((*right)[i])) << names[i].name;
  for (const Event& event : events) ADD_FAILURE() << event.name << " " << event.message;
  // Again: nothing to make, nothing to copy.
  copy_all();
  EXPECT_EQ(
      pair.target_text("SELECT count(*) FROM pg_replication_origin WHERE roname LIKE '%copy%'"),
      "0");
  // And changes go on with what was made.
  pair.on_source(
      "INSERT INTO p (code, r) VALUES ('new', '[900,901]'); UPDATE \"S x\".\"C\" SET n = n + 1; "
      "DELETE FROM nokey WHERE a = 1; UPDATE idx SET b = 5 WHERE b = 2; INSERT INTO m VALUES (99, "
      "'2025-03-03', 1)");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

TEST_P(CopySinkOn, PartitionsThroughTheirRoot) {
  pair.on_source(kEverything);
  pair.on_source(kRows);
  publish("m WITH (publish_via_partition_root = true)");
  copy_all();
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM m2x"),
            pair.source_text("SELECT count(*) FROM m2x"));
}

TEST_P(CopySinkOn, ChangesBesideTheCopyTakeEffectOnce) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, n int, v text); CREATE TABLE u (id int PRIMARY KEY, n "
      "int)");
  pair.on_source(
      "INSERT INTO t SELECT g, 0, repeat('x', 100) FROM generate_series(1, 1000) g; INSERT INTO u "
      "SELECT g, 0 FROM generate_series(1, 1000) g");
  publish("t, u");
  pair.on_source(
      "UPDATE t SET n = n + 1; DELETE FROM u WHERE id > 990; INSERT INTO t VALUES (5000, 1, 'in "
      "the stream and in the snapshot')");
  ASSERT_TRUE(prepare().ok());
  ASSERT_TRUE(copy(table("public.t")).ok());
  // Running while u's snapshot is taken, with subtransactions; it commits later.
  auto rows = snapshots->open(table("public.u"), pair.world->after(20s));
  ASSERT_TRUE(rows.ok()) << rows.error().what;
  pair.on_source(
      "INSERT INTO u VALUES (7000, 1); UPDATE u SET n = n + 10 WHERE id < 500; UPDATE t SET n = n "
      "+ 100 WHERE id < 500; DELETE FROM t WHERE id = 900");
  pair.on_source(
      "BEGIN; SAVEPOINT a; UPDATE u SET n = 77 WHERE id = 600; SAVEPOINT b; INSERT INTO u SELECT "
      "g, 2 FROM generate_series(8000, 9000) g; RELEASE b; ROLLBACK TO a; UPDATE u SET n = 78 "
      "WHERE id = 601; COMMIT");
  ASSERT_TRUE(copy_from(table("public.u"), **rows).ok());
  rows->reset();
  pair.on_source(
      "UPDATE u SET n = n + 1000; UPDATE t SET n = n + 1000; DELETE FROM u WHERE id = 7000");
  ASSERT_TRUE(copies->complete(pair.stream).ok());
  pair.capture(true);
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  pair.expect_same_tables();
  EXPECT_EQ(state_of("public.t"), "streaming");
  EXPECT_EQ(state_of("public.u"), "streaming");
}

TEST_P(CopySinkOn, ATransactionThatRanWhenTheSnapshotWasTakenIsApplied) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY, n int)");
  pair.on_source("INSERT INTO t SELECT g, 0 FROM generate_series(1, 10) g");
  publish("t");
  ASSERT_TRUE(prepare().ok());
  auto other = pair.connect_source();
  auto rows = snapshots->open(table("public.t"), pair.world->after(20s));
  ASSERT_TRUE(rows.ok()) << rows.error().what;
  // The next snapshot sees this one as running: it began before and commits after.
  pair.run(*other,
           "BEGIN; UPDATE t SET n = 5 WHERE id = 3; SAVEPOINT s; INSERT INTO t VALUES (11, 5)");
  rows->reset();
  const std::string mark = R"({"version": 1, "snapshot": ")" +
                           pair.source_text("SELECT pg_current_snapshot()") + R"(", "lsn": ")" +
                           pair.source_text("SELECT pg_current_wal_insert_lsn()") + "\"}";
  auto writer = copies->begin(pair.stream, table("public.t"));
  ASSERT_TRUE(writer.ok()) << writer.error().what;
  std::string data = "t";
  for (int i = 1; i <= 10; ++i) data += std::to_string(i) + "\t0\n";
  ASSERT_TRUE((*writer)->write(data).ok());
  ASSERT_TRUE((*writer)->finish(mark).ok());
  pair.run(*other, "COMMIT");
  pair.on_source("UPDATE t SET n = n + 1");
  ASSERT_TRUE(copies->complete(pair.stream).ok());
  pair.captured_and_applied();
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text("SELECT n FROM t WHERE id = 11"), "6");
}

TEST_P(CopySinkOn, AKilledCopyLeavesTheTableAsItWasAndStartsAgain) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY, v text)");
  pair.on_source("INSERT INTO t SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g");
  publish("t");
  ASSERT_TRUE(prepare().ok());
  for (const bool by_server : {false, true}) {
    auto rows = snapshots->open(table("public.t"), pair.world->after(20s));
    ASSERT_TRUE(rows.ok());
    auto writer = copies->begin(pair.stream, table("public.t"));
    for (int i = 0; i < 100 && !writer.ok(); ++i) {  // the backend of the copy before still ends
      ASSERT_EQ(writer.error().retry, Retry::yes) << writer.error().what;
      (void)pair.target->wait(pair.world->after(20ms), nullptr);
      writer = copies->begin(pair.stream, table("public.t"));
    }
    ASSERT_TRUE(writer.ok());
    auto chunk = (*rows)->next(pair.world->after(20s));
    ASSERT_TRUE(chunk.ok() && !chunk->empty());
    ASSERT_TRUE((*writer)->write(*chunk).ok());
    if (by_server) {
      (void)pair.target_text(
          "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = "
          "'copy'");
      Result<void> failed;
      while (failed.ok() && !(chunk = (*rows)->next(pair.world->after(20s)))->empty())
        failed = (*writer)->write(*chunk);
      if (failed.ok()) failed = (*writer)->finish((*rows)->mark());
      ASSERT_FALSE(failed.ok());
      EXPECT_EQ(failed.error().retry, Retry::yes) << failed.error().what;
    }
    writer->reset();
    EXPECT_EQ(state_of("public.t"), "copying");
    EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "0");
    auto again = prepare();
    ASSERT_TRUE(again.ok()) << again.error().what;
    EXPECT_EQ(again->front().state, TableState::copying);
  }
  copy_all();
  pair.expect_same_tables();
  EXPECT_EQ(state_of("public.t"), "copied");
  EXPECT_EQ(pair.target_text("SELECT rows FROM farshore.table_state"), "20000");
}

// The source lists only what is still to be copied.
TEST_P(CopySinkOn, ACopyThatBrokeMakesTheRestOfTheTablesThatItHadCopied) {
  pair.on_source(
      "CREATE TABLE p (id int PRIMARY KEY, n int UNIQUE); CREATE INDEX p_n ON p (n);"
      "CREATE TABLE t (id int PRIMARY KEY, p int REFERENCES p)");
  publish("p, t");
  ASSERT_TRUE(prepare().ok());
  ASSERT_TRUE(copy(table("public.p")).ok());
  const std::vector<SourceTable> left{table("public.t")};
  ASSERT_TRUE(copies
                  ->prepare(pair.stream, std::nullopt, *snapshots->shared_definitions(), left,
                            ExistingRows::refuse)
                  .ok());
  ASSERT_TRUE(copy(left[0]).ok());
  const std::string made =
      "SELECT (SELECT count(*) FROM pg_indexes WHERE schemaname = 'public') || ',' ||"
      " (SELECT count(*) FROM pg_constraint WHERE contype = 'f')";
  EXPECT_NE(pair.target_text(made), pair.source_text(made));
  ASSERT_TRUE(copies->complete(pair.stream).ok());
  EXPECT_EQ(pair.target_text(made), pair.source_text(made));
}

TEST_P(CopySinkOn, ATableThatACopyOfBeforeFinishesMeanwhileIsNotCopiedOverIt) {
  pair.on_source("CREATE TABLE t (id int); INSERT INTO t VALUES (1)");
  publish("t");
  ASSERT_TRUE(prepare().ok());
  auto rows = snapshots->open(table("public.t"), pair.world->after(20s));
  auto writer = copies->begin(pair.stream, table("public.t"));
  ASSERT_TRUE(rows.ok() && writer.ok());
  for (Bytes chunk = *(*rows)->next(pair.world->after(20s)); !chunk.empty();
       chunk = *(*rows)->next(pair.world->after(20s)))
    ASSERT_TRUE((*writer)->write(chunk).ok());
  auto again = prepare();
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(again->front().state, TableState::copying);
  ASSERT_TRUE((*writer)->finish((*rows)->mark()).ok());
  writer->reset();
  auto second = copies->begin(pair.stream, table("public.t"));
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().retry, Retry::yes);
  EXPECT_EQ(prepare()->front().state, TableState::copied);
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "1");
}

// Whoever decodes the target (another stream, the way back) knows by the origin what is ours.
TEST_P(CopySinkOn, WhatEmptiesATableBearsItsOriginAlsoWhereItIsStreamed) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "INSERT INTO t SELECT g, repeat('x', 100) FROM generate_series(1, 5000) g");
  publish("t");
  copy_all();
  pair.captured_and_applied();
  pair.on_target("CREATE PUBLICATION back FOR TABLE t");
  ASSERT_TRUE(copies->reset(pair.stream, std::nullopt, "public.t").ok());
  const auto origins_of = [&](const auto& what) {
    pair.on_target("SELECT pg_create_logical_replication_slot('back', 'pgoutput')");
    what();
    pair.on_target("SET logical_decoding_work_mem = '64kB'");
    std::string seen = pair.target_text(
        "SELECT (count(*) FILTER (WHERE get_byte(data, 0) = ascii('S')) > 1) || ',' || "
        "(count(*) FILTER (WHERE get_byte(data, 0) = ascii('O')) > 0) "
        "FROM pg_logical_slot_get_binary_changes('back', NULL, NULL, 'proto_version', '2',"
        " 'publication_names', 'back', 'streaming', 'on')");
    pair.on_target("SELECT pg_drop_replication_slot('back')");
    return seen;
  };
  const std::string streamed_with_origin = "true,true";
  EXPECT_EQ(origins_of([&] { copy_all(); }), streamed_with_origin);
  pair.on_source(
      "BEGIN; TRUNCATE t; INSERT INTO t SELECT g, repeat('y', 100) FROM generate_series(1, 5000) g;"
      "COMMIT");
  EXPECT_EQ(origins_of([&] { pair.captured_and_applied(); }), streamed_with_origin);
}

TEST_P(CopySinkOn, ManyTablesBeginAtTheSameMoment) {
  constexpr int kTables = 8;
  std::string names;
  for (int n = 0; n < kTables; ++n) {
    pair.on_source(fmt::format("CREATE TABLE at_once_{} (id int PRIMARY KEY)", n));
    names += fmt::format("{}at_once_{}", n == 0 ? "" : ", ", n);
  }
  publish(names);
  ASSERT_TRUE(prepare().ok());
  std::vector<std::optional<Result<std::unique_ptr<TableWriter>>>> writers(kTables);
  {
    std::vector<os::Thread> threads;
    threads.reserve(kTables);
    for (int n = 0; n < kTables; ++n)
      threads.emplace_back("copy", [&, n](const std::stop_token&) {
        writers[n] = copies->begin(pair.stream, tables[n]);
      });
  }
  for (const auto& writer : writers) EXPECT_TRUE(writer->ok()) << writer->error().what;
}

// Those of one source begin together, and their tables may share schemas and types.
TEST_P(CopySinkOn, SeveralStreamsPrepareOneTargetAtTheSameMoment) {
  constexpr std::size_t kStreams = 4;
  pair.on_source(
      "CREATE SCHEMA shared; CREATE TYPE shared.mood AS ENUM ('calm');"
      "CREATE TABLE shared.t (id int PRIMARY KEY, mood shared.mood)");
  publish("shared.t");
  tables = *snapshots->tables();
  const Bytes definitions = *snapshots->shared_definitions();
  pair.on_target("DROP SCHEMA IF EXISTS farshore CASCADE");
  std::vector<Result<void>> prepared(kStreams);
  {
    std::vector<os::Thread> threads;
    threads.reserve(kStreams);
    for (std::size_t n = 0; n < kStreams; ++n)
      threads.emplace_back("prepare", [&, n](const std::stop_token&) {
        auto done = copies->prepare(Uuid::from_random(n, n), aside, definitions, tables,
                                    ExistingRows::refuse);
        if (!done.ok()) prepared[n] = std::move(done).error();
      });
  }
  for (const auto& done : prepared) EXPECT_TRUE(done.ok()) << done.error().what;
}

TEST_P(CopySinkOn, RowsThatAreThereAreRefusedKeptOrReplaced) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'source'), (2, "
      "'source')");
  pair.on_target(
      "CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t VALUES (1, 'target'), (9, "
      "'target'); CREATE TABLE child (id int REFERENCES t)");
  publish("t");
  auto refused = prepare(ExistingRows::refuse);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::rejected);
  EXPECT_THAT(refused.error().what,
              AllOf(HasSubstr("nothing was changed"),
                    HasSubstr("table public.t holds rows: TRUNCATE public.t;")));
  EXPECT_EQ(pair.target_text("SELECT string_agg(id || v, ',' ORDER BY id) FROM t"),
            "1target,9target");
  EXPECT_EQ(state_of("public.t"), "");
  copy_all(ExistingRows::replace);
  pair.expect_same_tables();
  // Kept: nothing is copied.
  pair.stream = Uuid::from_random(4, 4);
  pair.on_target("UPDATE t SET v = 'kept'");
  auto shared = snapshots->shared_definitions();
  auto kept = copies->prepare(pair.stream, aside, *shared, tables, ExistingRows::keep);
  ASSERT_TRUE(kept.ok()) << kept.error().what;
  EXPECT_EQ(kept->front().state, TableState::streaming);
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t WHERE v = 'kept'"), "2");
}

TEST_P(CopySinkOn, ATableThatIsPartitionedAtTheTargetAloneIsEmptiedToo) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY, v text);"
      "INSERT INTO t VALUES (1, 'source'), (2, 'source'); INSERT INTO u SELECT * FROM t");
  pair.on_target(
      "CREATE TABLE t (id int PRIMARY KEY, v text) PARTITION BY HASH (id);"
      "CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
      "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
      "CREATE TABLE u (LIKE t INCLUDING ALL) PARTITION BY HASH (id);"
      "CREATE TABLE u0 PARTITION OF u FOR VALUES WITH (MODULUS 1, REMAINDER 0);"
      "CREATE TABLE child (id int REFERENCES u);"  // u cannot be truncated: it is deleted from
      "INSERT INTO t VALUES (1, 'target'), (9, 'target'); INSERT INTO u SELECT * FROM t");
  publish("t, u");
  copy_all(ExistingRows::replace);
  for (const std::string name : {"t", "u"})
    EXPECT_EQ(pair.target_text("SELECT string_agg(id || v, ',' ORDER BY id) FROM " + name),
              "1source,2source");
}

TEST_P(CopySinkOn, AnInterruptEndsTheWaitForATableThatIsLocked) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  pair.on_target("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  publish("t");
  ASSERT_TRUE(prepare(ExistingRows::replace).ok());
  auto holder = pair.connect_target();
  pair.run(*holder, "BEGIN; LOCK TABLE t");
  os::Thread interrupting("interrupt", [&](std::stop_token) {
    (void)pair.source->wait(pair.world->after(500ms), nullptr);
    copies->interrupt();
  });
  const auto begun = copies->begin(pair.stream, table("public.t"));
  interrupting.join();
  ASSERT_FALSE(begun.ok());
  EXPECT_EQ(begun.error().kind, ErrorKind::closed) << begun.error().what;
}

TEST_P(CopySinkOn, BeginningAnewCopiesAllAgainAndForgetsWhatWasApplied) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE m (id int PRIMARY KEY, v text) "
      "PARTITION BY RANGE (id); CREATE TABLE m1 PARTITION OF m DEFAULT");
  pair.on_source("INSERT INTO t VALUES (1, 'a'); INSERT INTO m VALUES (1, 'a')");
  publish("t, m1");
  copy_all();
  pair.on_source("INSERT INTO t VALUES (2, 'b'); INSERT INTO m VALUES (2, 'b')");
  pair.captured_and_applied();
  pair.on_target("DELETE FROM t; UPDATE m SET v = 'drifted'");
  ASSERT_TRUE(copies->begin_anew(pair.stream).ok());
  EXPECT_EQ(pair.target_text("SELECT max(sequence) FROM farshore.progress"), "0");
  ASSERT_TRUE(prepare().ok());
  for (const char* name : {"public.m1", "public.m", "public.t"}) {  // the root last: it keeps rows
    auto copied = copy(table(name));
    ASSERT_TRUE(copied.ok()) << copied.error().what;
  }
  ASSERT_TRUE(copies->complete(pair.stream).ok());
  pair.expect_same_tables();
}

TEST_P(CopySinkOn, WhatATriggerSaysOfARowIsNotInTheError) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY, v text)");
  pair.on_target(
      "CREATE TABLE t (id int PRIMARY KEY, v text);"
      "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.id = 1 THEN "
      "RAISE 'not %', NEW.v; END IF; RAISE check_violation USING MESSAGE = 'never ' || NEW.v; END "
      "$$; CREATE TRIGGER tell BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION tell(); "
      "ALTER TABLE t ENABLE ALWAYS TRIGGER tell");
  publish("t");
  for (const char* row : {"(1, 'secret')", "(2, 'secret')"}) {
    pair.on_source(fmt::format("DELETE FROM t; INSERT INTO t VALUES {}", row));
    ASSERT_TRUE(prepare().ok());
    const auto refused = copy(table("public.t"));
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(refused.error().what, HasSubstr("a trigger or function of the database raised"));
    EXPECT_THAT(refused.error().what, HasSubstr("public.t"));
    EXPECT_THAT(refused.error().what, Not(HasSubstr("secret")));
  }
}

TEST_P(CopySinkOn, TablesOfAnotherShapeAreRefusedWithTheLinesToPaste) {
  pair.on_source(
      "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TABLE t (id int PRIMARY KEY, a numeric(10,2), b "
      "varchar(10), c text, m mood)");
  pair.on_target(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, a numeric(8,2), b "
      "varchar(5), extra int NOT NULL, m mood)");
  publish("t");
  auto refused = prepare();
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().kind, ErrorKind::rejected);
  for (const char* line :
       {"ALTER TABLE public.t ALTER COLUMN a TYPE numeric(10,2) USING a::numeric(10,2);",
        "ALTER TABLE public.t ALTER COLUMN b TYPE character varying(10)",
        "ALTER TABLE public.t ADD COLUMN c text;",
        "ALTER TABLE public.t ALTER COLUMN extra DROP NOT NULL;",
        "ALTER TYPE public.mood ADD VALUE 'b';"})
    EXPECT_THAT(refused.error().what, HasSubstr(line));
  pair.on_target(
      "ALTER TABLE public.t ALTER COLUMN a TYPE numeric(10,2), ALTER COLUMN b TYPE varchar(50), "
      "ADD COLUMN c text, ALTER COLUMN extra DROP NOT NULL; ALTER TYPE public.mood ADD VALUE 'b'");
  pair.on_source("INSERT INTO t VALUES (1, 1.5, 'b', 'c', 'b')");
  copy_all();
  EXPECT_EQ(pair.target_text("SELECT a || b || c || m FROM t"), "1.50bcb");
}

TEST_P(CopySinkOn, AnIntervalWithoutEndIsRefusedWhereThereIsNone) {
  const auto has_it = [](const Connection& server) { return server.server_version() >= 170000; };
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY, v interval, a interval[])");
  pair.on_source("INSERT INTO t VALUES (1, '1 mon -2 days 03:04:05.678901', '{1 us,NULL}')");
  if (has_it(*pair.source)) pair.on_source("INSERT INTO t VALUES (2, 'infinity', '{-infinity}')");
  publish("t");
  ASSERT_TRUE(prepare().ok());
  const auto copied = copy(table("public.t"));
  if (copied.ok()) pair.expect_same_tables();
  EXPECT_EQ(copied.ok(), has_it(*pair.target) || !has_it(*pair.source));
  if (!copied.ok()) {
    EXPECT_THAT(copied.error().what, HasSubstr("type interval"));
  }
}

TEST_P(CopySinkOn, ValuesThatNameObjectsNameThemAtTheTarget) {
  pair.on_target("CREATE TABLE other (a int)");  // other oids than at the source
  pair.on_source(
      "CREATE TABLE s (id int PRIMARY KEY); CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int "
      "PRIMARY KEY, r regclass, types regtype[], n regnamespace, m money, e mood)");
  pair.on_source("INSERT INTO t VALUES (1, 's', '{mood,int}', 'public', 12.5, 'a')");
  publish("s, t");
  copy_all();
  pair.expect_same_tables();
}

TEST_P(CopySinkOn, AnIndexWhoseNameAnotherTableHasIsMadeUnderAFreeName) {
  pair.on_target("CREATE TABLE other (a int); CREATE INDEX i ON other (a); CREATE TABLE i1 ()");
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v int NOT NULL, w int); CREATE UNIQUE INDEX i ON t (v); "
      "CREATE INDEX i2 ON t (w); ALTER TABLE t REPLICA IDENTITY USING INDEX i");
  publish("t");
  copy_all();
  copy_all();
  ASSERT_EQ(events.size(), 1u);
  EXPECT_EQ(events[0].name, "copy.name_taken");
  EXPECT_THAT(events[0].message, HasSubstr("index i of table public.t was made as i3"));
  EXPECT_EQ(
      pair.target_text(
          "SELECT string_agg(indexrelid::regclass || ' ' || indisreplident, ',' "
          "ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 't'::regclass"),
      "i2 false,i3 true,t_pkey false");
}

TEST_P(CopySinkOn, AForeignKeyThatCannotHoldYetIsMadeUnvalidated) {
  pair.on_source(
      "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES "
      "p); CREATE TABLE other (id int PRIMARY KEY); ALTER TABLE c ADD COLUMN o int REFERENCES "
      "other");
  pair.on_source("INSERT INTO p VALUES (1)");
  publish("p, c");
  ASSERT_TRUE(prepare().ok());
  ASSERT_TRUE(copy(table("public.p")).ok());
  pair.on_source("INSERT INTO p VALUES (2); INSERT INTO c VALUES (1, 2)");
  ASSERT_TRUE(copy(table("public.c")).ok());
  ASSERT_TRUE(copies->complete(pair.stream).ok());
  EXPECT_EQ(pair.target_text("SELECT convalidated FROM pg_constraint WHERE contype = 'f'"), "f");
  ASSERT_EQ(events.size(), 2u);
  EXPECT_EQ(events[0].name, "copy.object_missing");
  EXPECT_THAT(events[0].message, HasSubstr("c_o_fkey"));
  EXPECT_EQ(events[1].name, "copy.foreign_key_unvalidated");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

TEST_P(CopySinkOn, RemoveTargetForgetsTheStreamAndKeepsTheRows) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  publish("t");
  copy_all();
  pair.on_source("INSERT INTO t VALUES (2)");
  pair.captured_and_applied();
  const ConnectOptions connect{.conninfo = pair.target_conninfo(), .application_name = "remove"};
  Result<void> removed = remove_target(*pair.world, connect, pair.stream);
  for (int i = 0; i < 100 && !removed.ok(); ++i) {
    (void)pair.target->wait(pair.world->after(20ms), nullptr);
    removed = remove_target(*pair.world, connect, pair.stream);
  }
  ASSERT_TRUE(removed.ok()) << removed.error().what;
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM pg_replication_origin"), "0");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM farshore.table_state"), "0");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "2");
}

INSTANTIATE_TEST_SUITE_P(Servers, CopySinkOn, testing::ValuesIn(server_pairs()),
                         [](const auto& info) { return pair_name(info.param); });

}  // namespace
}  // namespace farshore::postgres
