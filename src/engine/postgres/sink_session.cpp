#include "engine/postgres/sink_session.h"

#include <algorithm>
#include <functional>

#include "engine/postgres/lsn.h"
#include "engine/postgres/quoting.h"

namespace farshore::postgres {
namespace {

// Settings that a server does not know are passed over. The planner's: a set of changes must find
// its rows by the key, whatever the table's statistics say on the day the plan is made.
constexpr const char* kSettings =
    "SELECT pg_catalog.set_config(s.name, v.value, false) FROM (VALUES"
    " ('synchronous_commit', 'off'), ('search_path', ''), ('row_security', 'off'), "
    "('statement_timeout', '0'),"
    " ('lock_timeout', '0'), ('idle_in_transaction_session_timeout', '0'), "
    "('idle_session_timeout', '0'),"
    " ('transaction_timeout', '0'), ('default_transaction_read_only', 'off'),"
    " ('default_transaction_isolation', 'read committed'), ('client_connection_check_interval', "
    "'1000'),"
    " ('datestyle', 'ISO'), ('intervalstyle', 'postgres'), ('extra_float_digits', '3'), "
    "('timezone', 'UTC'),"
    " ('bytea_output', 'hex'), ('xmloption', 'content'), ('array_nulls', 'on'), "
    "('client_min_messages', 'error'), ('lc_monetary', 'C'),"
    " ('jit', 'off'), ('plan_cache_mode', 'force_generic_plan'), ('enable_seqscan', 'off'),"
    " ('enable_hashjoin', 'off'), ('enable_mergejoin', 'off')) v(name, value)"
    " JOIN pg_catalog.pg_settings s ON pg_catalog.lower(s.name) = v.name WHERE s.context = 'user'";

// A lock, as words behind pg_advisory_lock or pg_advisory_xact_lock.
constexpr const char* kMaking = "(pg_catalog.hashtextextended('farshore makes objects', 0))";

constexpr const char* kOwnTables = R"(
CREATE TABLE IF NOT EXISTS farshore.progress (
  stream uuid, epoch bigint, sequence bigint NOT NULL, commit_time timestamptz,
  PRIMARY KEY (stream, epoch)) WITH (fillfactor = 10);
CREATE TABLE IF NOT EXISTS farshore.table_state (
  stream uuid, table_name text, state text NOT NULL, snapshot text, snapshot_lsn pg_lsn,
  rows bigint, replace boolean NOT NULL DEFAULT false, aside_from bigint, membership text,
  to_complete text, at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (stream, table_name));
CREATE TABLE IF NOT EXISTS farshore.skipped (
  stream uuid, epoch bigint, sequence bigint, xid bigint, changes bigint, commit_time timestamptz,
  at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (stream, epoch, sequence));
CREATE TABLE IF NOT EXISTS farshore.opened (stream uuid))";

constexpr const char* kMoveProgress = "farshore_progress";
constexpr Duration kOldHolderWait = 3s;  // for the backend of a session that just ended
constexpr Duration kOldHolderPoll = 20ms;

std::string hex_of(const Uuid& stream) {
  std::string text = stream.text();
  std::erase(text, '-');
  return text;
}

Error origin_denied(Error error, const std::string& role) {
  if (error.kind == ErrorKind::denied)
    error.what +=
        "; as a superuser run on the target: GRANT EXECUTE ON FUNCTION "
        "pg_replication_origin_create(text), "
        "pg_replication_origin_session_setup(text), pg_replication_origin_xact_setup(pg_lsn, "
        "timestamptz), "
        "pg_replication_origin_progress(text, boolean), pg_replication_origin_oid(text) TO " +
        role + "; (`farshore grants` prints all of it)";
  return error;
}

// No two agents apply one stream, in whatever epoch; what is set aside has a lock of its own.
Result<void> lock_stream(Connection& connection, const Uuid& stream, bool aside,
                         Deadline deadline) {
  std::int64_t key = 0;
  std::memcpy(&key, stream.bytes.data(), sizeof key);
  if (aside) key ^= 1;
  FARSHORE_TRY_ASSIGN(const Rows held,
                      connection.query("SELECT pg_catalog.pg_try_advisory_lock($1::bigint)",
                                       {std::to_string(key)}, deadline));
  if (held.text(0, 0) == "t") return {};
  FARSHORE_TRY_ASSIGN(
      const Rows holder,
      connection.query(
          "SELECT l.pid, a.application_name, a.client_addr FROM pg_catalog.pg_locks l"
          " LEFT JOIN pg_catalog.pg_stat_activity a USING (pid) WHERE l.locktype = 'advisory' AND "
          "l.granted"
          " AND l.objsubid = 1 AND (l.classid::bigint << 32 | l.objid::bigint) = $1::bigint"
          " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = "
          "current_database())",
          {std::to_string(key)}, deadline));
  if (holder.count() == 0)
    return transient(ErrorKind::conflict, "{}: another session just held this stream",
                     connection.server());
  return transient(ErrorKind::conflict,
                   "{}: this stream is applied by another session, pid {} ({} from {}): if its "
                   "agent is gone, run there "
                   "SELECT pg_terminate_backend({})",
                   connection.server(), holder.text(0, 0), holder.text(0, 1), holder.text(0, 2),
                   holder.text(0, 0));
}

Result<void> once_free(os::World& world, os::Waker& waker,
                       const std::function<Result<void>()>& take) {
  const Deadline deadline = world.after(kOldHolderWait);
  for (;;) {
    Result<void> taken = take();
    if (taken.ok() || taken.error().kind != ErrorKind::conflict || deadline.reached(world.now()) ||
        os::poll_fd(-1, false, false, world.after(kOldHolderPoll), &waker).woken)
      return taken;
  }
}

std::string digits_after(const std::string& text, std::string_view words) {
  const std::size_t at = text.find(words);
  if (at == std::string::npos) return {};
  const std::size_t from = at + words.size();
  return text.substr(from, text.find_first_not_of("0123456789", from) - from);
}

}  // namespace

const char* const kDatabaseOidSql =
    "SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()";

std::string origin_prefix(const Uuid& stream, std::string_view database_oid) {
  return fmt::format("farshore_{}_{}_", hex_of(stream), database_oid);
}

Result<std::string> origin_prefix(Connection& connection, const Uuid& stream, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows database, connection.query(kDatabaseOidSql, deadline));
  return origin_prefix(stream, database.text(0, 0));
}

std::string origin_name(const std::string& prefix, Epoch epoch) {
  return fmt::format("{}{}", prefix, epoch);
}

std::string copy_origin_name(const std::string& prefix) {
  return prefix + "copy";
}

std::string aside_origin_name(const std::string& prefix) {
  return copy_origin_name(prefix) + "_aside";
}

std::string sequence_lsn(Sequence sequence) {
  return Lsn(sequence.value()).text();
}

Error error_of(const Failure& failure, std::string_view doing) {
  const Classification is = classify(failure.sqlstate);
  return {is.kind, is.retry,
          fmt::format("{}: {} ({})", doing, failure.shown_message(), failure.sqlstate)};
}

Result<bool> prepare_writing_session(Connection& connection, Deadline deadline) {
  FARSHORE_TRY(connection.query(kSettings, deadline));
  FARSHORE_TRY_ASSIGN(const Rows recovery,
                      connection.query("SELECT pg_catalog.pg_is_in_recovery()", deadline));
  if (recovery.text(0, 0) == "t")
    return transient(ErrorKind::conflict,
                     "{} is a standby: nothing can be applied until it is promoted",
                     connection.server());
  auto replica = connection.query("SET session_replication_role = replica", deadline);
  if (replica.ok()) return true;
  if (connection.server_error().sqlstate == "42501") return false;
  return std::move(replica).error();
}

Result<void> make_alone(Connection& connection, Deadline deadline) {
  FARSHORE_TRY(
      connection.query(fmt::format("SELECT pg_catalog.pg_advisory_lock{}", kMaking), deadline));
  return {};
}

Result<void> make_own_tables(Connection& connection, Deadline deadline) {
  // Asked first, so that no right to create is needed once they are there.
  FARSHORE_TRY_ASSIGN(
      const Rows there,
      connection.query("SELECT n.oid IS NOT NULL,"
                       " CASE WHEN pg_catalog.has_schema_privilege(n.oid, 'USAGE') THEN"
                       " pg_catalog.to_regclass('farshore.table_state') IS NOT NULL AND"
                       " pg_catalog.to_regclass('farshore.progress') IS NOT NULL AND"
                       " pg_catalog.to_regclass('farshore.skipped') IS NOT NULL AND"
                       " pg_catalog.to_regclass('farshore.opened') IS NOT NULL END"
                       " FROM (SELECT pg_catalog.to_regnamespace('farshore')::oid) n(oid)",
                       deadline));
  if (there.text(0, 1) == "t") return {};
  const bool has_schema = there.text(0, 0) == "t";
  // One transaction, until whose end others wait.
  auto made = connection.query(
      fmt::format("SELECT pg_catalog.pg_advisory_xact_lock{};{}{}", kMaking,
                  has_schema ? "" : "CREATE SCHEMA IF NOT EXISTS farshore;", kOwnTables),
      deadline);
  if (made.ok()) return {};
  Error error = std::move(made).error();
  if (error.kind == ErrorKind::denied)
    error.what += fmt::format("; run on the target: {} {};",
                              has_schema ? "GRANT USAGE, CREATE ON SCHEMA farshore TO"
                                         : "CREATE SCHEMA farshore AUTHORIZATION",
                              connection.role());
  return error;
}

std::vector<std::string> open_with_rows(const Uuid& stream) {
  return {fmt::format("INSERT INTO farshore.opened VALUES ('{}')", stream.text()),
          fmt::format("DELETE FROM farshore.opened WHERE stream = '{}'", stream.text())};
}

Result<void> take_origin(Connection& connection, const std::string& name, Deadline deadline) {
  auto made = connection.query(
      "SELECT CASE WHEN pg_catalog.pg_replication_origin_oid($1) IS NULL"
      " THEN pg_catalog.pg_replication_origin_create($1) END",
      {name}, deadline);
  // Two sessions of a copy make the same one at once: the other has made it.
  if (!made.ok() && connection.server_error().sqlstate != "23505")
    return origin_denied(std::move(made).error(), connection.role());
  auto taken = connection.query("SELECT pg_catalog.pg_replication_origin_session_setup($1)", {name},
                                deadline);
  if (taken.ok()) return {};
  const ServerError said = connection.server_error();
  if (said.sqlstate != "55006") return origin_denied(std::move(taken).error(), connection.role());
  const std::string pid = digits_after(said.message, "for PID ");
  return transient(ErrorKind::conflict,
                   "{}: the progress {} is held by another session, pid {}: if its agent is gone, "
                   "run there SELECT "
                   "pg_terminate_backend({})",
                   connection.server(), name, pid, pid);
}

Result<std::unique_ptr<TargetSession>> TargetSession::open(os::World& world,
                                                           const ConnectOptions& connect,
                                                           const SinkOptions& options,
                                                           const Uuid& stream, Epoch epoch,
                                                           os::Waker& waker) {
  FARSHORE_TRY_ASSIGN(auto connection,
                      Connection::open(world, connect, world.after(options.connect_wait), &waker));
  std::unique_ptr<TargetSession> session(new TargetSession(std::move(connection)));
  Connection& server = *session->connection_;
  const Deadline deadline = world.after(options.control_wait);
  FARSHORE_TRY_ASSIGN(session->replica_role_, prepare_writing_session(server, deadline));
  FARSHORE_TRY(once_free(world, waker,
                         [&] { return lock_stream(server, stream, options.aside, deadline); }));
  FARSHORE_TRY(make_own_tables(server, deadline));
  FARSHORE_TRY_ASSIGN(const std::string prefix, origin_prefix(server, stream, deadline));
  session->origin_ = options.aside ? aside_origin_name(prefix) : origin_name(prefix, epoch);
  FARSHORE_TRY(
      once_free(world, waker, [&] { return take_origin(server, session->origin_, deadline); }));
  FARSHORE_TRY(options.aside ? session->read_progress_aside(stream, deadline)
                             : session->read_progress(stream, epoch, deadline));
  FARSHORE_TRY_ASSIGN(session->pipeline_,
                      Pipeline::start(server.raw(), waker, options.in_flight_max));
  session->statements_ =
      std::make_unique<PreparedStatements>(*session->pipeline_, options.statements_max);
  FARSHORE_TRY(session->prepare_own());
  return session;
}

// The origin speaks only where there is no row: Farshore's tables were dropped.
Result<void> TargetSession::read_progress(const Uuid& stream, Epoch epoch, Deadline deadline) {
  const std::string of = std::to_string(epoch.value());
  FARSHORE_TRY(connection_->query(
      "INSERT INTO farshore.progress (stream, epoch, sequence) SELECT $1::uuid, $2::bigint,"
      " coalesce(pg_catalog.pg_replication_origin_progress($3, true) - '0/0'::pg_lsn, 0)"
      " ON CONFLICT DO NOTHING",
      {stream.text(), of, origin_}, deadline));
  FARSHORE_TRY_ASSIGN(
      const Rows progress,
      connection_->query(
          "SELECT sequence FROM farshore.progress WHERE stream = $1::uuid AND epoch = $2::bigint",
          {stream.text(), of}, deadline));
  progress_ = Sequence(std::strtoull(std::string(progress.text(0, 0)).c_str(), nullptr, 10));
  move_progress_ = fmt::format(
      "UPDATE farshore.progress SET sequence = $1, commit_time = timestamptz '2000-01-01 "
      "00:00:00+00' + $2"
      " WHERE stream = '{}' AND epoch = {}",
      stream.text(), of);
  return {};
}

// The tables have come differently far: the sink passes over what each of them has.
Result<void> TargetSession::read_progress_aside(const Uuid& stream, Deadline deadline) {
  const std::string which = fmt::format(
      " WHERE stream = '{}' AND aside_from IS NOT NULL AND state IN ('copied', 'streaming')",
      stream.text());
  FARSHORE_TRY_ASSIGN(
      const Rows progress,
      connection_->query("SELECT min(aside_from), count(*) FROM farshore.table_state" + which,
                         deadline));
  if (progress.is_null(0, 0))
    return permanent(ErrorKind::not_found, "{}: no copied table of stream {} is set aside",
                     connection_->server(), stream.text());
  progress_ = Sequence(std::strtoull(std::string(progress.text(0, 0)).c_str(), nullptr, 10));
  progress_rows_ = std::atoi(std::string(progress.text(0, 1)).c_str());
  move_progress_ = "UPDATE farshore.table_state SET aside_from = greatest(aside_from, $1)" + which;
  return {};
}

Result<void> TargetSession::prepare_own() {
  constexpr std::uint32_t kInt8 = 20, kInterval = 1186;
  const std::uint32_t types[] = {kInt8, kInterval};
  FARSHORE_TRY(pipeline_->prepare(kMoveProgress, move_progress_, types, nullptr));
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, pipeline_->settle());
  return failure ? error_of(*failure, "prepare the statement that moves the progress")
                 : Result<void>();
}

Result<void> TargetSession::begin() {
  if (in_transaction_) return {};
  in_transaction_ = true;
  FARSHORE_TRY(pipeline_->run("BEGIN"));
  // Deferrable constraints hold between transactions, not between the rows of one.
  return pipeline_->run("SET CONSTRAINTS ALL DEFERRED");
}

Result<std::optional<Failure>> TargetSession::commit(Sequence through, WallTime commit_time) {
  const std::string sequence = std::to_string(through.value());
  const std::string since_2000 = fmt::format("{} us", to_server_time(commit_time));
  const ParameterList parameters{
      .values = {sequence.c_str(), since_2000.c_str()},
      .lengths = {static_cast<int>(sequence.size()), static_cast<int>(since_2000.size())},
      .formats = {0, 0}};
  FARSHORE_TRY(pipeline_->execute(kMoveProgress, parameters, progress_rows_, nullptr));
  FARSHORE_TRY_ASSIGN(std::optional<Failure> failure, pipeline_->settle());
  if (!failure) {
    FARSHORE_TRY(
        pipeline_->run(fmt::format("SELECT pg_catalog.pg_replication_origin_xact_setup('{}', "
                                   "timestamptz '2000-01-01 00:00:00+00' + interval '{}')",
                                   sequence_lsn(through), since_2000)));
    FARSHORE_TRY(pipeline_->run("COMMIT"));
    FARSHORE_TRY_ASSIGN(failure, pipeline_->settle());
    if (!failure) {
      in_transaction_ = false;
      return failure;
    }
  }
  FARSHORE_TRY(roll_back());
  return failure;
}

Result<void> TargetSession::roll_back() {
  FARSHORE_TRY(pipeline_->settle());
  if (!in_transaction_) return {};
  in_transaction_ = false;
  FARSHORE_TRY(pipeline_->run("ROLLBACK"));
  FARSHORE_TRY(statements_->forget_all());
  FARSHORE_TRY_ASSIGN(const std::optional<Failure> failure, pipeline_->settle());
  if (failure) return error_of(*failure, "roll back");
  return prepare_own();
}

Result<void> TargetSession::make_durable() {
  FARSHORE_TRY(pipeline_->query(fmt::format(
      "SELECT pg_catalog.pg_replication_origin_progress({}, true)", quote_literal(origin_))));
  return {};
}

}  // namespace farshore::postgres
