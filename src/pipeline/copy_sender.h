// CopySender: copies of a stream's tables towards one target, several tables at once,
// each in a snapshot and a channel of its own in the lowest class. run_once() copies what the
// target says is missing: at first all, later tables that were added or are copied again; a kill on
// either side leaves whole tables done or not begun, so the next run continues with the unfinished
// ones.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

#include "pipeline/ship_loop.h"
#include "source/snapshot.h"

namespace farshore::pipeline {

struct CopyProgress {
  std::string table;
  std::uint64_t rows = 0, rows_total = 0;    // total: an estimate
  std::uint64_t bytes = 0, bytes_total = 0;  // total: an estimate
  bool done = false;
  MonotonicTime began{};
};

class CopySender {
 public:
  struct Options {
    Uuid stream;
    std::string stream_name, site;
    ExistingRows existing = ExistingRows::refuse;
    std::size_t tables_at_once = 2;
    std::function<Sequence()> captured = [] { return Sequence(0); };  // what the journal holds
  };

  CopySender(os::World& world, Dial dial, SnapshotSource& source, StateBoard& board,
             Options options);

  // Copies all that is missing and returns, or the first error that stopped it.
  Result<void> run_once(std::stop_token stop);
  std::vector<CopyProgress> progress() const;

 private:
  Result<CopyMissing> ask_missing(link::Channel& channel, const std::vector<SourceTable>& tables,
                                  Sequence through);
  Result<std::vector<SourceTable>> prepare(link::Channel& channel, std::vector<SourceTable> tables);
  // `first`: the stream's first copy to this target, which the leg's state shows.
  Result<void> copy_tables(const std::vector<SourceTable>& tables, bool first,
                           std::stop_token stop);
  Result<void> copy_table(const SourceTable& table, std::size_t slot, bool first,
                          std::stop_token stop);
  Result<void> send_rows(link::Channel& channel, TableRows& rows, std::size_t slot,
                         std::stop_token stop);
  Result<void> send_chunk(link::Channel& channel, const TableRows& rows, const Message& chunk);

  os::World& world_;
  const Dial dial_;
  SnapshotSource& source_;
  StateBoard& board_;
  const Options options_;
  mutable os::Mutex mutex_;
  std::vector<CopyProgress> progress_;
};

}  // namespace farshore::pipeline
