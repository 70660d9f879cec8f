// TargetSession: a session on the target that applies changes of one stream: its settings, the lock
// that no other agent may hold, Farshore's own tables, the progress, and the replication origin
// that marks all it writes.
//
// The progress is a row of farshore.progress, written in the transaction that it speaks of; of
// tables set aside it is `aside_from` of their rows in farshore.table_state. The origin, named by
// stream and epoch, bears our sequence as its LSN too, but is not what a resume asks: from
// PostgreSQL 16 on a transaction that aborts after xact_setup moves it as well (seen on 18.1; tests
// in sink_exact_pgtest.cpp). One thread; the Waker ends a wait from outside.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/uuid.h"
#include "change/place.h"
#include "engine/postgres/connection.h"
#include "engine/postgres/sink_options.h"
#include "engine/postgres/sink_pipeline.h"
#include "engine/postgres/sink_statements.h"

namespace farshore::postgres {

// Of all origins of the stream in this database: origins belong to the whole server, where another
// database may be another target of the same stream.
std::string origin_prefix(const Uuid& stream, std::string_view database_oid);
Result<std::string> origin_prefix(Connection& connection, const Uuid& stream, Deadline deadline);
extern const char* const kDatabaseOidSql;
std::string origin_name(const std::string& prefix, Epoch epoch);
std::string copy_origin_name(const std::string& prefix);
std::string aside_origin_name(const std::string& prefix);
// The progress as an origin's LSN and back: "0/2A".
std::string sequence_lsn(Sequence sequence);

// Settings of every session of ours that writes: synchronous_commit=off, no timeouts, applies as a
// replica if it may. True: as a replica.
Result<bool> prepare_writing_session(Connection& connection, Deadline deadline);
// Until the connection ends no other session of ours makes objects in this database: those of
// several streams begin together. Waits for the others.
Result<void> make_alone(Connection& connection, Deadline deadline);
// Makes the schema farshore and its tables where they are missing. denied: names the line to paste.
Result<void> make_own_tables(Connection& connection, Deadline deadline);
// Makes the origin if it is missing and takes it for this session. conflict: another session has
// it; names its pid.
Result<void> take_origin(Connection& connection, const std::string& name, Deadline deadline);

// To be run before TRUNCATE. A transaction that begins with a change of the catalogs and is
// streamed to whoever decodes it comes without its origin, and would be passed back to where it is
// from: a change of rows, of a table that nobody publishes, goes first (reorderbuffer.c, the first
// change's origin is the transaction's; seen on 15.18).
std::vector<std::string> open_with_rows(const Uuid& stream);

class TargetSession {
 public:
  static Result<std::unique_ptr<TargetSession>> open(os::World& world,
                                                     const ConnectOptions& connect,
                                                     const SinkOptions& options, const Uuid& stream,
                                                     Epoch epoch, os::Waker& waker);

  Sequence progress_at_open() const { return progress_; }
  bool replica_role() const { return replica_role_; }
  Pipeline& pipeline() { return *pipeline_; }
  PreparedStatements& statements() { return *statements_; }

  // A transaction of ours. begin is sent with the first change; commit and roll_back settle the
  // pipeline.
  Result<void> begin();
  bool in_transaction() const { return in_transaction_; }
  // Moves the progress and commits. A Failure: it was rolled back.
  Result<std::optional<Failure>> commit(Sequence through, WallTime commit_time);
  Result<void> roll_back();
  // All that was committed before survives a crash of the server from here on.
  Result<void> make_durable();

  bool usable() const { return connection_->usable(); }
  const std::string& server() const { return connection_->server(); }

 private:
  explicit TargetSession(std::unique_ptr<Connection> connection)
      : connection_(std::move(connection)) {}
  Result<void> read_progress(const Uuid& stream, Epoch epoch, Deadline deadline);
  Result<void> read_progress_aside(const Uuid& stream, Deadline deadline);
  Result<void> prepare_own();

  std::unique_ptr<Connection> connection_;
  std::unique_ptr<Pipeline> pipeline_;
  std::unique_ptr<PreparedStatements> statements_;
  std::string origin_;
  std::string move_progress_;  // UPDATE of the progress
  int progress_rows_ = 1;      // that it moves
  Sequence progress_;
  bool replica_role_ = false;
  bool in_transaction_ = false;
};

// What a failed statement of ours means to the stream: classify(), and `what` without the
// statement's text.
Error error_of(const Failure& failure, std::string_view doing);

}  // namespace farshore::postgres
