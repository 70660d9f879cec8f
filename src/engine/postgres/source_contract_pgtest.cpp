// The contract of a Source, on servers of each version that is here.
#include "source/source_contract.h"

#include "engine/postgres/heartbeat.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/slot.h"
#include "engine/postgres/test_database.h"

namespace farshore::postgres {
namespace {

class ServerUnderTest final : public SourceUnderTest {
 public:
  explicit ServerUnderTest(const std::string& bin) : database_(shared_server(bin, 21200)) {
    database_.run("CREATE TABLE t (id bigserial PRIMARY KEY, v text)");
    stream_.options.tables = {{.match = "public.*"}};
    stream_.source = make_source(test_world(), stream_.options);
    heartbeat_ = make_heartbeat_writer(test_world(), {.conninfo = database_.conninfo()});
  }

  Source& source() override { return *stream_.source; }
  Deadline soon(Duration d) override { return postgres::soon(d); }
  void commit(int changes) override { insert(changes); }
  void large(LargeEnd end) override {
    database_.run("BEGIN");
    insert(kLarge);
    database_.run("SAVEPOINT s");
    insert(kLarge);
    if (end == LargeEnd::commit_without_a_part) database_.run("ROLLBACK TO s");
    insert(kLarge);
    database_.run(end == LargeEnd::abort ? "ROLLBACK" : "COMMIT");
  }
  HeartbeatWriter& heartbeat() override { return *heartbeat_; }
  void wait_released(const Position& position) override {
    const std::string lsn = Lsn::from(position)->text();
    const bool released = eventually([&] {
      (void)source().next(soon(50ms));  // acknowledgements leave with it
      return database_.value("SELECT confirmed_flush_lsn >= '" + lsn +
                             "' FROM pg_replication_slots WHERE slot_name = '" +
                             slot_name(stream_.options.stream) + "'") == "t";
    });
    FARSHORE_CHECK(released, "the slot does not move to {}", lsn);
  }

 private:
  static constexpr int kLarge = 3000;

  void insert(int rows) {
    database_.run("INSERT INTO t (v) SELECT repeat('x', 100) FROM generate_series(1, " +
                  std::to_string(rows) + ")");
  }

  TestDatabase database_;
  TestStream stream_{database_};
  std::unique_ptr<HeartbeatWriter> heartbeat_;
};

std::vector<SourceSetup> setups() {
  std::vector<SourceSetup> all;
  for (const std::string& bin : server_bin_folders())
    all.push_back({bin.find("15") != std::string::npos ? "pg15" : "pg18",
                   [bin] { return std::make_unique<ServerUnderTest>(bin); }});
  return all;
}

}  // namespace
}  // namespace farshore::postgres

namespace farshore {
INSTANTIATE_TEST_SUITE_P(Postgres, SourceContract, testing::ValuesIn(postgres::setups()),
                         source_setup_name);
}  // namespace farshore
