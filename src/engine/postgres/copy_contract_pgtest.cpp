// The contract of SnapshotSource and CopySink, on servers of each version that is here.
#include "sink/copy_contract.h"

#include <sstream>

#include "engine/postgres/copy_sink.h"
#include "engine/postgres/sink_test_stream.h"
#include "engine/postgres/snapshot.h"

namespace farshore::postgres {
namespace {

class ServersUnderTest final : public CopyUnderTest {
 public:
  explicit ServersUnderTest(const std::string& bin)
      : pair_(shared_server(bin), shared_server(bin)), publication_(slot_name(pair_.stream)) {
    pair_.on_source("CREATE PUBLICATION " + publication_);
    snapshots_ = make_snapshot_source(
        *pair_.world,
        {.name = "test", .stream = pair_.stream, .conninfo = pair_.source_conninfo()});
    copies_ = make_copy_sink(*pair_.world,
                             {.conninfo = pair_.target_conninfo(), .application_name = "copy"}, {},
                             [](const Event&) {});
  }

  Deadline soon(Duration d) override { return pair_.world->after(d); }
  Uuid stream() override { return pair_.stream; }
  SnapshotSource& snapshots() override { return *snapshots_; }
  CopySink& copies() override { return *copies_; }
  std::string full_name(const std::string& table) override { return "public." + table; }
  void make(const std::string& table) override {
    pair_.on_source(create(table));
    pair_.on_source("ALTER PUBLICATION " + publication_ + " ADD TABLE " + table);
  }
  void insert(const std::string& table, const std::vector<int>& numbers) override {
    pair_.on_source(rows(table, numbers));
  }
  void make_at_target(const std::string& table, const std::vector<int>& numbers) override {
    pair_.on_target(create(table) + "; " + rows(table, numbers));
  }
  std::vector<int> at_target(const std::string& table) override {
    std::istringstream in(
        pair_.target_text("SELECT string_agg(id::text, ' ' ORDER BY id) FROM " + table));
    return {std::istream_iterator<int>(in), {}};
  }
  Sequence held() override {
    const auto held = pair_.sink()->open(pair_.stream, Epoch(1));
    EXPECT_TRUE(held.ok()) << (held.ok() ? "" : held.error().what);
    return held.ok() ? *held : Sequence(~std::uint64_t{0});
  }

 private:
  static std::string create(const std::string& table) {
    return "CREATE TABLE " + table + " (id int PRIMARY KEY)";
  }
  static std::string rows(const std::string& table, const std::vector<int>& numbers) {
    std::string sql;
    for (const int number : numbers)
      sql += "INSERT INTO " + table + " VALUES (" + std::to_string(number) + "); ";
    return sql;
  }

  TestPair pair_;
  const std::string publication_;
  std::unique_ptr<SnapshotSource> snapshots_;
  std::unique_ptr<CopySink> copies_;
};

std::vector<CopySetup> setups() {
  std::vector<CopySetup> all;
  for (const std::string& bin : server_bin_folders())
    all.push_back({bin.find("15") != std::string::npos ? "pg15" : "pg18",
                   [bin] { return std::make_unique<ServersUnderTest>(bin); }});
  return all;
}

}  // namespace
}  // namespace farshore::postgres

namespace farshore {
INSTANTIATE_TEST_SUITE_P(Postgres, CopyContract, testing::ValuesIn(postgres::setups()),
                         copy_setup_name);
}  // namespace farshore
