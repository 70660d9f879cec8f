// What `check` and `grants` say to a role of least privilege.
#include <gmock/gmock.h>

#include "engine/postgres/sink_session.h"
#include "engine/postgres/site.h"
#include "engine/postgres/slot.h"
#include "engine/postgres/test_database.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

class SiteOn : public testing::TestWithParam<std::string> {
 protected:
  SiteOn() {
    database_.run(
        "DO $$ BEGIN CREATE ROLE looker LOGIN REPLICATION; EXCEPTION WHEN duplicate_object THEN "
        "END $$; GRANT CREATE ON DATABASE " +
        database_.name() + " TO looker");
    options_.name = "orders-us";
    options_.connect.conninfo = database_.conninfo() + " user=looker";
    options_.stream = Uuid::from_random(test_world().random().next(), 1);
    options_.rules = {{.match = "public.left_out", .exclude = true}, {.match = "*.*"}};
  }
  ~SiteOn() override { database_.run("REVOKE pg_read_all_stats FROM looker"); }

  std::vector<Finding> check() {
    return make_site(test_world(), options_)->check(SiteRole::source);
  }
  // "level code object: message" of those of one code.
  std::vector<std::string> texts(const std::string& code) {
    constexpr const char* kLevels[] = {"note", "warning", "error"};
    std::vector<std::string> out;
    for (const Finding& f : check())
      if (f.code == code)
        out.push_back(fmt::format("{} {} {}: {}", kLevels[static_cast<int>(f.level)], f.code,
                                  f.object, f.message));
    return out;
  }
  // Runs the remedies of a code, as superuser.
  void do_all(const std::string& code) {
    for (const Finding& finding : check())
      if (finding.code == code) database_.run(finding.remedy);
  }

  TestServer& server_ = shared_server(GetParam(), 21200);
  TestDatabase database_{server_};
  SiteOptions options_;
};

INSTANTIATE_TEST_SUITE_P(Servers, SiteOn, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(SiteOn, SessionsThatWaitForUsAreFoundAndWhatStaysHiddenIsSaid) {
  const auto set_names = [&](const std::string& names) {
    database_.run("ALTER SYSTEM SET synchronous_standby_names = '" + names + "'");
    database_.run("SELECT pg_reload_conf()");
    ASSERT_TRUE(
        eventually([&] { return database_.value("SHOW synchronous_standby_names") == names; }));
  };
  database_.run("SET synchronous_commit = local");
  const std::string name = application_name(options_.stream);
  std::vector<std::unique_ptr<Connection>> others;
  for (int i = 0; i < 2; ++i) {
    auto opened = Connection::open(
        test_world(),
        {.conninfo = database_.conninfo(), .application_name = name, .replication = true}, soon());
    ASSERT_TRUE(opened.ok()) << opened.error().what;
    others.push_back(*std::move(opened));
    auto started = others.back()->query("IDENTIFY_SYSTEM", soon());
    ASSERT_TRUE(started.ok()) << started.error().what;
  }
  EXPECT_THAT(texts("synchronous_standby"), IsEmpty());
  set_names("FIRST 1 (other, " + name + ")");
  EXPECT_THAT(texts("synchronous_standby"),
              Contains(HasSubstr("warning synchronous_standby site orders-us: "
                                 "synchronous_standby_names = 'FIRST 1 (other")));
  EXPECT_THAT(texts("senders_hidden"),
              Contains(HasSubstr("note senders_hidden site orders-us: role looker does not")));
  EXPECT_THAT(texts("synchronous_name_twice"),
              Contains(HasSubstr("error synchronous_name_twice site orders-us: two WAL senders")));
  do_all("synchronous_name_twice");
  do_all("senders_hidden");
  EXPECT_THAT(texts("senders_hidden"), IsEmpty());
  set_names("other, \"" + name + "1\"");
  EXPECT_THAT(texts("synchronous_standby"), IsEmpty());
  options_.stream = {};  // not known here
  EXPECT_THAT(texts("synchronous_standby"), Contains(HasSubstr("every session")));
  database_.run("ALTER DATABASE " + database_.name() + " SET synchronous_commit = local");
  EXPECT_THAT(texts("synchronous_standby"), IsEmpty());
  database_.run("ALTER ROLE looker SET synchronous_commit = local");
  EXPECT_THAT(texts("synchronous_standby"), Contains(HasSubstr("every session")));
  database_.run("ALTER ROLE looker RESET synchronous_commit");
  set_names("");
}

TEST_P(SiteOn, WhatGrantsPrintIsEnoughWhateverTheNames) {
  database_.run(
      "CREATE SCHEMA \"my.schema\"; CREATE TABLE \"my.schema\".\"a.b\" (id int PRIMARY KEY); "
      "CREATE "
      "TABLE \"T t\" (id int PRIMARY KEY); CREATE TABLE left_out (id int PRIMARY KEY); DO $$ BEGIN "
      "CREATE ROLE \"an.owner\"; EXCEPTION WHEN duplicate_object THEN END $$; ALTER TABLE \"T t\" "
      "OWNER TO \"an.owner\"; ALTER TABLE \"my.schema\".\"a.b\" OWNER TO \"an.owner\"");
  EXPECT_THAT(
      texts("no_select"),
      Contains("error no_select site orders-us, table \"my.schema\".\"a.b\": role looker may "
               "not read the table"));
  auto grants = make_site(test_world(), options_)->grants(SiteRole::source);
  ASSERT_TRUE(grants.ok()) << grants.error().what;
  EXPECT_THAT(*grants, Not(HasSubstr("left_out")));
  database_.run(*grants);
  for (const Finding& finding : check())
    EXPECT_NE(finding.level, FindingLevel::error) << finding.code << ": " << finding.message;
  auto target = make_site(test_world(), options_)->grants(SiteRole::target);
  ASSERT_TRUE(target.ok()) << target.error().what;
  EXPECT_THAT(*target, HasSubstr("ON SCHEMA \"my.schema\" TO looker;"));
  database_.run(*target);
  for (const Finding& finding : make_site(test_world(), options_)->check(SiteRole::target))
    EXPECT_NE(finding.level, FindingLevel::error) << finding.code << ": " << finding.message;
}

TEST_P(SiteOn, AStreamThatTakesNoTableIsAnErrorAndARuleThatMatchesNoneAWarning) {
  options_.stream_name = "orders";
  options_.rules = {{.match = "public.sesions", .exclude = true}, {.match = "public.ordrs"}};
  const auto remedy = [&] {
    for (const Finding& finding : check())
      if (finding.code == "no_tables") return finding.remedy;
    return std::string();
  };
  const std::string none =
      "error no_tables site orders-us: the stream takes no table of this database: nothing would "
      "be replicated";
  EXPECT_THAT(texts("no_tables"), ElementsAre(none));
  EXPECT_EQ(remedy(), "make its tables, or correct dbname in `sites.orders-us.dsn`");
  database_.run("CREATE TABLE orders (id int PRIMARY KEY); CREATE TABLE sessions (id int)");
  EXPECT_THAT(texts("no_tables"), ElementsAre(none));
  EXPECT_EQ(remedy(),
            "correct `streams.orders.tables`: this database has public.orders, public.sessions");
  EXPECT_THAT(
      texts("rule_matches_none"),
      ElementsAre("warning rule_matches_none site orders-us, rule 'public.sesions': no table of "
                  "this database matches it: it keeps none out",
                  "warning rule_matches_none site orders-us, rule 'public.ordrs': no table of this "
                  "database matches it"));
  options_.rules = {{.match = "public.sessions"}};
  EXPECT_EQ(remedy(), "do what is said of its tables") << "it has no key";
  options_.rules = {{.match = "public.orders"}, {.match = "public.s*", .exclude = true}};
  EXPECT_THAT(texts("no_tables"), IsEmpty());
  EXPECT_THAT(texts("rule_matches_none"), IsEmpty());
}

TEST_P(SiteOn, ATableThatCannotBeReadForLackOfItsSchemaIsAnError) {
  database_.run(
      "CREATE SCHEMA closed; CREATE TABLE closed.t (id int PRIMARY KEY); GRANT SELECT ON closed.t "
      "TO "
      "looker");
  EXPECT_THAT(texts("no_select"), Contains(HasSubstr("table closed.t")));
  do_all("no_select");
  EXPECT_THAT(texts("no_select"), IsEmpty());
}

// `grants` offers it to owners who do not let the role become a member of theirs.
TEST_P(SiteOn, ATableThatItsOwnerPublishedByHandNeedsNoMembership) {
  database_.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
  EXPECT_EQ(texts("not_owner").size(), 2u);
  database_.run("CREATE PUBLICATION " + slot_name(options_.stream) + " FOR TABLE a");
  EXPECT_THAT(texts("not_owner"), ElementsAre(HasSubstr("table public.b: only its owner may")));
}

TEST_P(SiteOn, RowLevelSecurityThatAppliesToTheCopyIsAnError) {
  database_.run(
      "CREATE TABLE others (id int PRIMARY KEY); CREATE TABLE own (id int PRIMARY KEY); CREATE "
      "TABLE "
      "forced (id int PRIMARY KEY); GRANT SELECT ON others TO looker; ALTER TABLE own OWNER TO "
      "looker; ALTER TABLE forced OWNER TO looker; ALTER TABLE others ENABLE ROW LEVEL SECURITY; "
      "ALTER TABLE own ENABLE ROW LEVEL SECURITY; ALTER TABLE forced ENABLE ROW LEVEL SECURITY, "
      "FORCE ROW LEVEL SECURITY");
  EXPECT_THAT(texts("row_security"),
              ElementsAre("error row_security site orders-us, table public.forced: row level "
                          "security applies to role looker: the table cannot be copied",
                          HasSubstr("table public.others")));
  do_all("row_security");
  EXPECT_THAT(texts("row_security"), IsEmpty());
  database_.run("ALTER ROLE looker NOBYPASSRLS");
}

TEST_P(SiteOn, WhatIsLeftOutIsNamedAndItsRemediesMakeItAtTheTarget) {
  const std::string tables =
      "CREATE TABLE t (id serial PRIMARY KEY, v text); CREATE SCHEMA elsewhere; CREATE TABLE "
      "left_out (id int PRIMARY KEY);";
  database_.run(
      tables +
      "CREATE SEQUENCE elsewhere.s; CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN "
      "RETURN NEW; END'; CREATE FUNCTION elsewhere.g() RETURNS int LANGUAGE sql AS 'SELECT 1'; "
      "CREATE TRIGGER \"T\" BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION f(); CREATE TRIGGER "
      "no "
      "BEFORE INSERT ON left_out FOR EACH ROW EXECUTE FUNCTION f(); CREATE POLICY mine ON t; "
      "CREATE "
      "VIEW seen AS SELECT 1 AS one; GRANT SELECT ON t TO PUBLIC; GRANT SELECT, DELETE ON t TO "
      "pg_monitor; CREATE EXTENSION hstore; INSERT INTO t (v) VALUES ('x')");
  const auto message = [&](const std::string& code) {
    const auto all = texts(code);
    return all.size() == 1 ? all[0] : fmt::format("{} findings", all.size());
  };
  EXPECT_THAT(message("sequences"), HasSubstr("in the log: public.t_id_seq;"));
  EXPECT_THAT(message("views"), EndsWith(": public.seen"));
  EXPECT_THAT(message("functions"), EndsWith(": public.f()"));
  EXPECT_THAT(message("triggers"), EndsWith(": \"T\" of public.t"));
  EXPECT_THAT(message("policies"), EndsWith(": mine of public.t"));
  EXPECT_THAT(message("grants"), EndsWith(": PUBLIC on public.t, pg_monitor on public.t"));
  TestDatabase target(server_);
  target.run(tables);
  for (const char* code : {"sequences", "functions", "triggers", "grants"})
    for (const Finding& finding : check()) {
      if (finding.code != code) continue;
      const Rows lines = database_.run(finding.remedy);
      EXPECT_GT(lines.count(), 0) << code;
      for (int i = 0; i < lines.count(); ++i) target.run(std::string(lines.text(i, 0)));
    }
  EXPECT_EQ(target.value("SELECT last_value FROM t_id_seq"), "1");
  EXPECT_EQ(target.value("SELECT count(*) FROM pg_trigger WHERE tgname = 'T'"), "1");
  EXPECT_EQ(target.value("SELECT has_table_privilege('pg_monitor', 't', 'DELETE')"), "t");
}

TEST_P(SiteOn, OfMuchThatIsLeftOutTheFirstAreNamed) {
  database_.run(
      "CREATE TABLE t (id int PRIMARY KEY); DO $$ BEGIN FOR i IN 10..35 LOOP EXECUTE "
      "format('CREATE "
      "VIEW v%s AS SELECT 1', i); END LOOP; END $$");
  EXPECT_THAT(texts("views"), ElementsAre(EndsWith("public.v28, public.v29 and 6 more")));
}

// The stream's own sender and origins are no reason to say that there is none for it.
TEST_P(SiteOn, WhatTheStreamItselfTakesIsNotMissing) {
  const std::string one = "max_wal_senders = 1";
  TestServer server({.bin = GetParam(), .port = 21260 + port_offset(), .settings = {one}});
  TestDatabase database(server);
  TestStream stream(database);
  options_.connect.conninfo = database.conninfo();
  options_.stream = stream.options.stream;
  stream.start();
  EXPECT_THAT(texts("no_sender_left"), IsEmpty());
  options_.stream = Uuid::from_random(7, 7);
  EXPECT_THAT(texts("no_sender_left"),
              ElementsAre("error no_sender_left site orders-us: all 1 WAL senders are taken"));
}

TEST_P(SiteOn, EachTableThatStaysOutIsNamedWithItsReasonAndARemedyThatIsEnough) {
  const bool newer = std::stoi(database_.value("SHOW server_version_num")) >= 180000;
  database_.run(
      "CREATE TABLE deferred (id int, PRIMARY KEY (id) DEFERRABLE); CREATE TABLE plain (a int);"
      "CREATE TABLE nothing (id int PRIMARY KEY); ALTER TABLE nothing REPLICA IDENTITY NOTHING;"
      "CREATE TABLE other (a int NOT NULL); CREATE UNIQUE INDEX \"O n\" ON other (a);"
      "CREATE TABLE lost (id int PRIMARY KEY, a int NOT NULL); CREATE UNIQUE INDEX l ON lost (a);"
      "ALTER TABLE lost REPLICA IDENTITY USING INDEX l; DROP INDEX l;"
      "CREATE TABLE broken (id int PRIMARY KEY);"
      "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_pkey'::regclass;"
      "CREATE TABLE part (id int) PARTITION BY LIST (id);"
      "CREATE TABLE part_1 PARTITION OF part (PRIMARY KEY (id)) FOR VALUES IN (1);"
      "CREATE TABLE generated (id int PRIMARY KEY, g int GENERATED ALWAYS AS (id) STORED);"
      "ALTER TABLE generated REPLICA IDENTITY FULL");
  const std::string out =
      ": the table stays out, since publishing it would make the application's own UPDATE and "
      "DELETE fail";
  const std::string start = "warning no_replica_identity site orders-us, table public.";
  std::vector<std::string> expected = {
      start + "broken: its primary key broken_pkey is not valid" + out,
      start + "deferred: its primary key deferred_pkey is DEFERRABLE" + out,
      start + "lost: the index of its REPLICA IDENTITY was dropped" + out,
      start + "nothing: its REPLICA IDENTITY is NOTHING" + out,
      start + "other: it has no primary key" + out,
      start + "plain: it has no primary key" + out};
  if (newer)
    expected.insert(
        expected.begin() + 2,
        start + "generated: its REPLICA IDENTITY FULL holds the generated column g" + out);
  EXPECT_EQ(texts("no_replica_identity"), expected);
  do_all("no_replica_identity");
  EXPECT_THAT(texts("no_replica_identity"), IsEmpty());
  EXPECT_EQ(database_.value("SELECT relreplident FROM pg_class WHERE relname = 'other'"), "i");
}

TEST_P(SiteOn, ARoleThatMayNotWriteHeartbeatsIsAWarning) {
  EXPECT_THAT(texts("no_heartbeat_privilege"), IsEmpty());
  const std::string name = database_.value(
      "SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message' AND "
      "proargtypes[2] = 'text'::regtype");
  database_.run("REVOKE EXECUTE ON FUNCTION " + name + " FROM PUBLIC");
  EXPECT_THAT(texts("no_heartbeat_privilege"),
              ElementsAre(StartsWith("warning no_heartbeat_privilege site orders-us: role looker "
                                     "may not execute " +
                                     name)));
  do_all("no_heartbeat_privilege");
  EXPECT_THAT(texts("no_heartbeat_privilege"), IsEmpty());
  database_.run("GRANT EXECUTE ON FUNCTION " + name + " TO PUBLIC");
  database_.run("REVOKE EXECUTE ON FUNCTION " + name + " FROM looker");
}

TEST_P(SiteOn, ACatalogThatMayNotBeReadIsSaid) {
  database_.run("REVOKE SELECT ON pg_index FROM PUBLIC");
  EXPECT_THAT(texts("not_checked"),
              Contains(AllOf(StartsWith("warning not_checked site orders-us: a catalog could not "
                                        "be read: "),
                             HasSubstr("pg_index"))));
  do_all("not_checked");
  EXPECT_THAT(texts("not_checked"), IsEmpty());
}

// Functions of the database's own stand for a server whose clock is off, and for a standby.
TEST_P(SiteOn, AClockThatIsOffIsAWarningAndAStandbyAtATargetAnError) {
  EXPECT_THAT(texts("clock_offset"), IsEmpty());
  database_.run(
      "ALTER ROLE looker SET search_path = ahead, pg_catalog; CREATE SCHEMA ahead; GRANT USAGE ON "
      "SCHEMA ahead TO PUBLIC; CREATE FUNCTION ahead.clock_timestamp() RETURNS timestamptz "
      "LANGUAGE sql AS $$ SELECT pg_catalog.clock_timestamp() + interval '3 s' $$; CREATE FUNCTION "
      "ahead.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT true'");
  EXPECT_THAT(texts("clock_offset"),
              ElementsAre(HasSubstr("warning clock_offset site orders-us: the server's clock is "
                                    "+3.0 s off this agent's")));
  EXPECT_THAT(make_site(test_world(), options_)->check(SiteRole::target),
              Contains(AllOf(Field(&Finding::code, "in_recovery"),
                             Field(&Finding::level, FindingLevel::error),
                             Field(&Finding::message, StartsWith("the server is a standby")))));
  database_.run("ALTER ROLE looker RESET search_path");
}

// Each version has its own setting for it.
TEST_P(SiteOn, OriginsThatAreAllTakenAreAnErrorAtATarget) {
  const bool newer = std::stoi(database_.value("SHOW server_version_num")) >= 180000;
  const std::string name = newer ? "max_active_replication_origins" : "max_replication_slots";
  const auto found = [&] {
    std::vector<std::string> out;
    for (const Finding& f : make_site(test_world(), options_)->check(SiteRole::target))
      if (f.code == "no_origin_left") out.push_back(f.message + " | " + f.remedy);
    return out;
  };
  EXPECT_THAT(found(), IsEmpty());
  const std::string most = database_.value("SHOW " + name);
  database_.run("SELECT pg_replication_origin_create('o' || i) FROM generate_series(1, " + most +
                " - (SELECT count(*) FROM pg_replication_origin)::int) i");
  EXPECT_THAT(found(), ElementsAre(AllOf(StartsWith(name + " is " + most),
                                         HasSubstr("SET " + name + " ="))));
  database_.run("SELECT pg_replication_origin_drop('o1')");
  database_.run(fmt::format("SELECT pg_replication_origin_create('{}1')",
                            origin_prefix(options_.stream, database_.value(kDatabaseOidSql))));
  EXPECT_THAT(found(), IsEmpty());
  database_.run(fmt::format("SELECT pg_replication_origin_drop('{}1')",
                            origin_prefix(options_.stream, database_.value(kDatabaseOidSql))));
  database_.run(
      "SELECT pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname "
      "LIKE 'o%'");
}

TEST_P(SiteOn, WhatAFailoverWouldNeedIsNamedAndItsRemediesAreEnough) {
  database_.run(
      "CREATE TABLE t (id serial PRIMARY KEY); CREATE TABLE \"C c\" (\"I\" bigint GENERATED ALWAYS "
      "AS "
      "IDENTITY, t int); ALTER TABLE \"C c\" ADD CONSTRAINT \"F f\" FOREIGN KEY (t) REFERENCES t "
      "NOT "
      "VALID; INSERT INTO t VALUES (7)");
  std::map<std::string, std::string> messages;
  for (const Finding& finding : make_site(test_world(), options_)->check(SiteRole::target)) {
    if (finding.code != "foreign_keys_not_valid" && finding.code != "failover_sequences") continue;
    messages[finding.code] = finding.message;
    database_.run(finding.remedy);
  }
  EXPECT_THAT(messages["foreign_keys_not_valid"], EndsWith(": \"F f\" of public.\"C c\""));
  EXPECT_THAT(messages["failover_sequences"],
              HasSubstr("made: public.\"C c_I_seq\", public.t_id_seq;"));
  EXPECT_EQ(database_.value("SELECT nextval('t_id_seq')"), "8");
  EXPECT_EQ(database_.value("SELECT count(*) FROM pg_constraint WHERE NOT convalidated"), "0");
}

}  // namespace
}  // namespace farshore::postgres
