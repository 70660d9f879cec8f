// The fakes against the contracts of their ports: what the simulator is built on behaves as servers
// do.
#include <algorithm>

#include "change/test_log.h"
#include "fakes/memory_database.h"
#include "fakes/memory_site.h"
#include "fakes/memory_tables.h"
#include "fakes/memory_target.h"
#include "os/real/real_world.h"
#include "sink/copy_contract.h"
#include "sink/sink_contract.h"
#include "site/site_contract.h"
#include "source/source_contract.h"

namespace farshore {
namespace {

class MemoryDatabaseUnderTest final : public SourceUnderTest {
 public:
  Source& source() override { return source_; }
  Deadline soon(Duration d) override { return world_->after(d); }
  void commit(int changes) override {
    database_.commit(std::vector<std::string>(static_cast<std::size_t>(changes), "row"));
  }
  void large(LargeEnd end) override {
    const std::uint64_t xid = database_.begin_streamed(), part = 7;
    for (int i = 0; i < 10; ++i) database_.change(xid, "row", i % 2 == 0 ? 0 : part);
    if (end == LargeEnd::commit_without_a_part) database_.abort_sub(xid, part);
    database_.change(xid, "row");
    if (end == LargeEnd::abort)
      database_.abort_streamed(xid);
    else
      database_.commit_streamed(xid);
  }
  HeartbeatWriter& heartbeat() override { return heartbeat_; }
  void wait_released(const Position&) override {}

 private:
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  fakes::MemoryDatabase database_{*world_};
  fakes::MemorySource source_{*world_, database_};
  fakes::MemoryHeartbeatWriter heartbeat_{database_};
};

INSTANTIATE_TEST_SUITE_P(Memory, SourceContract,
                         testing::Values(SourceSetup{
                             "memory", [] { return std::make_unique<MemoryDatabaseUnderTest>(); }}),
                         source_setup_name);

class MemoryTargetUnderTest final : public SinkUnderTest {
 public:
  Deadline soon(Duration d) override { return world_->after(d); }
  Uuid stream() override { return {}; }
  Epoch epoch() override { return log_.epoch; }
  std::unique_ptr<Sink> sink() override {
    return std::make_unique<fakes::MemorySink>(*world_, target_);
  }
  std::unique_ptr<TransactionCursor> cursor() override {
    return std::make_unique<TestCursor>(log_);
  }
  Sequence last() override { return log_.last(); }
  void commit(const std::vector<int>& numbers, const std::vector<int>& aborted) override {
    const std::uint64_t xid = ++xid_, part = 7;
    log_.add({.kind = RecordKind::session});
    Record record{.kind = RecordKind::data, .flags = {.first = true, .streamed = true}, .xid = xid};
    for (const char table : std::string("123456789"))  // a number's first digit is its table
      ByteWriter(record.payload)
          .number(std::uint64_t{0})
          .string32(std::string{fakes::kDefines, table});
    for (const int number : numbers)
      ByteWriter(record.payload).number(std::uint64_t{0}).string32(std::to_string(number));
    for (const int number : aborted)
      ByteWriter(record.payload).number(part).string32(std::to_string(number));
    log_.add(std::move(record));
    log_.add({.kind = RecordKind::abort, .xid = xid, .sub_xid = part});
    log_.add({.kind = RecordKind::data,
              .flags = {.last = true, .streamed = true},
              .xid = xid,
              .commit_time = world_->clock().wall()});
  }
  std::vector<int> visible() override {
    std::vector<int> numbers;
    for (const fakes::AppliedTransaction& transaction : target_.applied())
      for (const std::string& change : transaction.changes) numbers.push_back(std::stoi(change));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  void end_sessions() override { target_.crash(); }
  void await_copy() override {
    for (const char table : std::string("123456789")) target_.await_copy(table);
  }

 private:
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  TestLog log_;
  fakes::MemoryTarget target_;
  std::uint64_t xid_ = 0;
};

INSTANTIATE_TEST_SUITE_P(Memory, SinkContract,
                         testing::Values(SinkSetup{
                             "memory", [] { return std::make_unique<MemoryTargetUnderTest>(); }}),
                         sink_setup_name);

class MemoryTablesUnderTest final : public CopyUnderTest {
 public:
  Deadline soon(Duration d) override { return world_->after(d); }
  Uuid stream() override { return {}; }
  SnapshotSource& snapshots() override { return source_; }
  CopySink& copies() override { return sink_; }
  std::string full_name(const std::string& table) override { return table; }
  void make(const std::string& table) override { source_.rows[table]; }
  void insert(const std::string& table, const std::vector<int>& numbers) override {
    add(source_.rows[table], numbers);
  }
  void make_at_target(const std::string& table, const std::vector<int>& numbers) override {
    add(sink_.tables[table].rows, numbers);
  }
  std::vector<int> at_target(const std::string& table) override {
    std::vector<int> numbers;
    for (const std::string& row : sink_.tables[table].rows) numbers.push_back(std::stoi(row));
    std::sort(numbers.begin(), numbers.end());
    return numbers;
  }
  Sequence held() override {
    if (!sink_.progress) sink_.progress = Sequence(0);
    return *sink_.progress;
  }

 private:
  static void add(fakes::MemoryRows& rows, const std::vector<int>& numbers) {
    for (const int number : numbers) rows.push_back(std::to_string(number));
  }

  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  fakes::MemorySnapshotSource source_;
  fakes::MemoryCopySink sink_;
};

INSTANTIATE_TEST_SUITE_P(Memory, CopyContract,
                         testing::Values(CopySetup{
                             "memory", [] { return std::make_unique<MemoryTablesUnderTest>(); }}),
                         copy_setup_name);

class MemorySitesUnderTest final : public SiteUnderTest {
 public:
  MemorySitesUnderTest() {
    source_.name = "orders-us";
    target_.name = "orders-eu";
    away_.reachable = false;
  }
  Site& source() override { return source_; }
  Site& target() override { return target_; }
  Site& unreachable() override { return away_; }
  void run_at_source(const std::string& sql) override { source_.granted.insert(sql); }
  void run_at_target(const std::string& sql) override { target_.granted.insert(sql); }
  void make_tables() override { source_.tables = target_.tables = {{"t", {"id", "v"}}}; }
  void take_column_from_target() override { target_.tables["t"].erase("v"); }

 private:
  fakes::MemorySite source_, target_, away_;
};

INSTANTIATE_TEST_SUITE_P(Memory, SiteContract,
                         testing::Values(SiteSetup{
                             "memory", [] { return std::make_unique<MemorySitesUnderTest>(); }}),
                         site_setup_name);

}  // namespace
}  // namespace farshore
