// A target for tests of what lies before it: IdleSink takes transactions and applies none; NoCopy
// lacks no table.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "sink/copy_sink.h"
#include "sink/sink.h"

namespace farshore {

struct IdleSink final : Sink {
  Result<Sequence> open(const Uuid&, Epoch) override { return Sequence(0); }
  Result<Applied> apply(TransactionCursor& cursor, Deadline deadline) override {
    FARSHORE_TRY(cursor.next(deadline));
    return Applied{};
  }
  Result<void> skip(const CursorItem&) override { return {}; }
  void listed(TablesListed) override {}
  void interrupt() override {}
  void close() override {}
};

struct NoCopy : CopySink {
  Result<std::vector<std::string>> missing(const Uuid&, const std::vector<SourceTable>&) override {
    return std::vector<std::string>();
  }
  Result<std::vector<TargetTable>> prepare(const Uuid&, std::optional<Epoch>, ByteView,
                                           const std::vector<SourceTable>&, ExistingRows) override {
    return std::vector<TargetTable>();
  }
  Result<std::unique_ptr<TableWriter>> begin(const Uuid&, const SourceTable& table) override {
    return permanent(ErrorKind::not_found, "no table {}", table.name);
  }
  Result<void> complete(const Uuid&) override { return {}; }
  Result<void> reset(const Uuid&, std::optional<Epoch>, const std::string&) override { return {}; }
  Result<void> lose_aside(const Uuid&) override { return {}; }
  Result<void> begin_anew(const Uuid&) override { return {}; }
  Result<void> join(const Uuid&, Epoch, Sequence) override { return {}; }
  void interrupt() override {}
};

}  // namespace farshore
