// How `check` compares the tables of a stream between real servers: what is found, that a copy
// made by the same definitions has no differences, and that the remedies are enough.
#include <gmock/gmock.h>

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/site.h"
#include "engine/postgres/snapshot.h"
#include "engine/postgres/test_database.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class SiteTablesOn : public testing::TestWithParam<Servers> {
 protected:
  SiteTablesOn() {
    source_options.name = "orders-us";
    source_options.connect.conninfo = source.conninfo();
    source_options.rules = {{.match = "public.left_out", .exclude = true}, {.match = "*"}};
    target_options.name = "orders-eu";
    target_options.connect.conninfo = target.conninfo();
  }
  void both(const std::string& sql) {
    source.run(sql);
    target.run(sql);
  }
  std::vector<Finding> findings() {
    auto description = make_site(test_world(), source_options)->describe();
    EXPECT_TRUE(description.ok()) << description.error().what;
    auto found = make_site(test_world(), target_options)->compare(*description);
    EXPECT_TRUE(found.ok()) << found.error().what;
    return *std::move(found);
  }
  // "level code object: message" of each.
  std::vector<std::string> texts() {
    constexpr const char* kLevels[] = {"note", "warning", "error"};
    std::vector<std::string> out;
    for (const Finding& f : findings())
      out.push_back(fmt::format("{} {} {}: {}", kLevels[static_cast<int>(f.level)], f.code,
                                f.object, f.message));
    return out;
  }
  // Runs the remedies at the target, as its superuser.
  void do_all(const std::vector<Finding>& all) {
    for (const Finding& finding : all)
      if (finding.level != FindingLevel::note && !finding.remedy.empty())
        target.run(finding.remedy);
  }
  // As the initial copy would make all that is missing.
  void make_at_target(const std::string& listed) {
    const Uuid stream =
        Uuid::from_random(test_world().random().next(), test_world().random().next());
    source.run(fmt::format("CREATE PUBLICATION {} FOR TABLE {}", slot_name(stream), listed));
    SourceOptions options{.name = "orders", .stream = stream, .conninfo = source.conninfo()};
    auto snapshots = make_snapshot_source(test_world(), options);
    auto tables = snapshots->tables();
    ASSERT_TRUE(tables.ok()) << tables.error().what;
    auto shared = snapshots->shared_definitions();
    ASSERT_TRUE(shared.ok()) << shared.error().what;
    auto copies = make_copy_sink(test_world(), target_options.connect, {}, {});
    auto made = copies->prepare(stream, {}, *shared, *tables, ExistingRows::refuse);
    ASSERT_TRUE(made.ok()) << made.error().what;
    target.run("UPDATE farshore.table_state SET state = 'copied'");
    auto complete = copies->complete(stream);
    ASSERT_TRUE(complete.ok()) << complete.error().what;
    target.run("DELETE FROM farshore.table_state");
  }

  TestDatabase source{shared_server(GetParam().source, 21200)};
  TestDatabase target{shared_server(GetParam().target, 21200)};
  SiteOptions source_options, target_options;
};

TEST_P(SiteTablesOn, TablesThatAreMissingAreANoteSinceTheCopyMakesThem) {
  source.run(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE keyless (id int); CREATE TABLE left_out "
      "(id int PRIMARY KEY); CREATE SCHEMA \"Other\"; CREATE TABLE \"Other\".u (id int PRIMARY "
      "KEY); "
      "CREATE TABLE p (id int PRIMARY KEY) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p "
      "FOR VALUES FROM (0) TO (10)");
  EXPECT_THAT(texts(),
              ElementsAre("note table_missing site orders-eu: tables that are not here yet "
                          "and that the initial copy makes: \"Other\".u, public.t, "
                          "public.p, public.p1"));
}

TEST_P(SiteTablesOn, WhatTheCopyMadeHasNoDifferences) {
  source.run(
      "CREATE TYPE mood AS ENUM ('a', 'b'); CREATE DOMAIN price AS numeric(10,2) CHECK (value > 0);"
      "CREATE TYPE pair AS (a int, b text); CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY "
      "PRIMARY KEY, s serial, m mood DEFAULT 'a' NOT NULL, p price, c pair, total int GENERATED "
      "ALWAYS AS (1 + 1) STORED, v varchar(10)[] CHECK (cardinality(v) < 5), UNIQUE (s, p));"
      "CREATE UNIQUE INDEX ON t (lower(v[1])); CREATE TABLE child (t bigint REFERENCES t, "
      "n timestamptz(3) DEFAULT now(), EXCLUDE USING gist (int8range(t, t) WITH &&));"
      "ALTER TABLE child REPLICA IDENTITY FULL; CREATE TABLE i (a int NOT NULL, \"B b\" text NOT "
      "NULL); CREATE UNIQUE INDEX i_key ON i (\"B b\", a); ALTER TABLE i REPLICA IDENTITY USING "
      "INDEX i_key; CREATE TABLE p (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);"
      "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM ('2020-01-01') TO ('2030-01-01')");
  make_at_target("t, child, i, p, p1");
  EXPECT_THAT(texts(), IsEmpty());
}

TEST_P(SiteTablesOn, DifferencesAreNamedAndTheirRemediesAreEnough) {
  both(
      "CREATE TYPE mood AS ENUM ('a'); CREATE TABLE t (id int PRIMARY KEY, a text, b int, c int "
      "NOT NULL DEFAULT 0, m mood); CREATE TABLE keyed (id int PRIMARY KEY, n text)");
  source.run(
      "ALTER TYPE mood ADD VALUE 'b'; ALTER TABLE t ADD price numeric(10,2), ALTER b TYPE bigint, "
      "ADD doubled int GENERATED ALWAYS AS (id * 2) STORED, ALTER c DROP NOT NULL");
  target.run(
      "ALTER TABLE t ADD extra int NOT NULL, ADD doubled int, ADD UNIQUE (a);"
      "ALTER TABLE keyed DROP CONSTRAINT keyed_pkey");
  const auto found = findings();
  EXPECT_THAT(
      texts(),
      ElementsAre(
          "error type_label_missing site orders-eu, type public.mood: lacks the label 'b'",
          HasSubstr("warning no_key site orders-eu, table public.keyed"),
          AllOf(
              StartsWith("warning column_generated site orders-eu, table public.t: column doubled "
                         "is generated at the source"),
              HasSubstr("stays NULL")),
          HasSubstr("warning column_not_null site orders-eu, table public.t: column c must not"),
          HasSubstr("warning constraint_extra site orders-eu, table public.t: constraint t_a_key"),
          "error column_missing site orders-eu, table public.t: column price is missing",
          "error column_not_null site orders-eu, table public.t: column extra is not at the source "
          "and must not be NULL",
          "error column_type site orders-eu, table public.t: column b is integer here and bigint "
          "at the source"));
  do_all(found);
  EXPECT_THAT(texts(), ElementsAre(HasSubstr("note column_extra")));
}

TEST_P(SiteTablesOn, ADefaultThatTheTargetLacksIsANote) {
  source.run("CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 7)");
  target.run("CREATE TABLE t (id int PRIMARY KEY, a int)");
  const auto found = findings();
  EXPECT_THAT(texts(),
              ElementsAre(AllOf(StartsWith("note column_default site orders-eu, table public.t: "),
                                HasSubstr("column a"))));
  target.run(found.at(0).remedy);
  EXPECT_THAT(texts(), IsEmpty());
}

TEST_P(SiteTablesOn, WhatIsNoTableIsAnErrorAndIsAlsoToldByTheCopy) {
  source.run(
      "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); CREATE EXTENSION "
      "hstore; CREATE TABLE h (id int PRIMARY KEY, h hstore)");
  target.run(
      "CREATE VIEW a AS SELECT 1 AS id; CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN "
      "DATA "
      "WRAPPER w; CREATE FOREIGN TABLE b (id int) SERVER s");
  EXPECT_THAT(
      texts(),
      ElementsAre("error extension_missing site orders-eu, extension hstore: is missing",
                  "error not_a_table site orders-eu, table public.a: is no table here: a VIEW has "
                  "its name",
                  "error not_a_table site orders-eu, table public.b: is no table here: a FOREIGN "
                  "TABLE has its name",
                  HasSubstr("initial copy makes: public.h")));
}

TEST_P(SiteTablesOn, RowsAreJudgedByWhatTheStreamDoesWithThem) {
  both("CREATE TABLE t (id int PRIMARY KEY)");
  EXPECT_THAT(texts(), IsEmpty());
  target.run("INSERT INTO t VALUES (1)");
  const auto refused = findings();
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_EQ(refused[0].code, "holds_rows");
  EXPECT_EQ(refused[0].level, FindingLevel::error);
  EXPECT_THAT(refused[0].remedy, HasSubstr("TRUNCATE public.t;"));
  target_options.existing = ExistingRows::replace;
  EXPECT_THAT(texts(), ElementsAre(HasSubstr("warning holds_rows")));
  target_options.existing = ExistingRows::keep;
  EXPECT_THAT(texts(), ElementsAre(HasSubstr("note holds_rows")));
  // Copied by this stream.
  target_options.existing = ExistingRows::refuse;
  target.run(
      "CREATE SCHEMA farshore; CREATE TABLE farshore.table_state (stream uuid, table_name text, "
      "state text, replace bool, rows bigint, membership text); INSERT INTO farshore.table_state "
      "VALUES "
      "('00000000-0000-0000-0000-000000000001', 'public.t', 'streaming', false, 1)");
  EXPECT_THAT(texts(), IsEmpty());
  target_options.stream = Uuid::from_random(7, 7);  // another stream copied it
  EXPECT_THAT(texts(), ElementsAre(HasSubstr("error holds_rows")));
  target_options.stream = {};
  target.run("DROP TABLE t");
  EXPECT_THAT(texts(), ElementsAre("error table_missing site orders-eu, table public.t: the table "
                                   "was copied and is no longer here"));
}

TEST_P(SiteTablesOn, TriggersAndRulesThatActOnReplicatedRowsAreNamed) {
  both("CREATE TABLE t (id int PRIMARY KEY)");
  target.run(
      "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
      "CREATE TRIGGER quiet BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
      "CREATE TRIGGER loud BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
      "CREATE TRIGGER copy BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f();"
      "CREATE RULE r AS ON DELETE TO t DO NOTHING; ALTER TABLE t ENABLE ALWAYS TRIGGER loud, "
      "ENABLE "
      "REPLICA TRIGGER copy, ENABLE ALWAYS RULE r");
  const auto found = findings();
  EXPECT_THAT(
      texts(),
      ElementsAre("warning rule_acts site orders-eu, table public.t: rule r is set to ALWAYS: it "
                  "acts for replicated rows too",
                  "warning trigger_fires site orders-eu, table public.t: trigger copy is set to "
                  "REPLICA: it fires for replicated rows too",
                  "warning trigger_fires site orders-eu, table public.t: trigger loud is set to "
                  "ALWAYS: it fires for replicated rows too"));
  do_all(found);
  EXPECT_THAT(texts(), IsEmpty());
}

TEST_P(SiteTablesOn, RightsThatTheRoleLacksAreNamed) {
  source.run(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA s; CREATE TABLE s.u (id int PRIMARY "
      "KEY)");
  target.run(
      "CREATE TABLE t (id int PRIMARY KEY); CREATE SCHEMA s; ALTER TABLE t ENABLE ROW LEVEL "
      "SECURITY; DO $$ BEGIN CREATE ROLE limited LOGIN; EXCEPTION WHEN duplicate_object THEN END "
      "$$");
  target_options.connect.conninfo += " user=limited";
  const auto found = findings();
  EXPECT_THAT(
      texts(),
      ElementsAre(HasSubstr("note table_missing"),
                  "error no_schema_privilege site orders-eu, schema s: role limited may not make "
                  "the tables that are missing in it",
                  "error no_table_privilege site orders-eu, table public.t: role limited lacks "
                  "SELECT, INSERT, UPDATE, DELETE, TRUNCATE",
                  HasSubstr("error row_security site orders-eu, table public.t")));
  do_all(found);
  EXPECT_THAT(texts(), ElementsAre(HasSubstr("note table_missing")));
  target.run("DROP OWNED BY limited; DROP ROLE limited");
}

TEST_P(SiteTablesOn, ADescriptionOfSomethingElseIsCorrupt) {
  auto site = make_site(test_world(), target_options);
  for (const char* text :
       {"", "{}", R"({"engine":"mysql","version":1})", R"({"engine":1,"version":"x"})",
        R"({"engine":"postgres","version":1,"shared":[],"tables":[1]})",
        R"({"engine":"postgres","version":2,"shared":{},"tables":[]})"}) {
    auto found = site->compare(text);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.error().kind, ErrorKind::corrupt);
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, SiteTablesOn, testing::ValuesIn(server_pairs()),
                         [](const auto& info) { return pair_name(info.param); });

}  // namespace
}  // namespace farshore::postgres
