// Tables that are added, copied again or made again: they are set aside, and the others of the
// stream go on.
#include <algorithm>

#include "engine/postgres/copy_sink_fixture.h"

namespace farshore::postgres {
namespace {

using testing::HasSubstr;

class TablesSetAside : public CopyBetweenServers {
 protected:
  // For a new copy; no name: all tables of the stream.
  void set_aside(const std::string& table = "") {
    ASSERT_TRUE(copies->reset(pair.stream, Epoch(1), table).ok());
    aside = Epoch(1);
  }
  // It is in the stream, and then set aside and copied once more, but not joined.
  void copy_again_beside(const std::string& table) {
    publish(table);
    copy_all();
    pair.captured_and_applied();
    set_aside();
    copy_all();
  }
  // An operator skips the next transaction of the stream's sink.
  void skip_next() {
    const auto sink = pair.sink();
    const auto through = sink->open(pair.stream, pair.log.epoch);
    ASSERT_TRUE(through.ok());
    TestCursor cursor(pair.log);
    std::optional<CursorItem> item;
    while (!item || item->kind != RecordKind::data || item->place.sequence <= *through) {
      item = *cursor.next(pair.world->after(20s));
      ASSERT_TRUE(item);
    }
    ASSERT_TRUE(sink->skip(*item).ok());
  }
  // The sink of what is set aside comes to the end of the log, and these tables back to the stream.
  void catch_up_and_join() {
    const auto applied = pair.apply_all({.aside = true});
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    const auto joined = copies->join(pair.stream, Epoch(1), pair.log.last());
    ASSERT_TRUE(joined.ok()) << joined.error().what;
  }
};

TEST_P(TablesSetAside, ATableThatIsCopiedAgainIsSetAsideAndTheOthersGoOn) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);"
      "INSERT INTO t SELECT n, 'v' FROM generate_series(1, 10) n; INSERT INTO u VALUES (1)");
  publish("t, u");
  copy_all();
  pair.captured_and_applied();
  pair.on_target("DELETE FROM t WHERE id > 5; UPDATE t SET v = 'drifted'");
  set_aside("public.t");
  EXPECT_FALSE(copies->reset(pair.stream, Epoch(1), "public.nothing").ok());

  pair.on_source("INSERT INTO u VALUES (2); UPDATE t SET v = 'x' WHERE id = 8");
  pair.captured_and_applied();
  EXPECT_EQ(pair.on_both("SELECT string_agg(u::text, ',' ORDER BY id) FROM u"), "");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t WHERE v = 'drifted'"), "5");
  EXPECT_EQ(pair.apply_all({.aside = true}).error().kind, ErrorKind::not_found);

  copy_all();
  pair.on_source("INSERT INTO u VALUES (3); DELETE FROM t WHERE id = 10; UPDATE t SET v = 'y'");
  pair.captured_and_applied();
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "10");
  for (int time = 0; time < 2; ++time) {  // the second finds that all is done
    auto applied = pair.apply_all({.aside = true});
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    EXPECT_EQ(applied->through, pair.log.last());
    EXPECT_EQ(pair.on_both("SELECT string_agg(t::text, ',' ORDER BY id) FROM t"), "");
  }

  EXPECT_EQ(copies->join(pair.stream, Epoch(1), Sequence(1)).error().retry, Retry::yes);
  EXPECT_THAT(*copies->missing(pair.stream, tables), testing::ElementsAre("public.t"));
  auto joined = copies->join(pair.stream, Epoch(1), pair.log.last());
  ASSERT_TRUE(joined.ok()) << joined.error().what;
  EXPECT_THAT(*copies->missing(pair.stream, tables), testing::IsEmpty());
  pair.on_source("INSERT INTO t VALUES (11, 'new'); INSERT INTO u VALUES (4)");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

// The stream's sink writes nothing where all changes are of tables set aside: its progress must not
// stay behind them.
TEST_P(TablesSetAside, ChangesOfATableSetAsideAreNotAppliedAgainAfterTheJoin) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  copy_again_beside("t");
  pair.on_source("INSERT INTO t VALUES (1)");
  pair.captured_and_applied();
  catch_up_and_join();
  pair.on_source("INSERT INTO t VALUES (2)");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

// An agent that was killed left commits that the server has not flushed: a crash of the server
// would take back what the sink that comes next has called durable.
TEST_P(TablesSetAside, WhatTheSinkFindsAtOpenIsDurableBeforeItIsBelieved) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  copy_again_beside("t");
  pair.on_source("INSERT INTO t VALUES (1)");
  pair.captured_and_applied();
  pair.on_target("ALTER SYSTEM SET wal_writer_delay = '10s'");
  pair.on_target("SELECT pg_reload_conf()");
  auto sink = pair.sink({.aside = true, .durable_every = 1h});
  const auto applied = pair.apply_with(*sink);
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  ASSERT_LT(applied->durable, applied->through);
  const std::string end = pair.target_text("SELECT pg_current_wal_insert_lsn()");
  sink.reset();
  auto next = pair.sink({.aside = true});
  ASSERT_TRUE(next->open(pair.stream, pair.log.epoch).ok());
  EXPECT_EQ(pair.target_text("SELECT pg_current_wal_flush_lsn() >= '" + end + "'"), "t");
  pair.on_target("ALTER SYSTEM RESET wal_writer_delay");
  pair.on_target("SELECT pg_reload_conf()");
}

TEST_P(TablesSetAside, ARootIsNotEmptiedOverItsLeafs) {
  pair.on_source(
      "CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9); INSERT INTO m VALUES (1), (2)");
  publish("m, m1");
  copy_all();
  set_aside();
  ASSERT_TRUE(prepare().ok());
  std::sort(tables.begin(), tables.end(),
            [](const auto& a, const auto& b) { return a.name > b.name; });
  EXPECT_EQ(tables.back().name, "public.m");
  for (const SourceTable& table : tables) ASSERT_TRUE(copy(table).ok());
  EXPECT_EQ(pair.on_both("SELECT count(*) FROM m"), "");
}

TEST_P(TablesSetAside, ATableThatIsAddedWaitsForItsCopy) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  publish("t");
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  pair.on_source("CREATE TABLE later (id int PRIMARY KEY); INSERT INTO later VALUES (1)");
  pair.on_source("ALTER PUBLICATION p ADD TABLE later");
  pair.on_source("ALTER PUBLICATION " + slot_name(pair.stream) + " ADD TABLE later");
  pair.on_source("INSERT INTO later VALUES (2)");
  pair.on_source("INSERT INTO t VALUES (2)");
  pair.capture();
  auto held = pair.apply_all({.unknown_waits = true});
  ASSERT_FALSE(held.ok());
  EXPECT_EQ(held.error().retry, Retry::yes);
  EXPECT_THAT(held.error().what, HasSubstr("table public.later is not copied yet"));
  aside = Epoch(1);
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  pair.expect_same_tables();
}

// Such a run is on its way as COPY when the change that waits is met.
TEST_P(TablesSetAside, WhatWaitsBehindALongRunOfInsertsIsNamed) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE later (id int PRIMARY KEY)");
  publish("t");
  copy_all();
  pair.on_source("ALTER PUBLICATION p ADD TABLE later");
  pair.on_source("INSERT INTO t VALUES (0)");
  pair.on_source(
      "BEGIN; INSERT INTO t SELECT generate_series(1, 2000); INSERT INTO later VALUES (1); COMMIT");
  pair.capture();
  const auto held = pair.apply_all({.unknown_waits = true});
  ASSERT_FALSE(held.ok());
  EXPECT_THAT(held.error().what, HasSubstr("table public.later is not copied yet"));
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "1") << "what is before it is applied";
}

TEST_P(TablesSetAside, ChangesOfAnotherTableUnderAKnownNameWaitForItsCopy) {
  pair.on_source(
      "CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE a_new (id int PRIMARY KEY, v "
      "text);"
      "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE q (id int PRIMARY KEY, v text);"
      "CREATE TABLE b (id int PRIMARY KEY, v text); CREATE TABLE u (id int PRIMARY KEY);"
      "INSERT INTO a VALUES (1, 'old'), (2, 'old'); INSERT INTO a_new VALUES (2, 'new');"
      "INSERT INTO p VALUES (1, 'p'); INSERT INTO q VALUES (2, 'q'); INSERT INTO b VALUES (1, "
      "'b')");
  publish("a, a_new, p, q, b, u");
  copy_all();
  pair.on_source("UPDATE a SET v = 'older' WHERE id = 1; UPDATE b SET v = 'older'");
  pair.captured_and_applied({.unknown_waits = true});
  pair.on_source("INSERT INTO u VALUES (1)");
  pair.on_source("BEGIN; DROP TABLE a; ALTER TABLE a_new RENAME TO a; COMMIT");
  pair.on_source(
      "BEGIN; ALTER TABLE p RENAME TO x; ALTER TABLE q RENAME TO p; ALTER TABLE x RENAME TO q; "
      "COMMIT");
  pair.on_source("DROP TABLE b; CREATE TABLE b (id int PRIMARY KEY, v text)");
  for (const std::string& publication : {std::string("p"), slot_name(pair.stream)})
    pair.on_source("ALTER PUBLICATION " + publication + " ADD TABLE b");
  pair.on_source(
      "BEGIN; UPDATE a SET v = 'newer' WHERE id = 2; INSERT INTO a VALUES (3, 'n'); COMMIT");
  pair.on_source("UPDATE p SET v = 'pq' WHERE id = 2; DELETE FROM q WHERE id = 1");
  pair.on_source("INSERT INTO b VALUES (2, 'new')");
  pair.on_source("UPDATE b SET v = 'newer'");
  pair.capture();
  for (int time = 0; time < 2; ++time) {  // as often as the agent is started
    auto held = pair.apply_all({.unknown_waits = true});
    ASSERT_FALSE(held.ok());
    EXPECT_EQ(held.error().retry, Retry::yes) << held.error().what;
    EXPECT_THAT(held.error().what, HasSubstr("table public.a is another one at the source"));
  }
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM u"), "1");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM a WHERE v LIKE 'old%'"), "2");
  EXPECT_THAT(*copies->missing(pair.stream, *snapshots->tables()),
              testing::UnorderedElementsAre("public.a", "public.b", "public.p", "public.q"));
  aside = Epoch(1);
  copy_all();
  pair.on_source("INSERT INTO a VALUES (4, 'n'); DELETE FROM p; INSERT INTO q VALUES (5, 'q')");
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  pair.on_source("INSERT INTO b VALUES (7, 'n'); UPDATE a SET v = 'z'; TRUNCATE q");
  pair.captured_and_applied({.unknown_waits = true});
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, ATableThatIsRenamedIsCopiedBesideTheOldOne) {
  pair.on_source(
      "CREATE TABLE a (id serial PRIMARY KEY, v text UNIQUE); CREATE INDEX \"a V\" ON a (lower(v));"
      "CREATE TABLE u (id int PRIMARY KEY); INSERT INTO a (v) VALUES ('x')");
  publish("a, u");
  copy_all();
  pair.on_source("ALTER TABLE a RENAME TO b; INSERT INTO b (v) VALUES ('y')");
  pair.capture();
  const auto held = pair.apply_all({.unknown_waits = true});
  ASSERT_FALSE(held.ok());
  EXPECT_THAT(held.error().what, HasSubstr("table public.b is not copied yet"));
  aside = Epoch(1);
  // Renamed at the target, too: its old name takes its rows out of the way.
  pair.on_target("ALTER TABLE a RENAME TO b");
  const auto refused = prepare();
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(refused.error().what, HasSubstr("ALTER TABLE public.b RENAME TO a; to keep them"));
  pair.on_target("ALTER TABLE public.b RENAME TO a");
  copy_all();
  std::vector<std::string> told;
  told.reserve(events.size());
  for (const Event& event : events) told.push_back(event.name);
  EXPECT_THAT(told, testing::ElementsAre("copy.table_renamed", "copy.name_taken", "copy.name_taken",
                                         "copy.name_taken"));
  EXPECT_THAT(events[0].message, HasSubstr("public.a was renamed to public.b"));
  EXPECT_THAT(events[1].message, HasSubstr("index a_pkey of table public.b was made as a_pkey1"));
  EXPECT_THAT(events[3].message, HasSubstr("ALTER INDEX public.\"a V1\" RENAME TO \"a V\";"));
  pair.captured_and_applied({.unknown_waits = true});
  ASSERT_TRUE(pair.apply_all({.aside = true}).ok());
  ASSERT_TRUE(copies->join(pair.stream, Epoch(1), pair.log.last()).ok());
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM a"), "1");
  copy_all();  // again: all is made
  EXPECT_EQ(events.size(), 4u);
  EXPECT_EQ(
      pair.target_text("SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY "
                       "indexrelid::regclass::text) FROM pg_index WHERE indrelid = 'b'::regclass"),
      "\"a V1\" a_pkey1 a_v_key1");
}

// Of what was done under the other name the copy under this one knows nothing.
TEST_P(TablesSetAside, ATableThatTakesItsNameBackIsCopiedAgain) {
  pair.on_source("CREATE TABLE a (id int PRIMARY KEY); INSERT INTO a VALUES (1)");
  publish("a");
  copy_all();
  pair.on_source("ALTER TABLE a RENAME TO b");
  aside = Epoch(1);
  copy_all();
  pair.on_source("INSERT INTO b VALUES (2)");
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  pair.on_source("ALTER TABLE b RENAME TO a");
  EXPECT_THAT(*copies->missing(pair.stream, *snapshots->tables()),
              testing::ElementsAre("public.a"));
  pair.on_source("INSERT INTO a VALUES (3)");
  pair.capture();
  EXPECT_THAT(pair.apply_all({.unknown_waits = true}).error().what,
              HasSubstr("table public.a is another one"));
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  EXPECT_EQ(pair.on_both("SELECT string_agg(a::text, ',' ORDER BY id) FROM a"), "");
}

// Between two lists: the source never says that it had the other name.
TEST_P(TablesSetAside, ATableThatHadAnotherNameForAWhileLosesNothing) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
  publish("t, u");
  copy_all();
  pair.on_source(
      "BEGIN; ALTER TABLE t RENAME TO t_x; INSERT INTO t_x VALUES (1);"
      "ALTER TABLE t_x RENAME TO t; COMMIT");
  pair.on_source("INSERT INTO t VALUES (2); INSERT INTO u VALUES (1)");
  pair.capture();
  const auto apply = [&](const SinkOptions& options) {
    TablesListed listed{.through = pair.log.last(), .tables = {}};
    const auto now = snapshots->tables();
    for (const SourceTable& table : *now) listed.tables[table.name] = table.membership;
    const auto sink = pair.sink(options);
    sink->listed(listed);
    return pair.apply_with(*sink);
  };
  const auto waits = apply({.unknown_waits = true});
  ASSERT_FALSE(waits.ok());
  EXPECT_EQ(waits.error().retry, Retry::yes);
  EXPECT_THAT(waits.error().what, HasSubstr("table public.t had the name public.t_x for a while"));
  EXPECT_THAT(waits.error().what, HasSubstr("resnapshot STREAM --table public.t"));
  set_aside("public.t");
  ASSERT_TRUE(apply({.unknown_waits = true}).ok());
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM u"), "1");
  copy_all();
  const auto aside_applied = apply({.aside = true});
  ASSERT_TRUE(aside_applied.ok()) << aside_applied.error().what;
  ASSERT_TRUE(copies->join(pair.stream, Epoch(1), pair.log.last()).ok());
  pair.expect_same_tables();
}

// Its journal was lost with the far disk, or the target was set back: nobody has its changes.
TEST_P(TablesSetAside, WhatIsCopiedButNotJoinedIsCopiedAgainWhereItsChangesAreLost) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  copy_again_beside("t");
  pair.on_source("INSERT INTO t VALUES (1)");
  pair.captured_and_applied();  // passed over
  ASSERT_TRUE(copies->lose_aside(pair.stream).ok());
  aside.reset();
  const auto states = prepare();
  ASSERT_TRUE(states.ok()) << states.error().what;
  EXPECT_EQ(states->front().state, TableState::pending);
  copy_all();
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, TablesThatAreSwappedAreBothCopied) {
  pair.on_source(
      "CREATE TABLE t (id int PRIMARY KEY, v text); CREATE INDEX t_v ON t (v);"
      "INSERT INTO t VALUES (1, 'x')");
  publish("t");
  copy_all();
  pair.on_source("CREATE TABLE t_new (LIKE t INCLUDING ALL); INSERT INTO t_new VALUES (2, 'n')");
  for (const std::string& publication : {std::string("p"), slot_name(pair.stream)})
    pair.on_source("ALTER PUBLICATION " + publication + " ADD TABLE t_new");
  pair.on_source("BEGIN; ALTER TABLE t RENAME TO t_old; ALTER TABLE t_new RENAME TO t; COMMIT");
  pair.on_source("INSERT INTO t VALUES (3, 'after'); INSERT INTO t_old VALUES (4, 'after')");
  pair.capture();
  ASSERT_FALSE(pair.apply_all({.unknown_waits = true}).ok());
  aside = Epoch(1);
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  ASSERT_TRUE(pair.apply_all({.aside = true}).ok());
  ASSERT_TRUE(copies->join(pair.stream, Epoch(1), pair.log.last()).ok());
  pair.expect_same_tables();
  EXPECT_EQ(pair.target_text(
                "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY "
                "indexrelid::regclass::text) FROM pg_index WHERE indrelid = 't_old'::regclass"),
            "t_pkey1 t_v1");
}

TEST_P(TablesSetAside, NamesThatWereSwappedThereAndBackAreNamedOneByOneForANewCopy) {
  pair.on_source(
      "CREATE TABLE p (id int PRIMARY KEY, v text); CREATE TABLE q (id int PRIMARY KEY, v text);"
      "INSERT INTO p VALUES (1, 'p'); INSERT INTO q VALUES (2, 'q')");
  publish("p, q");
  copy_all();
  const std::string swap =
      "BEGIN; ALTER TABLE p RENAME TO x; ALTER TABLE q RENAME TO p; ALTER TABLE x RENAME TO q; "
      "COMMIT";
  pair.on_source(swap);
  pair.on_source("UPDATE p SET v = 'was q'; UPDATE q SET v = 'was p'");
  pair.on_source(swap);
  pair.on_source("INSERT INTO p VALUES (3, 'p again')");
  pair.capture();
  EXPECT_THAT(*copies->missing(pair.stream, *snapshots->tables()), testing::IsEmpty());
  for (const std::string name : {"public.p", "public.q"}) {
    const auto held = pair.apply_all({.unknown_waits = true});
    ASSERT_FALSE(held.ok());
    EXPECT_THAT(held.error().what,
                AllOf(HasSubstr("swapped there and back"),
                      HasSubstr("`farshore stream resnapshot STREAM --table " + name + "`")));
    set_aside(name);
  }
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, ATruncateOfTwoTablesWhileOneIsCopiedAgain) {
  pair.on_source(
      "CREATE TABLE a (id int GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY, v text);"
      "CREATE TABLE c (id serial PRIMARY KEY, a int REFERENCES a)");
  publish("a, c");
  copy_all();
  pair.on_source("INSERT INTO a (v) VALUES ('x'), ('y'); INSERT INTO c (a) VALUES (1), (2)");
  pair.captured_and_applied();
  pair.on_target("SELECT setval('a_id_seq', 50), setval('c_id_seq', 50)");
  set_aside("public.c");
  pair.on_source("TRUNCATE a, c RESTART IDENTITY");  // the copy shows it
  pair.on_source("INSERT INTO a VALUES (7, 'z'); INSERT INTO c VALUES (7, 7)");
  copy_all();
  pair.captured_and_applied();
  EXPECT_EQ(pair.target_text("SELECT nextval('a_id_seq')"), "1");
  pair.on_source("TRUNCATE a, c RESTART IDENTITY");  // the copy does not show it
  pair.on_source("INSERT INTO a VALUES (8, 'z'); INSERT INTO c VALUES (8, 8)");
  pair.captured_and_applied();
  EXPECT_EQ(pair.target_text("SELECT string_agg(a::text, ',') FROM a"), "(8,z)");
  auto applied = pair.apply_all({.aside = true});
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(pair.target_text("SELECT nextval('c_id_seq')"), "1");
  ASSERT_TRUE(copies->join(pair.stream, Epoch(1), pair.log.last()).ok());
  pair.on_source("TRUNCATE a, c; INSERT INTO a VALUES (9, 'z'); INSERT INTO c VALUES (9, 9)");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, APartitionThatWasMadeAgainWaitsForItsCopy) {
  pair.on_source(
      "CREATE TABLE m (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
      "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9);"
      "CREATE TABLE m2 PARTITION OF m FOR VALUES FROM (10) TO (19);"
      "INSERT INTO m VALUES (1, 'old'), (2, 'old'), (11, 'old')");
  publish("m, m1, m2");
  copy_all();
  pair.on_source("UPDATE m SET v = 'older'");
  pair.captured_and_applied({.unknown_waits = true});
  pair.on_source("DROP TABLE m1; CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9)");
  pair.on_source("INSERT INTO m VALUES (3, 'new')");
  pair.capture();
  auto held = pair.apply_all({.unknown_waits = true});
  ASSERT_FALSE(held.ok());
  EXPECT_THAT(held.error().what, HasSubstr("table public.m1 is another one"));
  publish_also("m1");
  aside = Epoch(1);
  copy_all();
  pair.captured_and_applied({.unknown_waits = true});
  catch_up_and_join();
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, NothingWaitsForATableThatIsNotCopiedAgain) {
  pair.on_source(
      "CREATE TABLE kept (id int PRIMARY KEY, v text); CREATE TABLE unknown (id int PRIMARY KEY);"
      "CREATE TABLE m (id int PRIMARY KEY) PARTITION BY RANGE (id);"
      "CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9)");
  pair.on_source("INSERT INTO kept VALUES (1, 'copied')");
  publish("kept, unknown, m WITH (publish_via_partition_root = true)");
  copy_all(ExistingRows::keep);
  pair.on_source("UPDATE kept SET v = 'of the old table'");
  pair.on_source("BEGIN; DROP TABLE kept; CREATE TABLE kept (id int PRIMARY KEY, v text); COMMIT");
  for (const std::string& publication : {std::string("p"), slot_name(pair.stream)})
    pair.on_source("ALTER PUBLICATION " + publication + " ADD TABLE kept");
  pair.on_source("INSERT INTO kept VALUES (2, 'new'); INSERT INTO unknown VALUES (1)");
  pair.on_source("INSERT INTO m VALUES (1)");
  pair.on_source("DROP TABLE m1; CREATE TABLE m1 PARTITION OF m FOR VALUES FROM (0) TO (9)");
  pair.on_source("INSERT INTO m VALUES (2)");
  aside = Epoch(1);
  for (int time = 0; time < 2; ++time) {
    auto states = prepare(ExistingRows::keep);  // before the changes of the old table arrive
    ASSERT_TRUE(states.ok()) << states.error().what;
  }
  EXPECT_THAT(*copies->missing(pair.stream, tables), testing::IsEmpty());
  pair.on_target("UPDATE farshore.table_state SET membership = NULL WHERE table_name ~ 'unknown'");
  pair.captured_and_applied({.unknown_waits = true});
  EXPECT_EQ(pair.target_text("SELECT string_agg(v, ',' ORDER BY id) FROM kept"),
            "of the old table,new");
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM m"), "2");
}

// Nobody will copy it; a target that joins later meets its changes in the journal.
TEST_P(TablesSetAside, WhatTheSourceNoLongerListsIsNotWaitedFor) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  publish("t");
  copy_all();
  pair.on_source("CREATE TABLE stage (id int PRIMARY KEY); ALTER PUBLICATION p ADD TABLE stage");
  pair.on_source("BEGIN; INSERT INTO stage VALUES (1); INSERT INTO t VALUES (1); COMMIT");
  pair.on_source("DROP TABLE stage; INSERT INTO t VALUES (2)");
  pair.capture();
  const auto apply = [&](const TablesListed& listed) {
    const auto sink = pair.sink({.unknown_waits = true});
    sink->listed(listed);
    return pair.apply_with(*sink);
  };
  for (const TablesListed& holding :
       {TablesListed{.through = Sequence(1), .tables = {{"public.t", ""}}},
        TablesListed{.through = pair.log.last(),
                     .tables = {{"public.t", ""}, {"public.stage", ""}}}}) {
    const auto held = apply(holding);
    ASSERT_FALSE(held.ok());
    EXPECT_EQ(held.error().retry, Retry::yes);
    EXPECT_THAT(held.error().what, HasSubstr("table public.stage is not copied yet"));
  }
  const auto applied = apply({.through = pair.log.last(), .tables = {{"public.t", ""}}});
  ASSERT_TRUE(applied.ok()) << applied.error().what;
  EXPECT_EQ(pair.on_both("SELECT string_agg(t::text, ',' ORDER BY id) FROM t"), "");
}

// What the stream's sink passes over for them it keeps no place of: after a restart it is behind.
TEST_P(TablesSetAside, TheyDoNotJoinAtAPlaceBehindWhatTheyHold) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY)");
  copy_again_beside("t");
  const Sequence before = pair.log.last();
  pair.on_source("INSERT INTO t VALUES (1)");
  pair.captured_and_applied();
  ASSERT_TRUE(pair.apply_all({.aside = true}).ok());
  EXPECT_EQ(copies->join(pair.stream, Epoch(1), before).error().retry, Retry::yes);
  catch_up_and_join();
  pair.on_source("INSERT INTO t VALUES (2)");
  pair.captured_and_applied();
  pair.expect_same_tables();
}

TEST_P(TablesSetAside, WhatIsSkippedWhileTheirSinkIsOpenIsNotAppliedToThem) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  copy_again_beside("t");
  const auto aside_sink = pair.sink({.aside = true});
  ASSERT_TRUE(aside_sink->open(pair.stream, pair.log.epoch).ok());
  pair.on_source("DELETE FROM t");
  pair.capture();
  skip_next();
  TestCursor cursor(pair.log);
  while (aside_sink->apply(cursor, pair.world->after(1s))->through < pair.log.last()) continue;
  EXPECT_EQ(pair.target_text("SELECT count(*) FROM t"), "1");
}

TEST_P(TablesSetAside, WhatAnOperatorSkippedIsNotAppliedToThemEither) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  publish("t");
  copy_all();
  pair.captured_and_applied();
  set_aside("public.t");
  copy_all();
  pair.on_source("DELETE FROM t");
  pair.capture();
  skip_next();
  pair.on_source("INSERT INTO t VALUES (2)");
  pair.captured_and_applied();
  catch_up_and_join();
  EXPECT_EQ(pair.target_text("SELECT string_agg(id::text, ',' ORDER BY id) FROM t"), "1,2");
}

// Its first copy has stopped half-way: nothing of it is set aside, and nothing would join it.
TEST_P(TablesSetAside, WhatIsMarkedBeforeTheFirstCopyIsCompleteIsPartOfIt) {
  pair.on_source("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (1)");
  publish("t");
  copy_all();
  for (const bool marked_aside : {true, false}) {  // true: as an agent of before has left it
    ASSERT_TRUE(
        copies->reset(pair.stream, marked_aside ? std::optional(Epoch(1)) : std::nullopt, "").ok());
    copy_all();
    EXPECT_EQ(pair.target_text("SELECT aside_from IS NULL FROM farshore.table_state"), "t");
    pair.on_source("INSERT INTO t SELECT max(id) + 1 FROM t");
    pair.captured_and_applied();
    pair.expect_same_tables();
  }
}

INSTANTIATE_TEST_SUITE_P(Servers, TablesSetAside, testing::ValuesIn(server_pairs()),
                         [](const auto& info) { return pair_name(info.param); });

}  // namespace
}  // namespace farshore::postgres
