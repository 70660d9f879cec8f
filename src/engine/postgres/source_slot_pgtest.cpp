// The source's slot on real servers of each version that is here: how it is made, what it holds and
// releases, and when it is given up.
#include "engine/postgres/lsn.h"
#include "engine/postgres/source_fixture.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::HasSubstr;

class SourceSlot : public SourceOnServer {};

INSTANTIATE_TEST_SUITE_P(Servers, SourceSlot, testing::ValuesIn(server_bin_folders()), server_name);

TEST_P(SourceSlot, TheSlotIsReleasedOnlyAsFarAsWeSay) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  for (int i = 0; i < 3; ++i) database_.run("INSERT INTO t VALUES (" + std::to_string(i) + ")");
  const auto records = only(stream.read_transactions(3), RecordKind::data);
  auto confirmed = [&] { return of_slot(stream, "confirmed_flush_lsn"); };
  stream.source->acknowledge({records[2].position, records[1].position, records[0].position});
  const std::string released = Lsn::from(records[0].position)->text();
  EXPECT_TRUE(eventually([&] { return (void)stream.read_for(50ms), confirmed() == released; }))
      << confirmed() << " instead of " << released;
  (void)stream.read_for(1500ms);  // keepalives do not move it
  EXPECT_EQ(confirmed(), released);
}

TEST_P(SourceSlot, TheSlotIsReleasedEarlyPastRetainMaxAndThatIsSaid) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.retain_max = 64_KiB;
  stream.start();
  database_.run("INSERT INTO t VALUES (0, '')");
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 300) i");
  Position near;  // what a streamed transaction defines may come behind it
  for (const Record& record : stream.read_transactions(2))
    if (!record.position.empty()) near = record.position;
  stream.source->acknowledge({near, {}, {}});
  EXPECT_TRUE(stream.told("source.released_early"));
  const std::string bound = Lsn(Lsn::from(near)->value() - 64_KiB).text();
  EXPECT_TRUE(eventually([&] {
    (void)stream.read_for(50ms);
    return of_slot(stream, "confirmed_flush_lsn") == bound;
  }));
  stream.source->acknowledge({near, near, near});
  EXPECT_TRUE(stream.told("source.released_in_time"));
}

TEST_P(SourceSlot, AJournalThatEndsBeforeWhatTheSlotReleasedIsTold) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  for (int i = 0; i < 3; ++i) database_.run("INSERT INTO t VALUES (" + std::to_string(i) + ")");
  const auto records = only(stream.read_transactions(3), RecordKind::data);
  stream.acknowledge_all(records);
  (void)stream.read_for(300ms);
  auto started = stream.source->start(records[0].position, TestStream::accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::overtaken);
  EXPECT_EQ(started.error().retry, Retry::no);
  EXPECT_THAT(started.error().what, HasSubstr("farshore stream resnapshot orders"));
  EXPECT_TRUE(stream.source->start(records[2].position, TestStream::accept_any).ok());
}

TEST_P(SourceSlot, WithoutHeartbeatsAPlaceComesWhereUnpublishedWorkMovesTheServer) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)");
  TestStream stream(database_, {{.match = "public.t"}});
  stream.start();
  database_.run("INSERT INTO t VALUES (1)");
  auto records = stream.read_transactions(1);
  stream.acknowledge_all(records);
  for (int i = 0; i < 5; ++i) database_.run("INSERT INTO u VALUES (" + std::to_string(i) + ")");
  records = stream.read([](const auto& all) { return !all.empty(); });
  ASSERT_FALSE(records.empty());
  EXPECT_EQ(records[0].kind, RecordKind::heartbeat);
  stream.acknowledge_all(records);
  EXPECT_TRUE(stream.source->start(records[0].position, TestStream::accept_any).ok());
}

TEST_P(SourceSlot, ASlotThatIsGoneIsNotMadeAgainInSilence) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t VALUES (1)");
  const auto records = stream.read_transactions(1);
  stream.source->stop();
  ASSERT_TRUE(drop_slot(test_world(), stream.options).ok());
  auto started = stream.source->start(records[0].position, TestStream::accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::overtaken);
  EXPECT_TRUE(stream.source->start({}, TestStream::accept_any).ok());
}

TEST_P(SourceSlot, ASlotInUseNamesWhoHoldsIt) {
  TestStream stream(database_);
  stream.start();
  auto other = make_source(test_world(), stream.options);
  auto started = other->start({}, TestStream::accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::conflict);
  EXPECT_EQ(started.error().retry, Retry::yes);
  const std::string pid = of_slot(stream, "active_pid");
  EXPECT_THAT(started.error().what, HasSubstr("pid " + pid));
}

TEST_P(SourceSlot, TheSlotIsDroppedBeforeItHoldsMoreThanWalMax) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 1_MiB;
  stream.start();
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i");
  // The capture loop is held up by a full journal: it does not ask for more.
  ASSERT_TRUE(eventually([&] { return stream.told("source.slot_dropped"); }));
  EXPECT_EQ(of_slot(stream, "count(*)"), "0");
  for (;;) {
    auto records = stream.source->next(soon(1s));
    if (records.ok()) continue;
    EXPECT_EQ(records.error().kind, ErrorKind::overtaken);
    EXPECT_THAT(records.error().what, HasSubstr("wal_max"));
    break;
  }
}

TEST_P(SourceSlot, TheSlotIsDroppedAlsoWhenTheCaptureEndsTheSessionAtOnce) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 1_MiB;
  stream.start();
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 3000) i");
  ASSERT_TRUE(eventually([&] { return stream.source->progress().ended.has_value(); }));
  EXPECT_EQ(stream.source->progress().ended->kind, ErrorKind::overtaken);
  stream.source->stop();
  EXPECT_TRUE(stream.told("source.slot_dropped"));
  EXPECT_EQ(of_slot(stream, "count(*)"), "0");
}

TEST_P(SourceSlot, TheSlotIsDroppedAlsoWhileNoSessionIsOpen) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 3_MiB;
  stream.start();
  stream.source->stop();
  ASSERT_TRUE(stream.source->bound_log().ok());
  EXPECT_FALSE(stream.told("source.slot_dropped"));
  ASSERT_TRUE(eventually([&] {
    return database_.value("SELECT count(*) FROM pg_replication_slots WHERE active") == "0";
  }));
  // The near disk is lost: an agent that knows the stream's name only.
  SourceOptions unknown = stream.options;
  unknown.stream = Uuid{};
  const auto another = make_source(test_world(), unknown);
  ASSERT_TRUE(another->bound_log().ok());
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
  unknown.name = "other";
  ASSERT_TRUE(make_source(test_world(), unknown)->bound_log().ok());
  EXPECT_FALSE(stream.told("source.slot_dropped"));
  const auto bounded = another->bound_log();
  ASSERT_TRUE(bounded.ok()) << bounded.error().what;
  EXPECT_TRUE(stream.told("source.slot_dropped"));
  EXPECT_EQ(of_slot(stream, "count(*)"), "0");
}

TEST_P(SourceSlot, ASlotOfTheSameNameThatNobodyReadsIsDroppedBesideOurs) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream lost(database_), stream(database_);
  lost.start();
  lost.source.reset();
  stream.options.wal_max = 4_MiB;
  stream.start();
  ASSERT_TRUE(eventually([&] { return of_slot(lost, "active") == "f"; }));
  (void)stream.read_for(1s);
  EXPECT_FALSE(stream.told("source.slot_dropped"));
  for (int i = 0; i < 10; ++i) {
    const std::string from = std::to_string(i * 500);
    database_.run("INSERT INTO t SELECT " + from + " + i, repeat('x', 1000) " +
                  "FROM generate_series(1, 500) i");
    stream.acknowledge_all(stream.read_transactions(1));
  }
  EXPECT_TRUE(eventually([&] {
    return (void)stream.read_for(50ms),
           stream.told("source.slot_dropped", slot_name(lost.options.stream));
  }));
  EXPECT_EQ(of_slot(lost, "count(*)"), "0");
  EXPECT_EQ(of_slot(stream, "count(*)"), "1");
}

TEST_P(SourceSlot, ASlotIsDroppedWhileNobodyReadsWhatItsSenderSends) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.connect_wait = 5s;  // less than a sender takes by itself
  stream.start();
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i");
  ASSERT_TRUE(eventually([&] {
    return database_.value("SELECT wait_event FROM pg_stat_activity WHERE pid = " +
                           of_slot(stream, "COALESCE(max(active_pid), 0)")) == "WalSenderWriteData";
  }));
  const auto removed = remove_source(test_world(), stream.options);
  EXPECT_TRUE(removed.ok()) << removed.error().what;
  EXPECT_EQ(of_slot(stream, "count(*)"), "0");
}

TEST_P(SourceSlot, WhatPiledUpBetweenTheSessionsOfOneAgentCounts) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 3_MiB;
  stream.start();
  stream.source->stop();
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
  stream.start();
  EXPECT_TRUE(eventually([&] { return stream.told("source.slot_dropped"); }));
}

TEST_P(SourceSlot, WhatPiledUpWhileNobodyCapturedIsCaughtUp) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 3_MiB;
  stream.start();
  stream.source.reset();  // the agent ends
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i");
  stream.start();
  ASSERT_TRUE(eventually([&] { return stream.source->progress().retained_bytes > 4_MiB; }));
  std::uint64_t changes = 0;
  for (const Record& record : stream.read_transactions(1)) changes += record.changes;
  EXPECT_EQ(changes, 5000u);
  EXPECT_FALSE(stream.told("source.slot_dropped"));
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(5001, 9000) i");
  EXPECT_TRUE(eventually([&] { return stream.told("source.slot_dropped"); }));
}

TEST_P(SourceSlot, LogThatATransactionOfTheApplicationPinsDoesNotCountAndIsTold) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.options.wal_max = 3_MiB;
  stream.options.pinned_after = 500ms;
  stream.start();
  TestSession idle(database_.conninfo());
  idle.run("BEGIN; INSERT INTO t VALUES (-1)");
  for (int i = 0; i < 10; ++i) {
    const std::string from = std::to_string(i * 500);
    database_.run("INSERT INTO t SELECT " + from + " + i, repeat('x', 1000) " +
                  "FROM generate_series(1, 500) i");
    stream.acknowledge_all(stream.read_transactions(1));
  }
  const std::string pid = idle.value("SELECT pg_backend_pid()");
  int id = 100000;
  EXPECT_TRUE(eventually([&] {
    database_.run(fmt::format("INSERT INTO t VALUES ({})", ++id));
    stream.acknowledge_all(stream.read_for(50ms));
    return stream.told("source.log_pinned", "pid " + pid);
  }));
  EXPECT_GT(stream.source->progress().retained_bytes, stream.options.wal_max);
  EXPECT_LT(stream.source->progress().held_bytes, 1_MiB);
  EXPECT_FALSE(stream.told("source.slot_dropped"));
  // What we hold back counts all the same.
  database_.run("INSERT INTO t SELECT 9000 + i, repeat('x', 1000) FROM generate_series(1, 4000) i");
  EXPECT_TRUE(eventually([&] { return stream.told("source.slot_dropped"); }));
  EXPECT_EQ(stream.count("source.log_pinned"), 1);
  idle.run("ROLLBACK");
}

TEST_P(SourceSlot, ProgressTellsWhatTheServerHolds) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY, v text)");
  TestStream stream(database_);
  stream.start();
  database_.run("INSERT INTO t SELECT i, repeat('x', 1000) FROM generate_series(1, 1000) i");
  EXPECT_TRUE(eventually([&] { return stream.source->progress().retained_bytes > 1000000; }));
  EXPECT_TRUE(Lsn::parse(stream.source->progress().server_position).ok());
  EXPECT_GT(stream.source->progress().behind_bytes, 0u);
  (void)stream.read_transactions(1);
  EXPECT_TRUE(eventually([&] {
    (void)stream.read_for(50ms);
    return stream.source->progress().behind_bytes == 0;
  }));
}

TEST_P(SourceSlot, WhatIsBehindIsCountedFromWhereTheSessionBegan) {
  TestStream stream(database_);
  stream.start();
  ASSERT_TRUE(eventually([&] { return !stream.source->progress().server_position.empty(); }));
  EXPECT_LT(stream.source->progress().behind_bytes, 1_MiB);  // nothing was read yet
}

TEST_P(SourceSlot, AMissingSlotThatCannotBeMadeNamesTheTransactionItWaitsFor) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestSession busy(database_.conninfo());
  busy.run("BEGIN; INSERT INTO t VALUES (1)");
  TestStream stream(database_);
  stream.options.slot_wait = 300ms;
  stream.source = make_source(test_world(), stream.options);
  auto started = stream.source->start({}, TestStream::accept_any);
  ASSERT_FALSE(started.ok());
  EXPECT_EQ(started.error().kind, ErrorKind::timeout);
  EXPECT_EQ(started.error().retry, Retry::yes);
  EXPECT_THAT(started.error().what, HasSubstr("pid " + busy.value("SELECT pg_backend_pid()")));
  busy.run("COMMIT");
  EXPECT_TRUE(stream.source->start({}, TestStream::accept_any).ok());
}

TEST_P(SourceSlot, AnInterruptWhileTheSlotIsMadeLeavesNone) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestSession busy(database_.conninfo());
  busy.run("BEGIN; INSERT INTO t VALUES (1)");
  TestStream stream(database_);
  stream.source = make_source(test_world(), stream.options);
  os::Thread interrupting("interrupt", [&](std::stop_token) {
    EXPECT_TRUE(eventually([&] { return of_slot(stream, "count(*)") == "1"; }));
    stream.source->interrupt();
  });
  const auto started = stream.source->start({}, TestStream::accept_any);
  interrupting.join();
  EXPECT_FALSE(started.ok());
  busy.run("COMMIT");
  EXPECT_TRUE(eventually([&] { return of_slot(stream, "count(*)") == "0"; }));
}

TEST_P(SourceSlot, AMissingSlotWaitsForTransactionsThatRunForLongerThanALockIsWaitedFor) {
  database_.run("CREATE TABLE t (id int PRIMARY KEY)");
  TestSession busy(database_.conninfo());
  busy.run("BEGIN; INSERT INTO t VALUES (1)");
  os::Thread ending("ending", [&](std::stop_token) {
    os::poll_fd(-1, false, false, soon(1500ms));
    busy.run("COMMIT");
  });
  TestStream stream(database_);
  stream.source = make_source(test_world(), stream.options);
  const auto started = stream.source->start({}, TestStream::accept_any);
  EXPECT_TRUE(started.ok()) << started.error().what;
}

}  // namespace
}  // namespace farshore::postgres
