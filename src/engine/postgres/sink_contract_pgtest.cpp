// The contract of a Sink, on servers of each version that is here.
#include "sink/sink_contract.h"

#include <sstream>

#include "engine/postgres/sink_test_stream.h"

namespace farshore::postgres {
namespace {

class ServerTarget final : public SinkUnderTest {
 public:
  explicit ServerTarget(const std::string& bin) : pair_(shared_server(bin), shared_server(bin)) {
    pair_.both("CREATE TABLE t (id int PRIMARY KEY)");
    pair_.start();
  }

  Deadline soon(Duration d) override { return pair_.world->after(d); }
  Uuid stream() override { return pair_.stream; }
  Epoch epoch() override { return pair_.log.epoch; }
  std::unique_ptr<Sink> sink() override { return pair_.sink(); }
  std::unique_ptr<TransactionCursor> cursor() override {
    return std::make_unique<TestCursor>(pair_.log);
  }
  Sequence last() override { return pair_.log.last(); }
  void commit(const std::vector<int>& numbers, const std::vector<int>& aborted) override {
    pair_.on_source("BEGIN; SAVEPOINT s; " + insert(aborted) + "ROLLBACK TO s; " + insert(numbers) +
                    "COMMIT");
    pair_.capture();
  }
  std::vector<int> visible() override {
    std::istringstream in(pair_.target_text("SELECT string_agg(id::text, ' ' ORDER BY id) FROM t"));
    return {std::istream_iterator<int>(in), {}};
  }
  void end_sessions() override {
    pair_.on_target(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = "
        "'farshore_test' AND datname = current_database() AND pid <> pg_backend_pid()");
  }
  void await_copy() override {
    pair_.on_target("INSERT INTO farshore.table_state (stream, table_name, state) VALUES ('" +
                    pair_.stream.text() + "', 'public.t', 'pending')");
  }

 private:
  static std::string insert(const std::vector<int>& numbers) {
    std::string sql;
    for (const int number : numbers)
      sql += "INSERT INTO t VALUES (" + std::to_string(number) + "); ";
    return sql;
  }

  TestPair pair_;
};

std::vector<SinkSetup> setups() {
  std::vector<SinkSetup> all;
  for (const std::string& bin : server_bin_folders())
    all.push_back({bin.find("15") != std::string::npos ? "pg15" : "pg18",
                   [bin] { return std::make_unique<ServerTarget>(bin); }});
  return all;
}

}  // namespace
}  // namespace farshore::postgres

namespace farshore {
INSTANTIATE_TEST_SUITE_P(Postgres, SinkContract, testing::ValuesIn(postgres::setups()),
                         sink_setup_name);
}  // namespace farshore
