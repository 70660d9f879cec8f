// MemoryDatabase: a database in memory with a log, transactions in progress, and a slot; and
// MemorySource, the Source over it. It outlives the agents that crash around it. Content of a
// transaction is a list of texts, so that a sink can be compared change by change. A text's first
// letter is its table; as in pgoutput a session defines a table before its first change, once; a
// streamed transaction defines it for itself, and when it commits, for the session. For the
// simulator: shared between hosts, so without locks (only one thread runs at a time, and a crashed
// one would hold a lock for ever); who waits looks again after a while.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "os/world.h"
#include "source/snapshot.h"
#include "source/source.h"

namespace farshore::fakes {

struct MemoryTransaction {
  std::uint64_t xid = 0;
  bool streamed = false;
  std::uint64_t commit_lsn = 0;      // 0: not committed
  std::vector<std::string> changes;  // what takes effect
};

class MemoryDatabase {
 public:
  explicit MemoryDatabase(os::World& world) : world_(world) {}

  // Transactions; any thread.
  std::uint64_t commit(std::vector<std::string> changes);  // the commit's LSN
  std::uint64_t begin_streamed();                          // its xid
  void change(std::uint64_t xid, std::string change, std::uint64_t sub_xid = 0);
  void abort_sub(std::uint64_t xid, std::uint64_t sub_xid);
  std::uint64_t commit_streamed(std::uint64_t xid);
  void abort_streamed(std::uint64_t xid);
  void heartbeat();

  // Blocks as a commit under `remote_apply` would; false at the deadline.
  bool wait_far_durable(std::uint64_t lsn, Deadline deadline);

  std::vector<MemoryTransaction> committed() const;  // in commit order
  std::uint64_t released() const;

 private:
  friend class MemorySource;
  enum class EntryKind : std::uint8_t { change, commit, abort, abort_sub, heartbeat };
  struct Entry {
    EntryKind kind;
    std::uint64_t lsn = 0, xid = 0, sub_xid = 0;
    std::string change;
  };
  Entry& append(EntryKind kind, std::uint64_t xid);

  os::World& world_;
  std::vector<Entry> log_;
  std::map<std::uint64_t, MemoryTransaction> transactions_;
  std::map<std::uint64_t, std::map<std::uint64_t, bool>> aborted_subs_;
  std::map<std::uint64_t, WallTime> commit_times_;  // by LSN
  std::uint64_t next_lsn_ = 100, next_xid_ = 1;
  Acknowledgement acknowledged_;
  std::string identity_ = "system=1 timeline=1 database=1 slot=s";
};

void pause(os::World& world, Duration d);

// What a payload holds: the subtransaction (0: none), then a change, or a mark and the table that
// it defines.
constexpr char kDefines = '\x01';
inline char table_of(std::string_view change) {
  return change.empty() ? '?' : change.front();
}

std::uint64_t lsn_of(const Position& position);  // 0 when empty
Position position_of(std::uint64_t lsn);

class MemorySource final : public Source {
 public:
  // `world`: of the host that the agent runs on; its chance decides how records are cut.
  MemorySource(os::World& world, MemoryDatabase& database) : world_(world), database_(database) {}

  Result<SourceIdentity> start(const Position& after, const AcceptSource& accept) override;
  Result<std::vector<Record>> next(Deadline deadline) override;
  std::vector<Bytes> preamble() const override;
  void acknowledge(const Acknowledgement& acknowledgement) override;
  SourceProgress progress() override { return {}; }
  Result<void> bound_log() override { return {}; }
  void interrupt() override;
  void stop() override { interrupted_ = false; }

 private:
  struct Coming {
    Record record;
    std::set<char> defines;  // once it is given: the end of a transaction
  };
  void emit(const MemoryDatabase::Entry& entry);
  void emit_whole(const MemoryTransaction& transaction, WallTime commit_time);
  void emit_schema(const std::set<char>& tables);
  void come(Record record, std::set<char> defines = {});

  os::World& world_;
  MemoryDatabase& database_;
  std::uint64_t after_ = 0;
  std::size_t scanned_ = 0;
  std::map<std::uint64_t, bool> emitted_;  // streamed xids of this session that have begun
  std::set<char> defined_;                 // tables of which this session has spoken
  std::set<char> given_;                   // those in ended transactions that next() has given
  std::deque<Coming> coming_;              // that next() has not given
  bool interrupted_ = false;
};

class MemoryHeartbeatWriter final : public HeartbeatWriter {
 public:
  explicit MemoryHeartbeatWriter(MemoryDatabase& database) : database_(database) {}
  Result<void> beat(Deadline) override {
    database_.heartbeat();
    return {};
  }
  void interrupt() override {}

 private:
  MemoryDatabase& database_;
};

}  // namespace farshore::fakes
