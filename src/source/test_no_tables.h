// NoTables: what a stream has to copy, for tests of streams whose tables are there already:
// nothing.
#pragma once

#include <memory>
#include <vector>

#include "source/snapshot.h"

namespace farshore {

struct NoTables final : SnapshotSource {
  Result<std::vector<SourceTable>> tables() override { return std::vector<SourceTable>(); }
  Result<Bytes> shared_definitions() override { return Bytes(); }
  Result<std::unique_ptr<TableRows>> open(const SourceTable& table, Deadline) override {
    return permanent(ErrorKind::not_found, "no table {}", table.name);
  }
  void interrupt() override {}
};

}  // namespace farshore
