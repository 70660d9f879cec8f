// For *_pgtest programs: a pair of databases and, between them, a stream whose records hold what
// pgoutput really sent, read with pg_logical_slot_get_binary_changes. The cursor reads them from
// memory.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/postgres/sink.h"
#include "engine/postgres/sink_test_log.h"
#include "engine/postgres/test_database.h"
#include "os/real/real_world.h"

namespace farshore::postgres {

// Two databases, `source` published as a whole, and the stream between them.
class TestPair {
 public:
  TestPair(TestServer& source_server, TestServer& target_server,
           std::uint64_t payload_max = kRecordPayloadMax)
      : world(os::make_real_world(std::nullopt)),
        source_server_(source_server),
        target_server_(target_server),
        payload_max_(payload_max) {
    source = fresh(source_server, "fs_s");
    target = fresh(target_server, "fs_t");
    stream = Uuid::from_random(world->random().next(), world->random().next());
  }

  // After the tables were made: what happens from here on is in the stream.
  void start(const std::string& publication = "FOR ALL TABLES") {
    run(*source, "CREATE PUBLICATION p " + publication);
    run(*source, "SELECT pg_create_logical_replication_slot('fs', 'pgoutput')");
  }
  void both(const std::string& sql) {
    run(*source, sql);
    run(*target, sql);
  }
  void on_source(const std::string& sql) { run(*source, sql); }
  void on_target(const std::string& sql) { run(*target, sql); }

  // Reads what the source committed since the last call into the log.
  void capture(bool streaming = false) {
    auto rows = source->query(
        std::string("SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes(") +
            "'fs', NULL, NULL, 'proto_version', '2', 'publication_names', 'p', 'streaming', '" +
            (streaming ? "on" : "off") + "')",
        world->after(300s));
    ASSERT_TRUE(rows.ok()) << rows.error().what;
    TestRecorder recorder(log, payload_max_);
    log.add({.kind = RecordKind::session});
    for (int row = 0; row < rows->count(); ++row) recorder.message(from_hex(rows->text(row, 0)));
  }

  std::unique_ptr<PostgresSink> sink(const SinkOptions& options = {}) {
    return std::make_unique<PostgresSink>(*world, connect_options(target_server_, "fs_t"), options);
  }
  // A new sink applies the log to its end.
  Result<Applied> apply_all(const SinkOptions& options = {}) {
    auto fresh = sink(options);
    return apply_with(*fresh);
  }
  Result<Applied> apply_with(PostgresSink& by) {
    FARSHORE_TRY(by.open(stream, log.epoch));
    TestCursor cursor(log);
    Applied sum;
    for (;;) {
      FARSHORE_TRY_ASSIGN(const Applied part, by.apply(cursor, world->after(20s)));
      sum.transactions += part.transactions;
      sum.changes += part.changes;
      sum.durable = part.durable;
      const bool moved = part.through != sum.through;
      sum.through = part.through;
      if (!moved) return sum;
    }
  }
  void captured_and_applied(const SinkOptions& options = {}) {
    capture();
    auto applied = apply_all(options);
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    EXPECT_EQ(applied->through, log.last());
  }

  std::string on_both(const std::string& sql) {
    const std::string left = text(*source, sql), right = text(*target, sql);
    return left == right ? std::string() : "source: " + left + "\ntarget: " + right;
  }
  // Every row of every table as text; empty: no difference.
  void expect_same_tables() {
    auto tables = source->query(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_publication_tables WHERE pubname = "
        "'p'",
        world->after(60s));
    ASSERT_TRUE(tables.ok()) << tables.error().what;
    ASSERT_GT(tables->count(), 0);
    for (int i = 0; i < tables->count(); ++i) {
      const std::string table(tables->text(i, 0));
      EXPECT_EQ(on_both("SELECT count(*) || ' ' || coalesce(md5(string_agg(r, E'\\n' ORDER BY r "
                        "COLLATE \"C\")), '')"
                        " FROM (SELECT t::text AS r FROM " +
                        table + " t) x"),
                "")
          << table;
    }
  }
  std::string target_text(const std::string& sql) { return text(*target, sql); }
  std::string source_text(const std::string& sql) { return text(*source, sql); }

  static Bytes from_hex(std::string_view hex) {
    const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    Bytes bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
      bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
    return bytes;
  }
  static ConnectOptions connect_options(const TestServer& server, const std::string& database) {
    return {.conninfo = server.conninfo(database), .application_name = "farshore_test"};
  }
  std::unique_ptr<Connection> connect(const TestServer& server, const std::string& database) {
    auto connection =
        Connection::open(*world, connect_options(server, database), world->after(20s));
    EXPECT_TRUE(connection.ok()) << (connection.ok() ? "" : connection.error().what);
    return *std::move(connection);
  }
  std::string source_conninfo() const { return source_server_.conninfo("fs_s"); }
  std::unique_ptr<Connection> connect_source() { return connect(source_server_, "fs_s"); }
  std::unique_ptr<Connection> connect_target() { return connect(target_server_, "fs_t"); }
  std::string target_conninfo(const std::string& user = "postgres") const {
    std::string text = target_server_.conninfo("fs_t");
    return text.replace(text.find("user=postgres"), 13, "user=" + user);
  }
  void reconnect_target() { target = connect_target(); }

  void run(Connection& connection, const std::string& sql) {
    auto done = connection.query(sql, world->after(120s));
    ASSERT_TRUE(done.ok()) << sql << "\n" << done.error().what;
  }
  std::string text(Connection& connection, const std::string& sql) {
    auto rows = connection.query(sql, world->after(120s));
    EXPECT_TRUE(rows.ok()) << sql << "\n" << (rows.ok() ? "" : rows.error().what);
    return rows.ok() && rows->count() > 0 ? std::string(rows->text(0, 0)) : std::string();
  }

  std::unique_ptr<os::World> world;
  std::unique_ptr<Connection> source, target;
  TestLog log;
  Uuid stream;

 private:
  // The database of that name without anything in it: much faster than a new one for each test.
  std::unique_ptr<Connection> fresh(TestServer& server, const std::string& database) {
    auto admin = connect(server, "postgres");
    if (text(*admin, "SELECT count(*) FROM pg_database WHERE datname = '" + database + "'") == "0")
      run(*admin, "CREATE DATABASE " + database);
    run(*admin, "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = '" +
                    database + "'");
    auto connection = connect(server, database);
    run(*connection,
        // A session is no longer listed while it still lets go of its origin.
        "DO $$ DECLARE s text; BEGIN FOR try IN 1..100 LOOP BEGIN"
        " PERFORM pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = "
        "current_database();"
        " PERFORM pg_replication_origin_drop(roname) FROM pg_replication_origin WHERE roname LIKE "
        "'farshore%'; EXIT;"
        " EXCEPTION WHEN object_in_use THEN PERFORM pg_sleep(0.1); END; END LOOP;"
        " FOR s IN SELECT pubname FROM pg_publication LOOP EXECUTE format('DROP PUBLICATION %I', "
        "s); END LOOP;"
        " FOR s IN SELECT nspname FROM pg_namespace WHERE nspname !~ '^(pg_|information_schema)' "
        "LOOP"
        " EXECUTE format('DROP SCHEMA %I CASCADE', s); END LOOP; CREATE SCHEMA public; END $$");
    return connection;
  }

  TestServer& source_server_;
  TestServer& target_server_;
  const std::uint64_t payload_max_;
};

// One server of each version for the whole program; each test finds its databases empty.
inline TestServer& shared_server(const std::string& bin) {
  return shared_server(bin, 21300);
}

class OnEachServer : public testing::TestWithParam<std::string> {
 protected:
  OnEachServer() : pair(shared_server(GetParam()), shared_server(GetParam())) {}
  TestPair pair;
};

inline std::string version_name(const testing::TestParamInfo<std::string>& info) {
  return info.param.find("15") != std::string::npos ? "pg15" : "pg18";
}

}  // namespace farshore::postgres
