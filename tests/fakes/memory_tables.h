// MemoryTables: tables in memory with the SnapshotSource and the CopySink over them. Rows are
// texts. For one host's threads; a table is copied by one thread. MemoryCopySink passes the
// contract of copies; its tables have no shape to be refused for, and no indexes or foreign keys to
// be made by complete().
#pragma once

#include <atomic>
#include <map>
#include <optional>
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
  bool replace = false;                // its rows go when it is copied
  std::optional<Sequence> aside_from;  // set aside, at this progress
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
  Result<void> complete(const Uuid& stream) override;
  Result<void> reset(const Uuid& stream, std::optional<Epoch> aside,
                     const std::string& table) override;
  Result<void> lose_aside(const Uuid& stream) override;
  Result<void> begin_anew(const Uuid& stream) override;
  Result<void> join(const Uuid& stream, Epoch epoch, Sequence through) override;
  void interrupt() override { interrupted_ = true; }

  std::map<std::string, CopiedTable> tables;
  std::optional<Sequence> progress;  // of the stream's sink; nullopt: it was never opened

 private:
  Result<void> go_on() const;  // closed: interrupted

  std::atomic<bool> interrupted_ = false;
};

}  // namespace farshore::fakes
