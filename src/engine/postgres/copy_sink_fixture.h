// CopyBetweenServers: for *_pgtest programs, the initial copy with the source's real snapshots,
// beside the stream between a pair of databases.
#pragma once

#include "engine/postgres/catalog.h"
#include "engine/postgres/copy_sink.h"
#include "engine/postgres/sink_test_stream.h"
#include "engine/postgres/snapshot.h"

namespace farshore::postgres {

class CopyBetweenServers : public testing::TestWithParam<Servers> {
 protected:
  CopyBetweenServers() : pair(shared_server(GetParam().source), shared_server(GetParam().target)) {
    SourceOptions options{
        .name = "test", .stream = pair.stream, .conninfo = pair.source_conninfo()};
    publication_ = slot_name(pair.stream);
    snapshots = make_snapshot_source(*pair.world, options);
    copies = make_copy_sink(*pair.world,
                            {.conninfo = pair.target_conninfo(), .application_name = "copy"}, {},
                            [this](Event event) { events.push_back(std::move(event)); });
  }
  void publish(const std::string& tables) {
    pair.start("FOR TABLE " + tables);
    pair.on_source("CREATE PUBLICATION " + publication_ + " FOR TABLE " + tables);
  }
  void publish_also(const std::string& table) {
    pair.on_source("ALTER PUBLICATION " + publication_ + " ADD TABLE " + table);
  }
  Result<std::vector<TargetTable>> prepare(ExistingRows existing = ExistingRows::refuse) {
    auto found = snapshots->tables();
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().what);
    tables = *std::move(found);
    auto shared = snapshots->shared_definitions();
    EXPECT_TRUE(shared.ok()) << (shared.ok() ? "" : shared.error().what);
    return copies->prepare(pair.stream, aside, *shared, tables, existing);
  }
  const SourceTable& table(const std::string& name) {
    for (const SourceTable& t : tables)
      if (t.name == name) return t;
    ADD_FAILURE() << "no table " << name;
    return tables.front();
  }
  Result<void> copy(const SourceTable& table) {
    FARSHORE_TRY_ASSIGN(auto rows, snapshots->open(table, pair.world->after(20s)));
    return copy_from(table, *rows);
  }
  Result<void> copy_from(const SourceTable& table, TableRows& rows) {
    FARSHORE_TRY_ASSIGN(auto writer, copies->begin(pair.stream, table));
    for (;;) {
      FARSHORE_TRY_ASSIGN(const Bytes chunk, rows.next(pair.world->after(20s)));
      if (chunk.empty()) return writer->finish(rows.mark());
      for (std::size_t at = 0; at < chunk.size(); at += 1000)  // as a link may cut it
        FARSHORE_TRY(writer->write(ByteView(chunk).substr(at, 1000)));
    }
  }
  void copy_all(ExistingRows existing = ExistingRows::refuse) {
    auto states = prepare(existing);
    ASSERT_TRUE(states.ok()) << states.error().what;
    for (const TargetTable& state : *states) {
      if (state.state == TableState::copied || state.state == TableState::streaming) continue;
      auto copied = copy(table(state.name));
      ASSERT_TRUE(copied.ok()) << copied.error().what;
    }
    auto completed = copies->complete(pair.stream);
    ASSERT_TRUE(completed.ok()) << completed.error().what;
  }
  std::string state_of(const std::string& name) {
    return pair.target_text("SELECT state FROM farshore.table_state WHERE table_name = '" + name +
                            "'");
  }

  TestPair pair;
  std::unique_ptr<SnapshotSource> snapshots;
  std::unique_ptr<CopySink> copies;
  std::vector<SourceTable> tables;
  std::vector<Event> events;
  std::optional<Epoch> aside;  // of prepare

 private:
  std::string publication_;
};

}  // namespace farshore::postgres
