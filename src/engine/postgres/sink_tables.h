// TableGates: which changes of a table the sink applies while, and shortly after, the table is
// copied. The states lie in farshore.table_state on the target.
//
//   pending, copying  hold: its changes wait, and all behind them
//   copied            changes of transactions that the copy's snapshot shows are dropped, all
//                     others applied
//   streaming         applied; a table comes here with the first transaction committed after its
//                     snapshot was taken
//
// A membership (membership.h) says which table at the source was copied: changes of another one of
// the same name wait.
//
// Changes of a table that is set aside (aside_from is its progress) are dropped by the stream's
// sink; the sink of those tables drops all others.
//
// One thread.
#pragma once

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/uuid.h"
#include "change/place.h"
#include "engine/postgres/lsn.h"
#include "engine/postgres/relation_map.h"
#include "engine/postgres/sink_options.h"
#include "engine/postgres/sink_pipeline.h"
#include "engine/postgres/sink_visibility.h"
#include "sink/sink.h"

namespace farshore::postgres {

// The snapshot in which a table was copied: JSON as TableRows::mark() gives it.
struct CopyMark {
  std::string snapshot;  // pg_current_snapshot()
  Lsn lsn;               // all transactions committed behind it are not in the snapshot
};
Result<CopyMark> copy_mark_from(std::string_view json);  // corrupt

// other_table: it would be applied, but is of another table of that name than the one that was
// copied. It waits, too: the table is going to be copied again. other_name: it would be applied,
// but the table has a different name by now.
enum class GateAnswer : std::uint8_t { apply, drop, hold, other_table, other_name };

class TableGates {
 public:
  Result<void> load(Pipeline& pipeline, const Uuid& stream, const SinkOptions& options,
                    TablesListed listed);
  // By a table's name as SourceTable gives it, and its oid at the source.
  GateKey find(const std::string& table, std::uint32_t oid) const;
  // `at`: where the transaction ends.
  GateAnswer ask(GateKey key, std::uint64_t xid, Sequence at) const;
  // The name of that table at the source now; empty: the source lists none.
  std::string name_now(std::uint32_t oid) const;

  // A transaction that committed at `commit` is about to be applied: tables whose snapshot lies
  // before it go on as streaming, which write_joined says in the same target transaction.
  void reach(Lsn commit);
  Result<void> write_joined(Pipeline& pipeline);
  void forget_joined() { joined_.clear(); }  // committed

 private:
  struct Gate {
    std::string table;
    bool copied = false;
    RowVisibility visible;
    Lsn lsn;
    Sequence from;  // what lies before it was applied before the table was set aside
  };
  struct Named {
    int gate = kOpen;
    std::uint32_t oid = 0;  // of the source's table that was copied; 0: not known
  };
  static constexpr int kOpen = -1, kDrop = -3, kHold = -4;  // beside indexes of gates_
  GateAnswer ask_gate(int gate, std::uint64_t xid, Sequence at) const;
  Result<int> gate_of(const Answer& answer, int row, bool aside);

  Uuid stream_;
  std::vector<Gate> gates_;
  std::unordered_map<std::string, Named> by_name_;
  int unknown_ = kOpen;  // gate of a table that has no row
  TablesListed listed_;
  std::unordered_map<std::uint32_t, std::string> listed_names_;  // by oid at the source
  std::vector<std::string> joined_;
  std::size_t copied_ = 0;
};

}  // namespace farshore::postgres
