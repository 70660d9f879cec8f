// The libpq wrapper on real servers: deadlines, errors, secrets.
#include <gmock/gmock.h>

#include <fstream>

#include "engine/postgres/heartbeat.h"
#include "engine/postgres/test_database.h"
#include "engine/postgres/test_silent_server.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class ConnectionOnServer : public testing::TestWithParam<std::string> {
 protected:
  Result<std::unique_ptr<Connection>> open(const std::string& conninfo,
                                           PasswordSource password = {}) {
    return Connection::open(test_world(), {.conninfo = conninfo, .password = std::move(password)},
                            soon());
  }
  TestServer& server_ = shared_server(GetParam(), 21200);
};

INSTANTIATE_TEST_SUITE_P(Servers, ConnectionOnServer, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(ConnectionOnServer, AQueryThatTakesTooLongTimesOut) {
  auto connection = *open(server_.conninfo());
  const MonotonicTime before = test_world().now();
  auto rows = connection->query("SELECT pg_sleep(20)", soon(200ms));
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().kind, ErrorKind::timeout);
  EXPECT_LT(test_world().now() - before, 5s);
  connection->cancel();
  auto result = connection->next_result(soon());
  ASSERT_TRUE(result.ok());
  EXPECT_EQ(connection->error_of(*result).kind, ErrorKind::timeout);
  EXPECT_EQ(connection->server_error().sqlstate, "57014");
}

TEST_P(ConnectionOnServer, AServerThatDoesNotAnswerTimesOut) {
  const SilentServer silent;
  const MonotonicTime before = test_world().now();
  auto connection = Connection::open(test_world(), {.conninfo = silent.conninfo()}, soon(300ms));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().kind, ErrorKind::unavailable);
  EXPECT_EQ(connection.error().retry, Retry::yes);
  EXPECT_LT(test_world().now() - before, 5s);
}

TEST_P(ConnectionOnServer, OfSeveralHostsOneThatDoesNotAnswerLeavesTimeForTheOthers) {
  const SilentServer silent, another;
  const auto with_ports = [&](const std::string& ports) {
    return "host=127.0.0.1,127.0.0.1 user=postgres dbname=postgres port=" + ports;
  };
  const std::string dead = std::to_string(silent.port()), here = std::to_string(server_.port());
  for (const std::string& ports : {dead + "," + here, here + "," + dead}) {
    auto connection = Connection::open(test_world(), {.conninfo = with_ports(ports)}, soon(4s));
    ASSERT_TRUE(connection.ok()) << connection.error().what;
    EXPECT_EQ((*connection)->query("SHOW port", soon())->text(0, 0), here);
  }
  // Both: the time is that of one call, and all are named.
  const MonotonicTime before = test_world().now();
  const std::string ports = dead + "," + std::to_string(another.port());
  auto connection = Connection::open(test_world(), {.conninfo = with_ports(ports)}, soon(400ms));
  ASSERT_FALSE(connection.ok());
  EXPECT_EQ(connection.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(connection.error().what, AllOf(HasSubstr("no answer in time while connecting"),
                                             HasSubstr("127.0.0.1:" + dead + ": no answer")));
  EXPECT_LT(test_world().now() - before, 5s);
}

TEST_P(ConnectionOnServer, ErrorsNameServerAndStateAndNeverThePassword) {
  auto missing = open(server_.conninfo("nowhere"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.error().kind, ErrorKind::not_found);
  EXPECT_THAT(missing.error().what,
              HasSubstr(fmt::format("nowhere on 127.0.0.1:{}", server_.port())));

  // Also an agent whose password is in the string, although configuration refuses that.
  const std::string hba = server_.data_folder() + "/pg_hba.conf";
  std::ifstream in(hba);
  const std::string before(std::istreambuf_iterator<char>(in), {});
  std::ofstream(hba) << "host all locked 127.0.0.1/32 scram-sha-256\n" << before;
  TestSession admin(server_.conninfo());
  admin.run("CREATE ROLE locked LOGIN PASSWORD 'right'");
  admin.run("SELECT pg_reload_conf()");
  std::string conninfo = server_.conninfo();
  conninfo.replace(conninfo.find("user=postgres"), 13, "user=locked");
  ASSERT_TRUE(eventually([&] { return !open(conninfo).ok(); }));
  for (const std::string& text :
       {conninfo + " password=hunter2", conninfo, std::string("hunter2 is no keyword")}) {
    auto refused = open(text);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().retry, Retry::no);
    EXPECT_THAT(refused.error().what, Not(HasSubstr("hunter2")));
  }
  EXPECT_EQ(open(conninfo + " password=hunter2").error().kind, ErrorKind::denied);
  const std::string file = server_.data_folder() + "/password";
  std::ofstream(file) << "right\n";
  std::filesystem::permissions(file, std::filesystem::perms(0644));
  EXPECT_THAT(open(conninfo, {.file = file}).error().what, HasSubstr("chmod 0600"));
  std::filesystem::permissions(file, std::filesystem::perms(0600));
  EXPECT_TRUE(open(conninfo, {.file = file}).ok());
  ::setenv("FARSHORE_TEST_PASSWORD", "right", 1);
  EXPECT_TRUE(open(conninfo, {.environment = "FARSHORE_TEST_PASSWORD"}).ok());

  // A wrong one: where it came from is said, and not what it is.
  std::ofstream(file) << "hunter2\n";
  ::setenv("FARSHORE_TEST_PASSWORD", "hunter2", 1);
  for (const auto& [source, said] :
       {std::pair(PasswordSource{.file = file}, "the password is that of file '" + file + "'"),
        std::pair(PasswordSource{.environment = "FARSHORE_TEST_PASSWORD"},
                  std::string("the password is that of environment variable "
                              "FARSHORE_TEST_PASSWORD")),
        std::pair(PasswordSource{}, std::string("the configuration names no password"))}) {
    auto refused = open(conninfo, source);
    ASSERT_FALSE(refused.ok());
    EXPECT_EQ(refused.error().kind, ErrorKind::denied);
    EXPECT_THAT(refused.error().what, AllOf(HasSubstr(said), Not(HasSubstr("hunter2"))));
  }
  std::ofstream(file) << "\n";
  EXPECT_THAT(open(conninfo, {.file = file}).error().what, HasSubstr("its first line is empty"));
  ::setenv("FARSHORE_TEST_PASSWORD", "", 1);
  EXPECT_THAT(open(conninfo, {.environment = "FARSHORE_TEST_PASSWORD"}).error().what,
              HasSubstr("FARSHORE_TEST_PASSWORD is not set"));
  EXPECT_EQ(open(conninfo, {.file = file + "x"}).error().kind, ErrorKind::denied);
  std::ofstream(hba) << before;
  admin.run("DROP ROLE locked");
  admin.run("SELECT pg_reload_conf()");
}

TEST_P(ConnectionOnServer, AStatementErrorLeavesTheConnectionUsable) {
  auto connection = *open(server_.conninfo());
  auto rows = connection->query(
      "CREATE TEMPORARY TABLE t (id int CONSTRAINT k PRIMARY KEY);"
      "INSERT INTO t VALUES (1); INSERT INTO t VALUES (1)",
      soon());
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().kind, ErrorKind::rejected);
  EXPECT_THAT(rows.error().what, HasSubstr("(SQLSTATE 23505)"));
  EXPECT_EQ(connection->server_error().constraint, "k");
  EXPECT_TRUE(connection->usable());
  EXPECT_EQ(connection->query("SELECT $1::int + 1", {Parameter("41")}, soon())->text(0, 0), "42");
  EXPECT_TRUE(connection->query("SELECT $1::text", {std::nullopt}, soon())->is_null(0, 0));
}

TEST_P(ConnectionOnServer, SessionsRunAtLocalWhateverTheServerSays) {
  auto connection =
      *Connection::open(test_world(),
                        {.conninfo = server_.conninfo() + " options='-c work_mem=5MB'",
                         .settings = {{"search_path", "\"a b\", \"c\\d\""}}},
                        soon());
  auto shown = [&](const std::string& name) {
    return std::string(connection->query("SHOW " + name, soon())->text(0, 0));
  };
  EXPECT_EQ(shown("synchronous_commit"), "local");
  EXPECT_EQ(shown("client_encoding"), "UTF8");
  EXPECT_EQ(shown("extra_float_digits"), "3");
  EXPECT_EQ(shown("work_mem"), "5MB");
  EXPECT_EQ(shown("search_path"), "\"a b\", \"c\\d\"");
}

TEST_P(ConnectionOnServer, ASettingCanBeLeftToTheServer) {
  auto connection = *Connection::open(
      test_world(),
      {.conninfo = server_.conninfo(), .settings = {{"synchronous_commit", std::nullopt}}}, soon());
  auto rows = connection->query("SHOW synchronous_commit", soon());
  ASSERT_TRUE(rows.ok());
  EXPECT_EQ(rows->text(0, 0), "on");
}

TEST_P(ConnectionOnServer, CopyGoesInAndOutInAnyPieces) {
  auto connection = *open(server_.conninfo());
  ASSERT_TRUE(connection->query("CREATE TEMPORARY TABLE t (id int, v text)", soon()).ok());
  Bytes text;
  for (int i = 0; i < 20000; ++i) text += fmt::format("{}\tvalue of row {}\n", i, i);
  ASSERT_TRUE(connection->begin_copy_in("COPY t FROM STDIN", soon()).ok());
  for (std::size_t at = 0; at < text.size(); at += 70001)
    ASSERT_TRUE(connection->copy_write(ByteView(text).substr(at, 70001), soon()).ok());
  auto finished = connection->copy_finish(soon());
  ASSERT_TRUE(finished.ok());
  EXPECT_EQ(finished->affected(), 20000u);
  ASSERT_TRUE(connection->begin_copy_out("COPY t TO STDOUT", soon()).ok());
  Bytes back;
  for (;;) {
    auto message = connection->copy_next(soon());
    ASSERT_TRUE(message.ok());
    if (!*message) break;
    back.append((*message)->bytes());
  }
  EXPECT_EQ(back, text);
  EXPECT_EQ(connection->copied_rows(), 20000u);

  ASSERT_TRUE(connection->begin_copy_in("COPY t FROM STDIN", soon()).ok());
  ASSERT_TRUE(connection->copy_write("x\tx\n", soon()).ok());
  auto bad = connection->copy_finish(soon());
  ASSERT_FALSE(bad.ok());
  EXPECT_EQ(connection->server_error().sqlstate, "22P02");
}

TEST_P(ConnectionOnServer, AWakerEndsAWait) {
  os::Waker waker;
  auto connection =
      *Connection::open(test_world(), {.conninfo = server_.conninfo()}, soon(), &waker);
  os::Thread other("wakes", [&](std::stop_token) { waker.wake(); });
  auto rows = connection->query("SELECT pg_sleep(20)", soon());
  ASSERT_FALSE(rows.ok());
  EXPECT_EQ(rows.error().kind, ErrorKind::closed);
}

TEST_P(ConnectionOnServer, AHeartbeatConnectsAgainAfterAnError) {
  TestDatabase database(server_);
  auto writer = make_heartbeat_writer(test_world(), {.conninfo = database.conninfo()});
  ASSERT_TRUE(writer->beat(soon()).ok());
  database.run(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = "
      "'farshore heartbeat' AND datname = current_database()");
  EXPECT_TRUE(eventually([&] { return writer->beat(soon()).ok(); }));
}

}  // namespace
}  // namespace farshore::postgres
