// `money` is a number that each session writes and reads as its lc_monetary says: it must arrive as
// the same number where source and target have other countries' forms.
#include <gmock/gmock.h>

#include <filesystem>

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/sink.h"
#include "engine/postgres/sink_test_log.h"
#include "engine/postgres/snapshot.h"
#include "engine/postgres/test_database.h"
#include "os/real/test_folder.h"

namespace farshore::postgres {
namespace {

constexpr const char* kEuro = "de_DE.UTF-8";  // 12,50 €
constexpr const char* kYen = "ja_JP.UTF-8";   // no decimals

// A folder that has both, whatever this machine has installed of them.
const std::string& locales() {
  static const os::TestFolder folder;
  static const bool made = [] {
    std::filesystem::permissions(folder.path(), std::filesystem::perms(0755));
    for (const std::string name : {kEuro, kYen}) {
      const std::string command = "localedef -i " + name.substr(0, name.find('.')) + " -f UTF-8 " +
                                  folder.file(name) + " 2>/dev/null";
      FARSHORE_CHECK(std::system(command.c_str()) == 0, "failed: {}", command);  // NOLINT
    }
    return true;
  }();
  FARSHORE_CHECK(made, "no locales");
  return folder.path();
}

TestServer& money_server(const std::string& bin) {
  static std::map<std::string, std::unique_ptr<TestServer>> servers;
  auto& server = servers[bin];
  if (server) return *server;
  ::setenv("LOCPATH", locales().c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  server =
      std::make_unique<TestServer>(TestServer::Options{.bin = bin, .port = 21380 + port_offset()});
  ::unsetenv("LOCPATH");  // NOLINT(concurrency-mt-unsafe)
  return *server;
}

class MoneyOnServer : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    for (auto [database, locale] : {std::pair(&source_, kEuro), std::pair(&target_, kYen)})
      database->run("ALTER DATABASE " + database->name() + " SET lc_monetary = '" + locale + "'");
    source_.run(kTables);
  }
  // In this session of a database, in the form of its country.
  static std::string first_amount(const TestDatabase& database) {
    return TestSession(database.conninfo()).value("SELECT m FROM t WHERE id = 1");
  }
  // In one form for both.
  static std::string amounts(TestDatabase& database) {
    database.run("SET lc_monetary = 'C'");
    return database.value(
        "SELECT string_agg(a, ' ' ORDER BY a) FROM"
        " (SELECT id || ':' || m || coalesce(a::text, '') FROM t UNION ALL SELECT m || ':' || v "
        "FROM k) x(a)");
  }
  void expect_same_amounts() {
    EXPECT_EQ(amounts(target_), amounts(source_));
    EXPECT_THAT(first_amount(source_), testing::HasSubstr("12,50"));
    EXPECT_THAT(first_amount(target_), testing::HasSubstr("1,250"));
  }

  static constexpr const char* kTables =
      "CREATE TABLE t (id int PRIMARY KEY, m money, a money[]);"
      "CREATE TABLE k (m money PRIMARY KEY, v int)";
  static constexpr const char* kRows =
      "INSERT INTO t VALUES (1, 12.5::money, ARRAY[-0.01, 1234.56]::money[]),"
      " (2, 92233720368547758.07::money, '{}'), (3, (-92233720368547758.08)::numeric::money, NULL);"
      "INSERT INTO k VALUES (1.01::money, 1), (1234567.89::money, 2), ((-5)::money, 3)";

  TestDatabase source_{money_server(GetParam())}, target_{money_server(GetParam())};
};

INSTANTIATE_TEST_SUITE_P(Servers, MoneyOnServer, testing::ValuesIn(server_bin_folders()),
                         [](const auto& info) {
                           return info.param.find("18") != std::string::npos ? "pg18" : "pg15";
                         });

TEST_P(MoneyOnServer, ArrivesAsTheSameNumberInAnotherCountrysForm) {
  target_.run(kTables);
  TestStream stream(source_);
  stream.start();
  TestSession writing(source_.conninfo());  // as the application's: with what the database says
  writing.run(kRows);
  writing.run("UPDATE t SET m = m + 0::money, a = a || m WHERE id = 1");
  writing.run("UPDATE k SET v = 9 WHERE v = 2; DELETE FROM k WHERE v = 3");
  TestLog log;
  log.add({.kind = RecordKind::session});
  for (const Record& record : stream.read_transactions(3)) log.add(record);

  PostgresSink sink(test_world(), {.conninfo = target_.conninfo()}, {});
  ASSERT_TRUE(sink.open(stream.options.stream, log.epoch).ok());
  TestCursor cursor(log);
  Sequence through;
  for (bool moved = true; moved;) {
    const auto applied = sink.apply(cursor, soon());
    ASSERT_TRUE(applied.ok()) << applied.error().what;
    moved = std::exchange(through, applied->through) != applied->through;
  }
  expect_same_amounts();
}

TEST_P(MoneyOnServer, IsCopiedAsTheSameNumberInAnotherCountrysForm) {
  TestSession(source_.conninfo()).run(kRows);
  TestStream stream(source_);
  stream.start();
  const auto snapshots = make_snapshot_source(test_world(), stream.options);
  const auto copies =
      make_copy_sink(test_world(), {.conninfo = target_.conninfo()}, {}, [](const Event&) {});
  const auto tables = snapshots->tables();
  ASSERT_TRUE(tables.ok()) << tables.error().what;
  const auto prepared =
      copies->prepare(stream.options.stream, std::nullopt, *snapshots->shared_definitions(),
                      *tables, ExistingRows::refuse);
  ASSERT_TRUE(prepared.ok()) << prepared.error().what;
  for (const SourceTable& table : *tables) {
    auto rows = *snapshots->open(table, soon());
    auto writer = *copies->begin(stream.options.stream, table);
    for (Bytes chunk = *rows->next(soon()); !chunk.empty(); chunk = *rows->next(soon()))
      ASSERT_TRUE(writer->write(chunk).ok());
    const auto finished = writer->finish(rows->mark());
    ASSERT_TRUE(finished.ok()) << finished.error().what;
  }
  expect_same_amounts();
}

}  // namespace
}  // namespace farshore::postgres
