// What a change stream holds that a naive applier gets wrong: each case ends with both tables row
// by row equal.
#include <fmt/format.h>

#include "engine/postgres/sink_test_stream.h"

namespace farshore::postgres {
namespace {

// Each trap runs with set-based writes and row by row.
class SinkTraps : public OnEachServer {
 protected:
  void expect_equal_both_ways() {
    pair.capture();
    for (const bool sets : {true, false}) {
      SCOPED_TRACE(sets ? "sets" : "rows");
      if (!sets) {
        // The same records again, into the target as it was.
        pair.on_target(reset_);
        pair.stream = Uuid::from_random(1, ++again_);
      }
      auto applied = pair.apply_all({.set_based = sets});
      ASSERT_TRUE(applied.ok()) << applied.error().what;
      EXPECT_EQ(applied->through, pair.log.last());
      pair.expect_same_tables();
    }
  }
  std::string reset_ = "SELECT 1";
  std::uint64_t again_ = 0;
};

TEST_P(SinkTraps, InsertsUpdatesDeletes) {
  pair.both("CREATE TABLE t (id int PRIMARY KEY, a text, b int)");
  pair.start();
  for (int i = 0; i < 40; ++i) {
    pair.on_source(
        fmt::format("BEGIN; INSERT INTO t SELECT g, 'row ' || g, g FROM generate_series({}, {}) g;"
                    "UPDATE t SET b = b + 1, a = a || '''\\\"{{}},' WHERE id % 3 = 0;"
                    "DELETE FROM t WHERE id % 7 = {}; COMMIT",
                    i * 10, i * 10 + 9, i % 7));
  }
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, TheSameRowManyTimesInOneGroup) {
  pair.both("CREATE TABLE t (id int PRIMARY KEY, a text, b int)");
  pair.start();
  pair.on_source("INSERT INTO t VALUES (1, 'x', 0)");
  for (int i = 0; i < 50; ++i) {
    pair.on_source("UPDATE t SET b = b + 1 WHERE id = 1");
    if (i % 10 == 3) pair.on_source("DELETE FROM t WHERE id = 1");
    if (i % 10 == 3) pair.on_source("INSERT INTO t VALUES (1, 'y', 100)");
  }
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
  EXPECT_NE(pair.target_text("SELECT b FROM t"), "0");
}

TEST_P(SinkTraps, UnchangedToastedValuesStay) {
  pair.both(
      "CREATE TABLE t (id int PRIMARY KEY, big text, n int, big2 text); ALTER TABLE t ALTER big "
      "SET STORAGE EXTERNAL,"
      " ALTER big2 SET STORAGE EXTERNAL");
  pair.start();
  pair.on_source(
      "INSERT INTO t SELECT g, repeat('x' || g, 4000), g, repeat('y' || g, 4000) FROM "
      "generate_series(1, 20) g");
  pair.on_source("UPDATE t SET n = n + 100");
  pair.on_source("UPDATE t SET big = repeat('z', 5000) WHERE id % 2 = 0");
  pair.on_source("UPDATE t SET n = n + 1, big2 = NULL WHERE id % 5 = 0");
  pair.on_source("UPDATE t SET id = id + 1000 WHERE id = 7");
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, KeysChange) {
  pair.both("CREATE TABLE t (a int, b text, v int, PRIMARY KEY (a, b))");
  pair.start();
  pair.on_source("INSERT INTO t SELECT g, 'k' || g, g FROM generate_series(1, 30) g");
  pair.on_source("UPDATE t SET a = a + 100");
  pair.on_source(
      "UPDATE t SET a = a + 1 WHERE a = 130; UPDATE t SET b = 'new' WHERE a = 131; INSERT INTO t "
      "VALUES (130, 'k30', 5)");
  pair.on_source(
      "BEGIN; DELETE FROM t WHERE a = 101; INSERT INTO t VALUES (101, 'k1', 9); UPDATE t SET v = "
      "10 WHERE a = 101; COMMIT");
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, UniqueValuesMoveBetweenRows) {
  pair.both("CREATE TABLE t (id int PRIMARY KEY, email text UNIQUE DEFERRABLE, code int UNIQUE)");
  pair.start();
  pair.on_source("INSERT INTO t SELECT g, 'u' || g, g FROM generate_series(1, 10) g");
  pair.on_source(
      "BEGIN; UPDATE t SET code = -1 WHERE id = 1; UPDATE t SET code = 1 WHERE id = 2; UPDATE t "
      "SET code = 2 WHERE id = 1; COMMIT");
  pair.on_source(
      "BEGIN; SET CONSTRAINTS ALL DEFERRED; UPDATE t SET email = 'u4' WHERE id = 3; UPDATE t SET "
      "email = 'u3' WHERE id = 4; COMMIT");
  pair.on_source("DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (50, 'u5', 5)");
  pair.on_source("BEGIN; UPDATE t SET code = code + 1000; UPDATE t SET code = code - 999; COMMIT");
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, ReplicaIdentityFullWithoutKeyTouchesOneOfEqualRows) {
  pair.both(
      "CREATE TABLE t (a int, n numeric, f float8, j json, p point, s text); ALTER TABLE t REPLICA "
      "IDENTITY FULL");
  pair.start();
  pair.on_source(
      "INSERT INTO t SELECT 1, 1.0, 'NaN', '{\"a\":1}', '(1,2)', 'dup' FROM generate_series(1, 5)");
  pair.on_source(
      "INSERT INTO t VALUES (1, 1.00, 'NaN', '{\"a\":1}', '(1,2)', 'dup'), (NULL, NULL, NULL, "
      "NULL, NULL, NULL),"
      "(NULL, NULL, NULL, NULL, NULL, NULL), (2, 'NaN', -0.0, '[]', NULL, ''), (2, 'NaN', 0.0, "
      "'[]', NULL, '')");
  pair.on_source(
      "DELETE FROM t WHERE ctid = (SELECT max(ctid) FROM t WHERE n = 1 AND scale(n) = 1)");
  pair.on_source(
      "UPDATE t SET s = 'changed' WHERE ctid = (SELECT min(ctid) FROM t WHERE n = 1 AND scale(n) = "
      "1)");
  pair.on_source("DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t WHERE a IS NULL)");
  pair.on_source("UPDATE t SET j = '{\"b\":  2}' WHERE a = 2 AND f::text = '-0'");
  pair.on_source("DELETE FROM t WHERE scale(n) = 2");
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, ReplicaIdentityFullWithAKeyUsesTheKey) {
  pair.both(
      "CREATE TABLE t (id int PRIMARY KEY, v text, u int); ALTER TABLE t REPLICA IDENTITY FULL");
  pair.start();
  pair.on_source("INSERT INTO t SELECT g, 'v' || g, g FROM generate_series(1, 10) g");
  pair.on_source(
      "UPDATE t SET v = NULL WHERE id < 5; UPDATE t SET id = id + 20 WHERE id > 8; DELETE FROM t "
      "WHERE id = 3");
  reset_ = "TRUNCATE t";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, IdentityAlwaysAndGeneratedColumns) {
  pair.both(
      "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v int, twice int GENERATED "
      "ALWAYS AS (v * 2) STORED, big text);"
      "ALTER TABLE t ALTER big SET STORAGE EXTERNAL;"
      "CREATE TABLE beside (k text PRIMARY KEY, n int GENERATED ALWAYS AS IDENTITY, v int);"
      "CREATE TABLE keyless (n int GENERATED ALWAYS AS IDENTITY, v int); ALTER TABLE keyless "
      "REPLICA IDENTITY FULL");
  pair.start();
  pair.on_source(
      "INSERT INTO t (v, big) SELECT g, repeat('b' || g, 3000) FROM generate_series(1, 10) g");
  pair.on_source("UPDATE t SET v = v + 1");
  pair.on_source("UPDATE t SET id = DEFAULT WHERE id = 4");
  pair.on_source("INSERT INTO t (id, v) OVERRIDING SYSTEM VALUE VALUES (500, 1)");
  pair.on_source("INSERT INTO beside (k, v) VALUES ('a', 1), ('b', 2)");
  pair.on_source(
      "UPDATE beside SET v = 5 WHERE k = 'a'; UPDATE beside SET n = DEFAULT WHERE k = 'b'");
  pair.on_source(
      "INSERT INTO keyless (v) VALUES (1), (2); UPDATE keyless SET v = 9 WHERE v = 1; UPDATE "
      "keyless SET n = DEFAULT WHERE v = 2");
  reset_ = "TRUNCATE t, beside, keyless";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, TruncateOfSeveralTables) {
  pair.both(
      "CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v int); CREATE TABLE b "
      "(id int PRIMARY KEY REFERENCES a); CREATE TABLE c (id int PRIMARY KEY)");
  pair.start();
  pair.on_source(
      "INSERT INTO a (v) SELECT g FROM generate_series(1, 5) g; INSERT INTO b VALUES (1), (2); "
      "INSERT INTO c VALUES (1)");
  pair.on_source(
      "BEGIN; INSERT INTO a (v) VALUES (9); TRUNCATE a, b RESTART IDENTITY; INSERT INTO a VALUES "
      "(77, 1); COMMIT");
  pair.on_source("INSERT INTO b VALUES (77); TRUNCATE a CASCADE; INSERT INTO a VALUES (78, 1)");
  reset_ = "TRUNCATE c";
  expect_equal_both_ways();
  EXPECT_EQ(pair.target_text("SELECT nextval('a_id_seq')"), "1");
}

TEST_P(SinkTraps, PartitionedTables) {
  const std::string leafs =
      " PARTITION BY RANGE (at); CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (100);"
      "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (100) TO (1000)";
  pair.both("CREATE TABLE m (id int, at int, v text, PRIMARY KEY (id, at))" + leafs);
  pair.start();
  pair.on_source("INSERT INTO m SELECT g, g * 10, 'v' FROM generate_series(1, 50) g");
  pair.on_source("UPDATE m SET v = 'w' WHERE id % 2 = 0");
  pair.on_source(
      "UPDATE m SET at = at + 100 WHERE id < 5; DELETE FROM m WHERE id = 20; TRUNCATE m2");
  reset_ = "TRUNCATE m";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, PartitionsPublishedByTheirRoot) {
  pair.on_source(
      "CREATE TABLE m (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
      "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (100); CREATE TABLE m2 PARTITION OF m "
      "FOR VALUES FROM (100) TO (1000);"
      "CREATE TABLE k (a int, v text) PARTITION BY LIST (a); CREATE TABLE k1 PARTITION OF k FOR "
      "VALUES IN (1); CREATE TABLE k2 PARTITION OF k DEFAULT;"
      "ALTER TABLE k REPLICA IDENTITY FULL; ALTER TABLE k1 REPLICA IDENTITY FULL; ALTER TABLE k2 "
      "REPLICA IDENTITY FULL");
  pair.on_target(
      "CREATE TABLE m (id int, at int, v text, PRIMARY KEY (id, at)) PARTITION BY HASH (id);"
      "CREATE TABLE h1 PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE h2 "
      "PARTITION OF m FOR VALUES WITH (MODULUS 2, REMAINDER 1);"
      "CREATE TABLE k (a int, v text) PARTITION BY LIST (a); CREATE TABLE k1 PARTITION OF k FOR "
      "VALUES IN (1); CREATE TABLE k2 PARTITION OF k DEFAULT");
  pair.start("FOR TABLE m, k WITH (publish_via_partition_root = true)");
  pair.on_source("INSERT INTO m SELECT g, g * 10, 'v' FROM generate_series(1, 50) g");
  pair.on_source(
      "UPDATE m SET v = 'w' WHERE id % 2 = 0; UPDATE m SET at = at + 100 WHERE id < 5; DELETE FROM "
      "m WHERE id = 20");
  pair.on_source(
      "INSERT INTO k VALUES (1, 'x'), (1, 'x'), (2, 'x'), (2, 'x'); DELETE FROM k WHERE ctid = "
      "'(0,1)' AND a = 1; UPDATE k SET v = 'y' WHERE ctid = '(0,1)' AND a = 2");
  reset_ = "TRUNCATE m, k";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, ColumnsAreMatchedByName) {
  pair.on_source(
      "CREATE TABLE t (dropped int, id int PRIMARY KEY, a text, b int); ALTER TABLE t DROP COLUMN "
      "dropped");
  pair.on_target(
      "CREATE TABLE t (b bigint, extra text DEFAULT 'mine', id int PRIMARY KEY, gone int, a text); "
      "ALTER TABLE t DROP COLUMN gone, ALTER b TYPE int");
  pair.start();
  pair.on_source(
      "INSERT INTO t VALUES (1, 'a', 10), (2, 'b', 20), (3, 'c', 30), (4, 'd', 40); UPDATE t SET b "
      "= 11 WHERE id = 1; DELETE FROM t WHERE id = 2");
  pair.captured_and_applied();
  EXPECT_EQ(pair.on_both("SELECT string_agg(id || a || b, ',' ORDER BY id) FROM t"), "");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t WHERE extra = 'mine'"), "3");
}

TEST_P(SinkTraps, QuotedAndNonAsciiNames) {
  pair.both(
      "CREATE SCHEMA \"My Schema\"; CREATE TABLE \"My Schema\".\"Tä\"\"ble\" (\"Ключ id\" int "
      "PRIMARY KEY, \"a\"\"b\" text, \"select\" int, \"C3\" int[])");
  pair.start();
  pair.on_source(
      "INSERT INTO \"My Schema\".\"Tä\"\"ble\" SELECT g, 'ünïcode 漢字 🙂', g, ARRAY[[g, 1], "
      "[NULL, 2]] FROM generate_series(1, 10) g");
  pair.on_source(
      "UPDATE \"My Schema\".\"Tä\"\"ble\" SET \"select\" = 0 WHERE \"Ключ id\" < 6; DELETE FROM "
      "\"My Schema\".\"Tä\"\"ble\" WHERE \"Ключ id\" = 9");
  reset_ = "TRUNCATE \"My Schema\".\"Tä\"\"ble\"";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, TablesWithoutColumnsOrOnlyAKey) {
  pair.both(
      "CREATE TABLE none (); CREATE TABLE k (id int PRIMARY KEY); CREATE TABLE g (id int GENERATED "
      "ALWAYS AS IDENTITY PRIMARY KEY)");
  pair.start();
  pair.on_source(
      "INSERT INTO none DEFAULT VALUES; INSERT INTO none DEFAULT VALUES; INSERT INTO k VALUES (1), "
      "(2), (3), (4); UPDATE k SET id = 9 WHERE id = 2;"
      "UPDATE k SET id = id WHERE id = 1; DELETE FROM k WHERE id IN (3, 4); INSERT INTO g DEFAULT "
      "VALUES; UPDATE g SET id = DEFAULT");
  pair.capture();
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  pair.expect_same_tables();
}

TEST_P(SinkTraps, TriggersAndForeignKeysDoNotFire) {
  const std::string tables =
      "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY, p int REFERENCES p "
      "ON DELETE CASCADE)";
  pair.both(tables);
  pair.on_target(
      "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'fired'; END$$; "
      "CREATE TRIGGER no BEFORE INSERT ON c FOR EACH ROW EXECUTE FUNCTION no()");
  pair.start();
  pair.on_source(
      "BEGIN; INSERT INTO p VALUES (1), (2); INSERT INTO c VALUES (1, 1), (2, 2), (3, 2); COMMIT; "
      "DELETE FROM p WHERE id = 2");
  reset_ = "TRUNCATE p, c";
  expect_equal_both_ways();
}

TEST_P(SinkTraps, InheritedTablesKeepTheirOwnRows) {
  pair.both(
      "CREATE TABLE parent (id int PRIMARY KEY, v int); CREATE TABLE child (PRIMARY KEY (id)) "
      "INHERITS (parent)");
  pair.start();
  pair.on_source(
      "INSERT INTO parent VALUES (1, 1), (2, 2), (3, 3), (4, 4); INSERT INTO child VALUES (1, 10), "
      "(2, 20)");
  pair.on_source("UPDATE ONLY parent SET v = 7; DELETE FROM ONLY parent WHERE id = 2");
  pair.on_source("UPDATE child SET v = 70");
  pair.capture();
  auto applied = pair.apply_all();
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(pair.on_both("SELECT string_agg(x::text, ',' ORDER BY x::text) FROM ONLY parent x"),
            "");
  EXPECT_EQ(pair.on_both("SELECT string_agg(x::text, ',' ORDER BY x::text) FROM child x"), "");
}

INSTANTIATE_TEST_SUITE_P(Servers, SinkTraps, testing::ValuesIn(server_bin_folders()), version_name);

}  // namespace
}  // namespace farshore::postgres
