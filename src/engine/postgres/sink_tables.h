// TableGates: which changes of a table the sink applies while, and shortly after, the table is
// copied (design 4.10). The states lie in farshore.table_state on the target; a table that is not
// there has always been streaming.
//
//   pending, copying  hold: its changes wait, and all behind them
//   copied            changes of transactions that the copy's snapshot shows are dropped, all
//   others applied streaming         applied; a table comes here with the first transaction
//   committed after its snapshot was taken
//
// One thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/uuid.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/sink_pipeline.h"
#include "engine/postgres/sink_visibility.h"

namespace farshore::postgres {

// The snapshot in which a table was copied: JSON as TableRows::mark() gives it.
struct CopyMark {
  std::string snapshot;  // pg_current_snapshot()
  Lsn lsn;               // all transactions committed behind it are not in the snapshot
};
Result<CopyMark> copy_mark_from(std::string_view json);  // corrupt

enum class GateAnswer : std::uint8_t { apply, drop, hold };

class TableGates {
 public:
  static constexpr int kOpen = -1;

  Result<void> load(Pipeline& pipeline, const Uuid& stream);
  // The gate of a table, by its name as SourceTable gives it; kOpen: none.
  int find(const std::string& table) const;
  GateAnswer ask(int gate, std::uint64_t xid) const;
  const std::string& name(int gate) const { return gates_[static_cast<std::size_t>(gate)].table; }

  // A transaction that committed at `commit` is about to be applied: tables whose snapshot lies
  // before it go on as streaming, which write_joined says in the same target transaction.
  void reach(Lsn commit);
  bool any_joined() const { return !joined_.empty(); }
  Result<void> write_joined(Pipeline& pipeline);
  void forget_joined() { joined_.clear(); }  // committed

 private:
  struct Gate {
    std::string table;
    bool held = false;
    bool copied = false;
    RowVisibility visible;
    Lsn lsn;
  };

  Uuid stream_;
  std::vector<Gate> gates_;
  std::unordered_map<std::string, int> by_name_;
  std::vector<std::string> joined_;
  std::size_t copied_ = 0;
};

}  // namespace farshore::postgres
