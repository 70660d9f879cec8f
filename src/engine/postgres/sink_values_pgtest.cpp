// Every kind of value, from each server version to each, row by row equal.
#include <fmt/format.h>

#include "engine/postgres/sink_test_stream.h"

namespace farshore::postgres {
namespace {

class SinkValues : public testing::TestWithParam<Servers> {};

const char* const kTypes =
    "CREATE TYPE mood AS ENUM ('sad', 'ok', 'very \"happy\", {x}');"
    "CREATE DOMAIN positive AS int CHECK (value > 0); CREATE DOMAIN tags AS text[];"
    "CREATE TYPE pair AS (a int, b text, c mood); CREATE TYPE span AS RANGE (subtype = float8);"
    "CREATE DOMAIN checked_pair AS pair";

const char* const kTable =
    "CREATE TABLE t (id bigint PRIMARY KEY, i2 int2, i4 int4, i8 int8, f4 float4, f8 float8, n "
    "numeric, np numeric(12,4), m money,"
    " b bool, c \"char\", ch char(5), vc varchar(20), tx text, nm name, by bytea, d date, ti time, "
    "tiz timetz, ts timestamp, tsz timestamptz,"
    " iv interval, u uuid, js json, jb jsonb, x xml, ine inet, cid cidr, mac macaddr, mac8 "
    "macaddr8, bt bit(5), vb varbit, pt point, ln line,"
    " lseg lseg, bx box, pa path, po polygon, ci circle, tv tsvector, tq tsquery, lsn pg_lsn, o "
    "oid, ir int4range, nr numrange, tr tstzrange,"
    " mr int4multirange, e mood, dm positive, dt tags, cp pair, dcp checked_pair, sp span, ai "
    "int[], at text[], am mood[], ad positive[], ac pair[],"
    " aj jsonb[], ats timestamptz[], ar int4range[], ab bytea[], jp jsonpath)";

const char* const kRows =
    "INSERT INTO t SELECT 1000 + g, g, g, g, g / 3.0, g / 7.0, g / 3.0, g, g, g % 2 = 0, 'c', "
    "'ab', 'vc', E'tab\\there\\nnl\\\\ \"q\" ''s'' {}', 'n', decode('00ff5c27', 'hex'),"
    " '2024-02-29', '12:34:56.789', '12:34:56+05:30', '2024-02-29 01:02:03.456789', '2024-02-29 "
    "01:02:03.456789+02', '1 year 2 mons -3 days 04:05:06.7',"
    " '11111111-2222-3333-4444-555555555555', '{\"a\": [1,  2]}', '{\"b\": {\"c\": null}, \"q\": "
    "\"\\\"\"}', '<a>x</a>', '10.0.0.1/8', '10.0.0.0/8', '08:00:2b:01:02:03', "
    "'08:00:2b:01:02:03:04:05',"
    " B'10101', B'101', '(1.5,-2)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', "
    "'[(0,0),(1,1),(2,0)]', '((0,0),(1,1),(2,0))', '<(0,0),2>', 'a:1 b:2', 'a & !b', "
    "'16/B374D848', 4294967295,"
    " '[1,5)', '(,7.5]', '[2024-01-01 00:00+00,)', '{[1,3),[5,9)}', 'very \"happy\", {x}', 7, "
    "'{a,\"b c\",NULL}', '(1,\"x \"\"y\"\", z\",ok)', '(2,,sad)', '[1.5,2.5]',"
    " '{{1,2},{3,NULL}}', ARRAY['a', NULL, 'NULL', '', E'\\\\ \"'], '{sad,\"very \\\"happy\\\", "
    "{x}\"}', '{1,2}', ARRAY['(1,x,ok)'::pair, NULL], ARRAY['{\"a\": 1}'::jsonb], ARRAY[now()],"
    " '{\"[1,2)\",empty}', ARRAY[decode('00', 'hex')], '$.a[*] ? (@ > 2)' FROM generate_series(1, "
    "5) g;"
    "INSERT INTO t (id) SELECT g FROM generate_series(1, 5) g;"
    "INSERT INTO t (id, f4, f8, n, d, ts, tsz, iv, ai, at, tx, ch, vc, jb, ir, dt) VALUES"
    " (100, 'NaN', '-Infinity', 'NaN', 'infinity', '-infinity', 'infinity', '-178000000 years', "
    "'{}', '{}', '', '', '', '[]', 'empty', '{}'),"
    " (101, '-0', '1e-300', 'Infinity', '4713-01-01 BC', '294276-12-31 23:59:59.999999', "
    "'4713-01-02 00:00:00+00 BC', '0', '[2:3]={7,8}', '{{a},{b}}', '\\N', '  x', ' y ', '\"s\"', "
    "'(3,3)', '{{a,b}}'),"
    " (102, '3.4028235e38', '2.2250738585072014e-308', 123456789012345678901234567890.000000001, "
    "'0001-01-01', '2000-01-01', '1999-12-31 23:59:60+00', '1 us', '{NULL}', '{NULL}', "
    "E'\\x01\\x7f', 'é漢', '🙂', '1e400', '[,]', NULL)";

TEST_P(SinkValues, EveryValueArrivesAsItWas) {
  TestPair pair(shared_server(GetParam().source), shared_server(GetParam().target));
  pair.both(kTypes);
  pair.both(kTable);
  pair.start();
  pair.on_source(kRows);
  pair.on_source(
      "UPDATE t SET i4 = 5, tx = 'updated', am = '{ok}', cp = NULL, ai = '{1,2,3}' WHERE id IN (1, "
      "2, 3, 1001)");
  pair.on_source("UPDATE t SET e = 'sad', dcp = '(1,a,ok)', ac = '{}', dm = 9 WHERE id >= 1000");
  pair.on_source("DELETE FROM t WHERE id IN (4, 1002)");
  pair.capture();
  for (const bool sets : {true, false}) {
    SCOPED_TRACE(sets ? "sets" : "rows");
    pair.stream = Uuid::from_random(2, sets);
    pair.on_target("TRUNCATE t");
    auto applied = pair.apply_all({.set_based = sets});
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    pair.expect_same_tables();
  }
}

// 'a', 'b' becomes (1, 'a', 'v'), (2, 'b', 'v').
std::string numbered_rows(const std::string& values) {
  std::string rows;
  int number = 0;
  std::size_t from = 0;
  bool quoted = false;
  for (std::size_t at = 0; at <= values.size(); ++at) {
    if (at < values.size() && values[at] == '\'') quoted = !quoted;
    if (at < values.size() && (values[at] != ',' || quoted)) continue;
    rows += (rows.empty() ? "(" : ", (") + std::to_string(++number) + ", " +
            values.substr(from, at - from) + ", 'v')";
    from = at + 1;
  }
  return rows;
}

TEST_P(SinkValues, EachTypeIsAKey) {
  TestPair pair(shared_server(GetParam().source), shared_server(GetParam().target));
  pair.both(kTypes);
  const std::map<std::string, std::string> keys{
      {"int2", "'1','2','3','-4'"},
      {"numeric", "'1.00','NaN','-3.5','1e20'"},
      {"text", "'','a''b','{','é'"},
      {"char(4)", "'a','b ','cc','d'"},
      {"varchar(9)", "'a','b ','cc','\\'"},
      {"uuid", "gen_random_uuid(),gen_random_uuid(),gen_random_uuid(),gen_random_uuid()"},
      {"bytea", "'\\x','\\x00','\\xff','\\x5c'"},
      {"timestamptz", "'infinity','2024-01-01 00:00:00.123456+01','epoch','4000-01-01'"},
      {"date", "'infinity','2024-01-01','epoch','4000-01-01'"},
      {"float8", "'NaN','0.1','1e300','-Infinity'"},
      {"bool", "true,false,true,false"},
      {"inet", "'10.0.0.1','::1','10.0.0.0/8','1.2.3.4'"},
      {"mood", "'sad','ok','very \"happy\", {x}','ok'"},
      {"positive", "1,2,3,4"},
      {"int4range", "'[1,2)','empty','(,)','[5,)'"},
      {"int[]", "'{1}','{}','{{1,2},{3,4}}','{NULL}'"},
      {"pair", "'(1,a,ok)','(2,b,sad)','(3,\"\"\"\",ok)','(4,d,ok)'"},
      {"tags", "'{a}','{}','{\"b c\"}','{NULL}'"},
      {"interval", "'1 day','1 mon','-1 us','0'"},
      {"jsonb", "'1','{}','[1]','\"x\"'"}};
  std::string make, fill, change;
  int n = 0;
  for (const auto& [type, values] : keys) {
    const std::string t = "k" + std::to_string(++n);
    make += fmt::format("CREATE TABLE {} (n int, k {}, v text, PRIMARY KEY (k, n));", t, type);
    fill += fmt::format("INSERT INTO {} VALUES {};", t, numbered_rows(values));
    change +=
        fmt::format("UPDATE {0} SET v = 'w' WHERE n <> 2; DELETE FROM {0} WHERE n IN (2, 3);", t);
  }
  pair.both(make);
  pair.start();
  pair.on_source(fill);
  pair.on_source(change);
  pair.captured_and_applied();
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM k1"), "2");
}

// Their `=` lies outside of pg_catalog, where the sink's search_path does not look.
TEST_P(SinkValues, TypesOfExtensionsAreKeysAndValues) {
  TestPair pair(shared_server(GetParam().source), shared_server(GetParam().target));
  pair.both(
      "CREATE SCHEMA \"E x\"; CREATE EXTENSION citext SCHEMA \"E x\"; CREATE EXTENSION ltree;"
      "CREATE DOMAIN mail AS \"E x\".citext CHECK (value <> '');"
      "CREATE TABLE c (k \"E x\".citext PRIMARY KEY, v text);"
      "CREATE TABLE d (k mail PRIMARY KEY, v text);"
      "CREATE TABLE l (k ltree PRIMARY KEY, v text);"
      "CREATE TABLE f (n int, l ltree, c \"E x\".citext, a ltree[]);"
      "ALTER TABLE f REPLICA IDENTITY FULL");
  pair.start();
  pair.on_source("SET search_path = public, \"E x\"");
  pair.on_source(
      "INSERT INTO c SELECT 'Key' || g, 'v' FROM generate_series(1, 9) g;"
      "INSERT INTO d SELECT 'Key' || g, 'v' FROM generate_series(1, 9) g;"
      "INSERT INTO l SELECT ('Top.k' || g)::ltree, 'v' FROM generate_series(1, 9) g;"
      "INSERT INTO f SELECT g % 3, 'Top.a', 'A', '{Top.b}' FROM generate_series(1, 9) g;"
      "INSERT INTO f VALUES (1, NULL, 'a', NULL)");
  pair.on_source(
      "UPDATE c SET v = 'w' WHERE k <> 'key3'; UPDATE d SET v = 'w' WHERE k <> 'key3';"
      "UPDATE l SET v = 'w' WHERE k <> 'Top.k3'; UPDATE c SET k = 'KEY5' WHERE k = 'key5';"
      "DELETE FROM c WHERE k IN ('key1', 'key2', 'key4'); DELETE FROM d WHERE k IN ('key1', "
      "'key2', 'key4'); DELETE FROM l WHERE k IN ('Top.k1', 'Top.k2', 'Top.k4')");
  pair.on_source("UPDATE f SET l = 'Top.c', n = n + 1 WHERE c = 'a'; DELETE FROM f WHERE n = 2");
  pair.on_source("DELETE FROM c WHERE k = 'key6'; INSERT INTO c VALUES ('KEY6', 'again')");
  pair.capture();
  for (const bool sets : {true, false}) {
    pair.stream = Uuid::from_random(4, sets);
    pair.on_target("TRUNCATE c, d, l, f");
    auto applied = pair.apply_all({.set_based = sets});
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    pair.expect_same_tables();
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, SinkValues, testing::ValuesIn(server_pairs()),
                         [](const auto& info) { return pair_name(info.param); });

}  // namespace
}  // namespace farshore::postgres
