// MemoryTables: tables in memory with the SnapshotSource and the CopySink over them. Rows are
// texts. For one host's threads; a table is copied by one thread.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "sink/copy_sink.h"
#include "source/snapshot.h"

namespace farshore::fakes {

using MemoryRows = std::vector<std::string>;

class MemorySnapshotSource final : public SnapshotSource {
 public:
  Result<std::vector<SourceTable>> tables() override;
  Result<Bytes> shared_definitions() override { return Bytes(); }
  Result<std::unique_ptr<TableRows>> open(const SourceTable& table, Deadline deadline) override;
  void interrupt() override {}

  std::map<std::string, MemoryRows> rows;  // by table
};

struct CopiedTable {
  MemoryRows rows;
  TableState state = TableState::missing;
  bool replace = false;  // its rows go when it is copied
  Bytes mark;
};

class MemoryCopySink final : public CopySink {
 public:
  Result<std::vector<std::string>> missing(const Uuid& stream,
                                           const std::vector<SourceTable>& tables) override;
  Result<std::vector<TargetTable>> prepare(const Uuid& stream, std::optional<Epoch> aside,
                                           ByteView shared_definitions,
                                           const std::vector<SourceTable>& tables,
                                           ExistingRows existing) override;
  Result<std::unique_ptr<TableWriter>> begin(const Uuid& stream, const SourceTable& table) override;
  Result<void> complete(const Uuid&) override { return {}; }
  Result<void> reset(const Uuid& stream, std::optional<Epoch> aside,
                     const std::string& table) override;
  Result<void> lose_aside(const Uuid&) override { return {}; }
  Result<void> begin_anew(const Uuid& stream) override { return reset(stream, std::nullopt, ""); }
  Result<void> join(const Uuid&, Epoch, Sequence) override { return {}; }
  void interrupt() override {}

  std::map<std::string, CopiedTable> tables;
};

}  // namespace farshore::fakes
