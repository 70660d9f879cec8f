// Which tables are published, on real servers: no statement of the application fails or waits.
#include <gmock/gmock.h>

#include "engine/postgres/membership.h"
#include "engine/postgres/publication.h"
#include "engine/postgres/test_database.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Key;
using testing::Pair;
using testing::UnorderedElementsAre;

constexpr const char* kParted =
    "CREATE TABLE m (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
    "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (10);"
    "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (20)";

// A publication that is refreshed by hand, and the memberships of its tables by their names.
class Members {
 public:
  Members(const TestDatabase& database, const SourceOptions& options)
      : options_(options), publication_(options_), session_(database.conninfo()) {}
  std::map<std::string, std::string> refresh() {
    const auto refreshed = publication_.refresh(session_.connection(), soon());
    FARSHORE_CHECK(refreshed.ok(), "{}", refreshed.error().what);
    return now();
  }
  std::map<std::string, std::string> now() {
    const auto all = read_memberships(session_.connection(), slot_name(options_.stream), soon());
    FARSHORE_CHECK(all.ok(), "{}", all.error().what);
    std::map<std::string, std::string> out;
    for (const auto& [table, membership] : *all) out[table.name] = membership;
    return out;
  }

 private:
  const SourceOptions options_;
  Publication publication_;
  TestSession session_;
};

class PublicationOnServer : public testing::TestWithParam<std::string> {
 protected:
  std::vector<std::string> published(const TestStream& stream) {
    TestSession session(database_.conninfo());
    auto names = read_published(session.connection(), stream.options.stream, soon());
    std::vector<std::string> out;
    for (const TableName& name : *names) out.push_back(name.quoted());
    return out;
  }
  bool becomes_published(const TestStream& stream, const std::string& table, bool wanted = true) {
    return eventually([&] {
      const auto names = published(stream);
      return (std::ranges::find(names, table) != names.end()) == wanted;
    });
  }

  TestServer& server_ = shared_server(GetParam(), 21200);
  TestDatabase database_{server_};
};

INSTANTIATE_TEST_SUITE_P(Servers, PublicationOnServer, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(PublicationOnServer, AKeylessTableStaysOutAndCanStillBeUpdated) {
  database_.run(
      "CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE keyless (id int);"
      "CREATE UNLOGGED TABLE unlogged (id int PRIMARY KEY);"
      "CREATE TABLE late_key (id int, PRIMARY KEY (id) DEFERRABLE)");
  TestStream stream(database_);
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.keyed"));
  EXPECT_TRUE(stream.told("source.table_keyless", "public.keyless"));
  EXPECT_TRUE(stream.told("source.table_keyless", "public.late_key"));
  EXPECT_TRUE(stream.told("source.table_unlogged", "public.unlogged"));
  for (const char* table : {"keyed", "keyless", "unlogged", "late_key"})
    database_.run(
        fmt::format("INSERT INTO {0} VALUES (1); UPDATE {0} SET id = 2; DELETE FROM {0}", table));
}

// From 18 on the server refuses UPDATE and DELETE of a published table whose identity holds a
// generated column.
TEST_P(PublicationOnServer, AnIdentityWithAGeneratedColumnLetsTheApplicationWrite) {
  const bool newer = std::stoi(database_.value("SHOW server_version_num")) >= 180000;
  const std::vector<std::string> columns = {
      "v int, g int GENERATED ALWAYS AS (v + 1) STORED",
      newer ? "v int, g int GENERATED ALWAYS AS (v + 1)" : "v int"};
  database_.run(fmt::format(
      "CREATE TABLE full_stored ({0}); CREATE TABLE full_virtual ({1});"
      "CREATE TABLE own_full (id int PRIMARY KEY, {1}); ALTER TABLE own_full REPLICA IDENTITY FULL;"
      "CREATE TABLE key_stored ({0} PRIMARY KEY);"
      "CREATE TABLE by_index ({0} NOT NULL); CREATE UNIQUE INDEX by_index_g ON by_index (g);"
      "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_g;"
      "CREATE TABLE covered (id int, {0}, PRIMARY KEY (id) INCLUDE (g))",
      columns[0], columns[1]));
  const std::vector<std::string> tables = {"full_stored", "full_virtual", "own_full",
                                           "key_stored",  "by_index",     "covered"};
  TestStream stream(database_, {{.match = "*", .identity_full = true}});
  stream.start();
  const auto application_writes = [&](const std::string& table) {
    const bool keyed = table == "own_full" || table == "covered";
    database_.run(
        fmt::format("INSERT INTO {0} ({1}v) VALUES ({2}1); UPDATE {0} SET v = 2; "
                    "DELETE FROM {0}",
                    table, keyed ? "id, " : "", keyed ? "1, " : ""));
  };
  for (const std::string& table : tables) application_writes(table);
  if (!newer) {
    EXPECT_EQ(published(stream).size(), tables.size());
    return;
  }
  EXPECT_THAT(published(stream), ElementsAre("public.covered"));
  for (const char* why :
       {"table public.full_stored stays out: it has no primary key",
        "table public.own_full stays out: its REPLICA IDENTITY FULL holds the generated column g",
        "key_stored stays out: its primary key key_stored_pkey holds the generated column g",
        "fail; CREATE UNIQUE INDEX key_stored_identity ON public.key_stored (...); ALTER TABLE",
        "fail; ALTER TABLE public.own_full REPLICA IDENTITY DEFAULT;"})
    EXPECT_TRUE(stream.told("source.table_keyless", why)) << why;
}

TEST_P(PublicationOnServer, AGeneratedColumnThatIsAddedLaterTakesAFullTableOut) {
  const bool newer = std::stoi(database_.value("SHOW server_version_num")) >= 180000;
  database_.run(
      "CREATE TABLE t (v int); ALTER TABLE t REPLICA IDENTITY FULL; INSERT INTO t VALUES (1);"
      "CREATE TABLE keyed (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.keyed", "public.t"));
  for (const char* table : {"t", "keyed"})
    database_.run(
        fmt::format("ALTER TABLE {} ADD COLUMN g int GENERATED ALWAYS AS (1) STORED", table));
  EXPECT_TRUE(becomes_published(stream, "public.t", !newer));
  EXPECT_TRUE(becomes_published(stream, "public.keyed"));
  database_.run("UPDATE t SET v = 2; DELETE FROM t; INSERT INTO keyed VALUES (1)");
  database_.run("UPDATE keyed SET id = 2");
  if (!newer) return;
  EXPECT_TRUE(eventually([&] { return stream.told("source.table_keyless", "column g"); }));
  database_.run("ALTER TABLE t DROP COLUMN g");
  EXPECT_TRUE(becomes_published(stream, "public.t"));
}

// Long before the next refresh.
TEST_P(PublicationOnServer, ALostIdentityIsSeenAtTheNextLookAtTheServer) {
  database_.run(
      "CREATE TABLE t (id int CONSTRAINT k PRIMARY KEY); CREATE TABLE whole (id int);"
      "ALTER TABLE whole REPLICA IDENTITY FULL");
  TestStream stream(database_);
  stream.options.refresh_every = 1h;
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.t", "public.whole"));
  database_.run("ALTER TABLE t DROP CONSTRAINT k; ALTER TABLE whole REPLICA IDENTITY NOTHING");
  EXPECT_TRUE(becomes_published(stream, "public.t", false));
  EXPECT_TRUE(becomes_published(stream, "public.whole", false));
  database_.run("INSERT INTO t VALUES (1); UPDATE t SET id = 2");
}

TEST_P(PublicationOnServer, AnApplicationThatLocksTablesInAnotherOrderLosesNoDeadlock) {
  database_.run("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)");
  TestSession application(database_.conninfo());
  application.run("SET deadlock_timeout = '20ms'; BEGIN; LOCK TABLE b");
  TestStream stream(database_);
  Publication publication(stream.options);
  TestSession ours(database_.conninfo());
  os::Thread refresh("refresh", [&](std::stop_token) {
    EXPECT_TRUE(publication.refresh(ours.connection(), soon()).ok());
  });
  EXPECT_TRUE(eventually([&] {
    return database_.value(
               "SELECT count(*) FROM pg_locks WHERE NOT granted AND "
               "relation = 'b'::regclass") == "1";
  }));
  application.run("LOCK TABLE a; COMMIT");
  refresh.join();
}

TEST_P(PublicationOnServer, TheFirstRuleThatMatchesDecides) {
  database_.run(
      "CREATE TABLE sessions (id int PRIMARY KEY); CREATE TABLE orders (id int PRIMARY KEY);"
      "CREATE SCHEMA \"Other\"; CREATE TABLE \"Other\".\"T x\" (id int PRIMARY KEY);"
      "CREATE SCHEMA farshore; CREATE TABLE farshore.state (id int PRIMARY KEY)");
  TestStream stream(
      database_,
      {{.match = "public.sess*", .exclude = true}, {.match = "public.*"}, {.match = "Other.T ?"}});
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("\"Other\".\"T x\"", "public.orders"));
}

TEST_P(PublicationOnServer, ATableMadeLaterIsPublishedAndOneThatLosesItsKeyIsNoLonger) {
  TestStream stream(database_);
  stream.start();
  EXPECT_TRUE(published(stream).empty());
  database_.run("CREATE TABLE later (id int CONSTRAINT k PRIMARY KEY)");
  EXPECT_TRUE(becomes_published(stream, "public.later"));
  database_.run("INSERT INTO later VALUES (1)");
  EXPECT_EQ(letters_of(stream.read_transactions(1)), "BRIC");
  EXPECT_TRUE(eventually([&] { return stream.told("source.table_published", "public.later"); }));
  database_.run("ALTER TABLE later DROP CONSTRAINT k");
  EXPECT_TRUE(becomes_published(stream, "public.later", false));
  EXPECT_TRUE(eventually([&] { return stream.told("source.table_unpublished", "public.later"); }));
  database_.run("UPDATE later SET id = 2");
}

TEST_P(PublicationOnServer, IdentityFullIsSetOnKeylessTablesAndNotOnOthers) {
  database_.run("CREATE TABLE keyed (id int PRIMARY KEY); CREATE TABLE keyless (id int)");
  TestStream stream(database_, {{.match = "*", .identity_full = true}});
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.keyed", "public.keyless"));
  EXPECT_EQ(database_.value("SELECT relreplident FROM pg_class WHERE relname = 'keyless'"), "f");
  EXPECT_EQ(database_.value("SELECT relreplident FROM pg_class WHERE relname = 'keyed'"), "d");
  database_.run("INSERT INTO keyless VALUES (1); UPDATE keyless SET id = 2");
}

TEST_P(PublicationOnServer, AConnectionThatBreaksIsNoFaultOfATable) {
  database_.run(
      "CREATE TABLE keyless (id int); CREATE FUNCTION cut() RETURNS event_trigger LANGUAGE plpgsql "
      "AS $$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); END $$; CREATE EVENT TRIGGER "
      "cut ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION cut()");
  TestStream stream(database_, {{.match = "*", .identity_full = true}});
  Publication publication(stream.options);
  TestSession ours(database_.conninfo());
  const auto refreshed = publication.refresh(ours.connection(), soon());
  ASSERT_FALSE(refreshed.ok());
  EXPECT_EQ(refreshed.error().retry, Retry::yes) << refreshed.error().what;
  EXPECT_EQ(stream.count("source.table_keyless"), 0);
}

TEST_P(PublicationOnServer, ALockedTableIsNeverQueuedForAndComesLater) {
  database_.run("CREATE TABLE keyless (id int); CREATE TABLE locked (id int PRIMARY KEY)");
  TestSession holder(database_.conninfo());
  holder.run(
      "BEGIN; LOCK TABLE locked IN SHARE UPDATE EXCLUSIVE MODE; INSERT INTO keyless VALUES (1)");
  TestStream stream(database_, {{.match = "*", .identity_full = true}});
  TestSession application(database_.conninfo());
  {
    // Not the whole source: a slot would wait for the open transaction.
    Publication publication(stream.options);
    TestSession ours(database_.conninfo());
    ASSERT_TRUE(publication.refresh(ours.connection(), soon()).ok());
    EXPECT_TRUE(published(stream).empty());
    application.run(
        "SET lock_timeout = '50ms'; INSERT INTO keyless VALUES (2); INSERT INTO locked VALUES (1)");
    holder.run("COMMIT");
    ASSERT_TRUE(publication.refresh(ours.connection(), soon()).ok());
  }
  EXPECT_THAT(published(stream), ElementsAre("public.keyless", "public.locked"));
}

TEST_P(PublicationOnServer, ATableThatStaysLockedIsToldWithWhoHoldsIt) {
  database_.run("CREATE TABLE locked (id int PRIMARY KEY); CREATE TABLE keyless (id int)");
  TestSession holder(database_.conninfo(), "reindexer");
  holder.run(
      "BEGIN; LOCK TABLE locked IN SHARE UPDATE EXCLUSIVE MODE; INSERT INTO keyless VALUES (1)");
  TestStream stream(database_, {{.match = "*", .identity_full = true}});
  Publication publication(stream.options);
  TestSession ours(database_.conninfo());
  for (int time = 1; time <= 4; ++time) {
    ASSERT_TRUE(publication.refresh(ours.connection(), soon()).ok());
    for (const char* table : {"table public.locked waits", "table public.keyless waits"})
      EXPECT_EQ(stream.told("source.table_locked", table), time >= 3) << time;
  }
  EXPECT_TRUE(stream.told("source.table_locked", "(reindexer, in a transaction since "));
  EXPECT_EQ(stream.count("source.table_locked"), 2);
  holder.run("COMMIT");
  ASSERT_TRUE(publication.refresh(ours.connection(), soon()).ok());
  EXPECT_THAT(published(stream), ElementsAre("public.keyless", "public.locked"));
}

TEST_P(PublicationOnServer, APartitionedTableIsPublishedWholeOrPartByPart) {
  database_.run(
      "CREATE TABLE whole (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE whole_1 PARTITION OF whole FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE parts (id int) PARTITION BY RANGE (id);"
      "CREATE TABLE parts_1 PARTITION OF parts (PRIMARY KEY (id)) FOR VALUES FROM (0) TO (10);"
      "CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20)");
  TestStream stream(database_, {{.match = "public.whole"}, {.match = "public.parts"}});
  stream.start();
  EXPECT_THAT(published(stream),
              UnorderedElementsAre("public.whole", "public.whole_1", "public.parts_1"));
  EXPECT_TRUE(stream.told("source.table_published", "public.whole is"));
  EXPECT_FALSE(stream.told("source.table_published", "public.whole_1"));
  database_.run(
      "INSERT INTO parts VALUES (1), (11); UPDATE parts SET id = id + 1;"
      "CREATE TABLE whole_2 PARTITION OF whole FOR VALUES FROM (10) TO (20);"
      "INSERT INTO whole VALUES (1), (11); UPDATE whole SET id = id + 1");
  EXPECT_TRUE(becomes_published(stream, "public.whole_2"));
}

// Under a rule that takes only the table above it.
TEST_P(PublicationOnServer, ChangesOfAPartitionComeAlsoWhileItIsDetached) {
  database_.run(std::string(kParted) + "; INSERT INTO m VALUES (1), (2)");
  TestStream stream(database_, {{.match = "public.m"}});
  stream.start();
  database_.run(
      "BEGIN; ALTER TABLE m DETACH PARTITION m1; UPDATE m1 SET v = 'new' WHERE id = 1;"
      "DELETE FROM m1 WHERE id = 2; INSERT INTO m1 VALUES (3);"
      "ALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10); COMMIT;"
      "INSERT INTO m VALUES (4)");
  std::vector<Record> records = stream.read_transactions(2);
  std::erase_if(records, [](const Record& record) { return record.kind != RecordKind::data; });
  EXPECT_EQ(changes_of(records), "BUDICBIC");
}

TEST_P(PublicationOnServer, APartitionIsNotMadeUnlogged) {
  database_.run(kParted);
  TestStream stream(database_, {{.match = "public.m"}});
  stream.start();
  TestSession application(database_.conninfo());
  const auto done = application.connection().query(
      "ALTER TABLE m1 SET UNLOGGED; ALTER TABLE m1 SET LOGGED", soon());
  ASSERT_FALSE(done.ok());
  EXPECT_THAT(done.error().what, testing::HasSubstr("publication"));
}

TEST_P(PublicationOnServer, APartitionThatWasOutIsAnotherMemberAndTheOthersAreTheSame) {
  database_.run(kParted);
  TestStream of_root(database_, {{.match = "public.m"}}), of_all(database_);
  Members root(database_, of_root.options), all(database_, of_all.options);
  const auto before = root.refresh(), always = all.refresh();
  EXPECT_THAT(before, testing::UnorderedElementsAre(Key("m"), Key("m1"), Key("m2")));
  EXPECT_EQ(root.refresh(), before);
  const std::string attach = "ALTER TABLE m ATTACH PARTITION m1 FOR VALUES FROM (0) TO (10)";

  // A rule takes it while it is by itself, or no refresh was in between: nothing is missing.
  database_.run("ALTER TABLE m DETACH PARTITION m1");
  EXPECT_EQ(all.refresh(), always);
  database_.run(attach);
  EXPECT_EQ(all.refresh(), always);
  EXPECT_EQ(root.refresh(), before);

  database_.run("ALTER TABLE m DETACH PARTITION m1");
  EXPECT_FALSE(root.refresh().contains("m1"));
  database_.run(attach);
  const std::string attached = root.now()["m1"];
  const auto after = root.refresh();
  EXPECT_EQ(std::set({before.at("m1"), attached, after.at("m1")}).size(), 3u);
  EXPECT_EQ(after.at("m2"), before.at("m2"));

  // With a partition that has no key the table is published part by part.
  database_.run(
      "ALTER TABLE m DETACH PARTITION m1; DROP TABLE m1; CREATE TABLE m1 PARTITION OF m FOR VALUES "
      "FROM (0) TO (10); ALTER TABLE m1 REPLICA IDENTITY NOTHING");
  EXPECT_THAT(root.refresh(), UnorderedElementsAre(Pair("m2", before.at("m2"))));
}

// As one that an older version made.
TEST_P(PublicationOnServer, PartitionsThatOnlyTheirRootStandsForAreListedBesideIt) {
  database_.run(kParted);
  TestStream stream(database_, {{.match = "public.m"}});
  database_.run("CREATE PUBLICATION " + slot_name(stream.options.stream) + " FOR TABLE ONLY m");
  Members members(database_, stream.options);
  const auto before = members.now(), after = members.refresh();
  EXPECT_THAT(published(stream), UnorderedElementsAre("public.m", "public.m1", "public.m2"));
  EXPECT_EQ(after.at("m"), before.at("m"));
  EXPECT_NE(after.at("m1"), before.at("m1"));
}

TEST_P(PublicationOnServer, ATableOfWhichAPartitionIsLockedIsNotListedBeforeIt) {
  database_.run(std::string(kParted) + "; CREATE TABLE z (id int PRIMARY KEY)");
  for (int i = 3; i < 40; ++i)
    database_.run(
        fmt::format("CREATE TABLE m{0} PARTITION OF m FOR VALUES FROM ({0}0) TO ({0}9)", i));
  TestStream stream(database_);
  Members members(database_, stream.options);
  TestSession application(database_.conninfo());
  application.run("BEGIN; LOCK TABLE m1 IN SHARE UPDATE EXCLUSIVE MODE");
  const auto without_m1 = members.refresh();
  EXPECT_FALSE(without_m1.contains("m") || without_m1.contains("m1"));
  application.run("COMMIT");
  const auto whole = members.refresh();
  EXPECT_TRUE(whole.contains("m") && whole.contains("m1"));
  EXPECT_EQ(whole.at("m2"), without_m1.at("m2"));

  // All at once: that is not waited for one by one. The root takes what comes meanwhile.
  database_.run("CREATE TABLE m40 PARTITION OF m FOR VALUES FROM (400) TO (410)");
  database_.run("DROP PUBLICATION " + slot_name(stream.options.stream));
  application.run("BEGIN; LOCK TABLE m");
  const MonotonicTime begin = test_world().now();
  EXPECT_THAT(members.refresh(), UnorderedElementsAre(Key("z")));
  EXPECT_LT(test_world().now() - begin, 5s);
  application.run("COMMIT");
  EXPECT_EQ(members.refresh().size(), 42u);
  database_.run("CREATE TABLE m41 PARTITION OF m FOR VALUES FROM (410) TO (420)");
  application.run("BEGIN; LOCK TABLE m41");
  EXPECT_THAT(members.refresh(), testing::AllOf(Contains(Key("m")), Contains(Key("m41"))));
  EXPECT_THAT(published(stream), testing::Not(Contains("public.m41")));
}

TEST_P(PublicationOnServer, APartitionMadeLaterUnderARootWithAnotherIdentityCanBeUpdated) {
  database_.run(
      "CREATE TABLE whole_rows (a int, b int) PARTITION BY LIST (a);"
      "ALTER TABLE whole_rows REPLICA IDENTITY FULL;"
      "CREATE TABLE whole_rows_1 PARTITION OF whole_rows FOR VALUES IN (1);"
      "ALTER TABLE whole_rows_1 REPLICA IDENTITY FULL;"
      "CREATE TABLE by_index (a int NOT NULL, b int) PARTITION BY LIST (a);"
      "CREATE UNIQUE INDEX by_index_key ON by_index (a);"
      "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_index_key;"
      "CREATE TABLE by_index_1 PARTITION OF by_index FOR VALUES IN (1);"
      "ALTER TABLE by_index_1 REPLICA IDENTITY USING INDEX by_index_1_a_idx");
  TestStream stream(database_);
  stream.start();
  EXPECT_THAT(published(stream), UnorderedElementsAre("public.whole_rows_1", "public.by_index_1"));
  for (const char* root : {"whole_rows", "by_index"})
    database_.run(
        fmt::format("CREATE TABLE {0}_2 PARTITION OF {0} FOR VALUES IN (2);"
                    "INSERT INTO {0} VALUES (1, 0), (2, 0); UPDATE {0} SET b = 1;"
                    "DELETE FROM {0}",
                    root));
}

// Each of these leaves the set of names as it was.
TEST_P(PublicationOnServer, AnotherTableUnderAKnownNameHasJoined) {
  database_.run(
      "CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE a_new (id int PRIMARY KEY);"
      "CREATE TABLE p (id int PRIMARY KEY); CREATE TABLE q (id int PRIMARY KEY);"
      "CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9)");
  TestStream stream(database_);
  Publication publication(stream.options);
  TestSession ours(database_.conninfo());
  const auto joins = [&](const std::string& sql) {
    const std::uint64_t before = publication.joined();
    if (!sql.empty()) database_.run(sql);
    auto refreshed = publication.refresh(ours.connection(), soon());
    EXPECT_TRUE(refreshed.ok()) << (refreshed.ok() ? "" : refreshed.error().what);
    return publication.joined() != before;
  };
  EXPECT_TRUE(joins(""));
  EXPECT_FALSE(joins(""));
  EXPECT_FALSE(joins("INSERT INTO a VALUES (1); TRUNCATE a; ALTER TABLE a ADD COLUMN b int"));
  EXPECT_TRUE(joins("BEGIN; DROP TABLE a; ALTER TABLE a_new RENAME TO a; COMMIT"));
  EXPECT_FALSE(joins(""));
  EXPECT_TRUE(
      joins("BEGIN; ALTER TABLE p RENAME TO x; ALTER TABLE q RENAME TO p; ALTER TABLE x RENAME TO "
            "q; COMMIT"));
  EXPECT_TRUE(
      joins("BEGIN; DROP TABLE m1; CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9); "
            "COMMIT"));
  EXPECT_FALSE(joins("DROP TABLE q"));
}

TEST_P(PublicationOnServer, InheritanceDoesNotPublishChildren) {
  database_.run(
      "CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE child () INHERITS (parent)");
  TestStream stream(database_);
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.parent"));
  database_.run("INSERT INTO child VALUES (1); UPDATE parent SET id = 2");
}

TEST_P(PublicationOnServer, ATableOfAnotherOwnerIsToldAndTheOthersArePublished) {
  database_.run("CREATE TABLE theirs (id int PRIMARY KEY)");
  const std::string role = "plain_" + database_.name();
  database_.run("CREATE ROLE " + role + " LOGIN REPLICATION; GRANT CREATE ON DATABASE " +
                database_.name() + " TO " + role + "; GRANT CREATE ON SCHEMA public TO " + role);
  std::string conninfo = database_.conninfo();
  conninfo.replace(conninfo.find("user=postgres"), 13, "user=" + role);
  TestSession(conninfo).run("CREATE TABLE ours (id int PRIMARY KEY)");
  TestSession(conninfo).run(kParted);
  TestStream stream(database_);
  stream.options.conninfo = conninfo;
  stream.start();
  EXPECT_THAT(published(stream), ElementsAre("public.m", "public.m1", "public.m2", "public.ours"));
  EXPECT_TRUE(stream.told("source.table_refused", "ALTER PUBLICATION"));
  // Through its root it would be published only while it is attached.
  database_.run("CREATE TABLE theirs_too PARTITION OF m FOR VALUES FROM (20) TO (30)");
  EXPECT_TRUE(becomes_published(stream, "public.m", false));
  EXPECT_THAT(published(stream), ElementsAre("public.m1", "public.m2", "public.ours"));
  EXPECT_TRUE(stream.told("source.table_refused", "theirs_too"));
}

TEST_P(PublicationOnServer, ASourceThatIsItselfANativeSubscriberPassesOnWhatItReceives) {
  TestDatabase upstream(server_);
  upstream.run("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION up FOR TABLE t");
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_, {{.match = "public.t"}});
  stream.start();
  const std::string slot = "native_" + database_.name();
  upstream.run("SELECT pg_create_logical_replication_slot('" + slot + "', 'pgoutput')");
  database_.run("CREATE SUBSCRIPTION native CONNECTION '" + upstream.conninfo() +
                "' PUBLICATION up WITH (create_slot = false, copy_data = false, slot_name = '" +
                slot + "')");
  upstream.run("INSERT INTO t VALUES (1)");
  database_.run("INSERT INTO t VALUES (2)");
  const auto records = stream.read_transactions(2);
  std::size_t changes = 0;
  for (const Record& record : records) changes += record.changes;
  EXPECT_EQ(changes, 2u);
  database_.run("ALTER SUBSCRIPTION native DISABLE");
  database_.run("ALTER SUBSCRIPTION native SET (slot_name = NONE)");
  database_.run("DROP SUBSCRIPTION native");
  EXPECT_TRUE(eventually([&] {
    return upstream.value("SELECT active FROM pg_replication_slots WHERE slot_name = '" + slot +
                          "'") == "f";
  }));
  upstream.run("SELECT pg_drop_replication_slot('" + slot + "')");
}

}  // namespace
}  // namespace farshore::postgres
