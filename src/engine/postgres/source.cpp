#include "engine/postgres/source.h"

#include <atomic>
#include <map>

#include "change/remedy.h"
#include "engine/postgres/capture_session.h"
#include "engine/postgres/publication.h"
#include "engine/postgres/quoting.h"
#include "engine/postgres/slot.h"
#include "os/thread.h"

namespace farshore::postgres {
namespace {

constexpr int kServerVersionMin = 140000;  // heartbeats need logical messages in pgoutput
constexpr Duration kReportEvery = 1s;
constexpr Duration kUpkeepWait = 30s;  // for one question of the upkeep
constexpr Duration kUpkeepRetry = 3s;

int protocol_version(int server_version) {
  if (server_version >= 160000) return 4;
  return server_version >= 150000 ? 3 : 2;
}

std::uint64_t log_since(Lsn place, const ServerState& server) {
  return server.position > place ? server.position.value() - place.value() : 0;
}

// All that the server keeps while the slot stands: also from before what we released, for as long
// as a transaction of the application runs that began there.
std::uint64_t retained_by(const ServerState& server) {
  const Lsn restart = server.slot->restart;
  return restart > Lsn() ? log_since(restart, server) : 0;
}

// What we hold back: the log behind what we released. A transaction that has ended, but not been
// read, counts from there on too: what lies before was its own while it ran, on a disk that had
// room for it.
std::uint64_t held_by(const ServerState& server) {
  const SlotState& slot = *server.slot;
  return slot.restart > Lsn() ? log_since(std::max(slot.restart, slot.confirmed), server) : 0;
}

bool says(const Error& error, std::string_view text) {
  return error.what.find(text) != std::string::npos;
}

class PostgresSource final : public Source {
 public:
  PostgresSource(os::World& world, SourceOptions options)
      : world_(world), options_(std::move(options)), publication_(options_) {}
  ~PostgresSource() override { end_session(); }

  Result<SourceIdentity> start(const Position& after, const AcceptSource& accept) override;
  Result<std::vector<Record>> next(Deadline deadline) override;
  std::vector<Bytes> preamble() const override;
  void acknowledge(const Acknowledgement& acknowledgement) override;
  SourceProgress progress() override;
  Result<void> bound_log() override;
  void interrupt() override;
  void stop() override;

 private:
  Result<SourceIdentity> open_session(const ResumePlace& after, const AcceptSource& accept);
  Result<SlotState> prepare(Connection& sql, Lsn after);
  Result<void> check_slot(const Connection& sql, const SlotState& slot, Lsn after);
  Result<SourceIdentity> identify(Connection& sql, Connection& replication);
  std::string start_command(const Connection& replication, Lsn from) const;
  Error explained(Error error) const;
  std::string resnapshot(std::string_view before = {}) const {
    return to_do(fmt::format("{}copy all tables anew: {}", before,
                             stream_command({options_.name, "", options_.region}, "resnapshot")));
  }

  std::string why_no_tables() const;

  void end_session();
  void upkeep(std::stop_token stop, std::shared_ptr<CaptureSession> session);
  Result<void> upkeep_once(std::unique_ptr<Connection>& sql, CaptureSession& session,
                           MonotonicTime& refresh_at);
  Result<bool> look(Connection& sql, CaptureSession& session);
  Result<void> bound(Connection& sql, const Uuid& stream, Deadline deadline);
  Result<void> bound_others(Connection& sql, Deadline deadline);
  std::optional<Error> beyond_wal_max(const Connection& sql, const Uuid& stream,
                                      const ServerState& server);
  void tell_pinned(Connection& sql, const ServerState& server);
  Result<void> give_up(const Uuid& stream, const Error& error);
  void tell(Severity severity, const char* name, std::string message) const;
  std::shared_ptr<CaptureSession> session() const {
    os::Lock lock(mutex_);
    return session_;
  }

  os::World& world_;
  const SourceOptions options_;
  Publication publication_;  // start's thread, then upkeep's: never both
  os::Waker waker_;          // of next and start
  std::atomic<bool> interrupted_ = false;

  mutable os::Mutex mutex_;
  std::shared_ptr<CaptureSession> session_;
  SourceProgress progress_;
  Lsn server_position_;
  bool released_early_ = false;
  // By slot: what we held back when this object first looked, until that is caught up.
  std::map<std::string, std::uint64_t> piled_up_;
  // Upkeep's thread: since when the log is kept from one place on, and whether that was told.
  struct Pinned {
    Lsn at, released;
    MonotonicTime since{};
    bool told = false;
  } pinned_;

  os::Waker bound_waker_;  // of bound_log
  os::Waker upkeep_waker_;
  os::Thread upkeep_thread_;
};

Result<SourceIdentity> PostgresSource::start(const Position& after, const AcceptSource& accept) {
  end_session();
  waker_.clear();
  if (interrupted_) waker_.wake();
  FARSHORE_TRY_ASSIGN(const ResumePlace place, ResumePlace::from(after));
  auto identity = open_session(place, accept);
  if (!identity.ok()) return explained(std::move(identity).error());
  return identity;
}

Result<SourceIdentity> PostgresSource::open_session(const ResumePlace& after,
                                                    const AcceptSource& accept) {
  const Deadline soon = world_.after(options_.connect_wait);
  FARSHORE_TRY_ASSIGN(
      auto sql, Connection::open(world_, connect_options(options_, "control"), soon, &waker_));
  if (sql->server_version() < kServerVersionMin)
    return permanent(ErrorKind::invalid, "{}: PostgreSQL {} is too old; 14 or newer is needed",
                     sql->server(), sql->server_version() / 10000);
  ConnectOptions connect = connect_options(options_, "");
  connect.replication = true;
  connect.settings = value_settings();
  FARSHORE_TRY_ASSIGN(
      auto replication,
      Connection::open(world_, connect, world_.after(options_.connect_wait), &waker_));
  FARSHORE_TRY(bound_sender_timeout(*replication, world_.after(options_.connect_wait)));
  FARSHORE_TRY_ASSIGN(SourceIdentity identity, identify(*sql, *replication));
  FARSHORE_TRY(accept(identity));
  FARSHORE_TRY_ASSIGN(const SlotState slot, prepare(*sql, after.after));
  const Lsn begin = after.begin(slot.confirmed);
  FARSHORE_TRY(replication->begin_copy_both(start_command(*replication, begin),
                                            world_.after(options_.connect_wait)));
  auto session = std::make_shared<CaptureSession>(
      world_, std::move(replication),
      CaptureSession::Options{.own_origin_prefix = options_.own_origin_prefix,
                              .retain_max = options_.retain_max,
                              .after = after,
                              .begin = begin,
                              .confirmed = slot.confirmed});
  {
    os::Lock lock(mutex_);
    session_ = session;
    progress_.heard_at = world_.now();
    progress_.no_tables = why_no_tables();
  }
  upkeep_waker_.clear();
  upkeep_thread_ =
      os::Thread("pg-upkeep", [this, session](std::stop_token stop) { upkeep(stop, session); });
  return identity;
}

// The publication first: a slot that begins before it could never read past its beginning.
Result<SlotState> PostgresSource::prepare(Connection& sql, Lsn after) {
  FARSHORE_TRY(publication_.refresh(sql, world_.after(options_.connect_wait)));
  (void)mark_publication(sql, options_, world_.after(options_.connect_wait));  // a help, no need
  FARSHORE_TRY_ASSIGN(ServerState server,
                      read_server(sql, options_.stream, world_.after(options_.connect_wait)));
  if (server.slot && server.slot->lost && after == Lsn()) {  // nothing is asked of it: a new one
    FARSHORE_TRY(postgres::drop_slot(sql, options_.stream, world_.after(options_.connect_wait)));
    server.slot.reset();
  }
  if (!server.slot) {
    if (after > Lsn())
      return permanent(ErrorKind::overtaken,
                       "{}: slot {} is gone, so the log from {} on is not held for us{}",
                       sql.server(), slot_name(options_.stream), after.text(), resnapshot());
    FARSHORE_TRY(create_slot(world_, sql, options_, world_.after(options_.slot_wait)));
    tell(Severity::info, "source.slot_created",
         fmt::format("{}: slot {} was made", sql.server(), slot_name(options_.stream)));
    FARSHORE_TRY_ASSIGN(server,
                        read_server(sql, options_.stream, world_.after(options_.connect_wait)));
    if (!server.slot)
      return transient(ErrorKind::unavailable, "{}: slot {} vanished after it was made",
                       sql.server(), slot_name(options_.stream));
  }
  FARSHORE_TRY(check_slot(sql, *server.slot, after));
  if (after > server.position && !server.standby)
    return permanent(ErrorKind::overtaken,
                     "{}: {}: its log ends at {}, but the journal holds what it committed up to {}",
                     sql.server(), kSetBack, server.position.text(), after.text());
  if (server.slot->database != server.database)
    return permanent(ErrorKind::conflict, "{}: slot {} belongs to database {}", sql.server(),
                     slot_name(options_.stream), server.slot->database);
  (void)beyond_wal_max(sql, options_.stream, server);  // what piled up before us is caught up
  return *server.slot;
}

Result<void> PostgresSource::check_slot(const Connection& sql, const SlotState& slot, Lsn after) {
  const std::string name = slot_name(options_.stream);
  if (slot.lost)
    return permanent(ErrorKind::overtaken, "{}: slot {} lost its log ({}){}", sql.server(), name,
                     slot.lost_reason, resnapshot());
  if (slot.plugin != "pgoutput")
    return permanent(ErrorKind::conflict, "{}: slot {} has plugin {} instead of pgoutput; drop it",
                     sql.server(), name, slot.plugin);
  // We release only what a journal names (Feedback): a slot that is ahead was released by a journal
  // that is lost, and START_REPLICATION would pass over the gap in silence.
  if (after > Lsn() && slot.confirmed > after)
    return permanent(ErrorKind::overtaken,
                     "{}: slot {} was released up to {}, but the journal ends at {}: what was "
                     "committed between is no longer held{}",
                     sql.server(), name, slot.confirmed.text(), after.text(), resnapshot());
  if (slot.active_pid != 0)
    return transient(ErrorKind::conflict,
                     "{}: slot {} is in use by pid {}: another agent, or our own session that the "
                     "server has not ended yet; end it with SELECT pg_terminate_backend({})",
                     sql.server(), name, slot.active_pid, slot.active_pid);
  return {};
}

Result<SourceIdentity> PostgresSource::identify(Connection& sql, Connection& replication) {
  const Deadline soon = world_.after(options_.connect_wait);
  FARSHORE_TRY_ASSIGN(const Rows rows, replication.query("IDENTIFY_SYSTEM", soon));
  FARSHORE_TRY_ASSIGN(const ServerState server, read_server(sql, options_.stream, soon));
  return SourceIdentity{fmt::format("system={} timeline={} database={} slot={}", rows.text(0, 0),
                                    rows.text(0, 1), server.database_oid,
                                    slot_name(options_.stream))};
}

std::string PostgresSource::start_command(const Connection& replication, Lsn from) const {
  const std::string name = slot_name(options_.stream);
  std::string command = fmt::format(
      "START_REPLICATION SLOT {} LOGICAL {} (proto_version '{}', publication_names {}, messages "
      "'true', streaming 'on', binary 'false'",
      '"' + name + '"', from.text(), protocol_version(replication.server_version()),
      quote_literal('"' + name + '"'));
  // 'none' would also drop what the source itself received from third parties.
  if (replication.server_version() >= 160000) command += ", origin 'any'";
  return command + ")";
}

// What libpq's caller is told in words only, and what must not reach the capture loop as a fault of
// its own journal (io) or of its own stop (closed).
Error PostgresSource::explained(Error error) const {
  if (error.kind == ErrorKind::closed || error.kind == ErrorKind::io)
    return transient(ErrorKind::unavailable, "{}", error.what);
  if (says(error, kSetBack))
    return permanent(ErrorKind::overtaken,
                     "{}; a storage snapshot or a backup was put back, and the targets hold "
                     "commits that the source no longer has{}",
                     error.what, resnapshot());
  const bool log_gone = says(error, "can no longer get changes from replication slot") ||
                        says(error, "can no longer access replication slot") ||
                        (says(error, "WAL segment") && says(error, "has already been removed"));
  const bool publication_gone = error.kind == ErrorKind::not_found && says(error, "publication");
  if (log_gone || publication_gone)
    return permanent(ErrorKind::overtaken, "{}{}", error.what, resnapshot());
  return error;
}

Result<std::vector<Record>> PostgresSource::next(Deadline deadline) {
  const auto session = this->session();
  if (!session) return transient(ErrorKind::unavailable, "the source was not started");
  // Interrupted: what is here already, without a wait.
  auto records = session->receive(interrupted_ ? Deadline::passed() : deadline, waker_);
  if (!interrupted_) waker_.clear();
  if (!records.ok()) return explained(std::move(records).error());
  return records;
}

std::vector<Bytes> PostgresSource::preamble() const {
  const auto session = this->session();
  return session ? session->preamble() : std::vector<Bytes>();
}

void PostgresSource::acknowledge(const Acknowledgement& acknowledgement) {
  const auto session = this->session();
  if (!session) return;
  const std::optional<bool> early = session->acknowledge(acknowledgement, waker_);
  {
    os::Lock lock(mutex_);
    if (!early || std::exchange(released_early_, *early) == *early) return;
  }
  if (*early)
    tell(Severity::warning, "source.released_early",
         fmt::format(
             "the far side is more than {} of log behind: the slot lets go of what is only in "
             "the near journal; losing that disk now would need {}",
             format_bytes(options_.retain_max),
             stream_command({options_.name, "", options_.region}, "resnapshot")));
  else
    tell(Severity::info, "source.released_in_time",
         "the slot again holds all that is not yet durable far");
}

SourceProgress PostgresSource::progress() {
  const auto session = this->session();
  os::Lock lock(mutex_);
  if (session) {
    progress_.heard_at = std::max(progress_.heard_at, session->heard_at());
    progress_.ended = session->failure();
    progress_.log_is_known = session->log_is_known();
    const Lsn received = session->received();
    progress_.behind_bytes =
        server_position_ > received ? server_position_.value() - received.value() : 0;
  }
  return progress_;
}

void PostgresSource::interrupt() {
  interrupted_ = true;
  waker_.wake();
  bound_waker_.wake();
}

void PostgresSource::stop() {
  end_session();
  interrupted_ = false;
}

std::string PostgresSource::why_no_tables() const {
  if (!publication_.empty()) return "";
  return fmt::format(
      "no table of the database is in the stream: what its `tables` match is not there, or cannot "
      "be published; `farshore check {} --region {}` says what is wrong",
      options_.name, options_.region);
}

void PostgresSource::end_session() {
  upkeep_thread_.request_stop();
  upkeep_waker_.wake();
  if (upkeep_thread_.joinable()) upkeep_thread_.join();
  os::Lock lock(mutex_);
  session_.reset();
}

void PostgresSource::upkeep(std::stop_token stop, std::shared_ptr<CaptureSession> session) {
  std::unique_ptr<Connection> sql;
  MonotonicTime refresh_at = world_.now() + options_.refresh_every;
  MonotonicTime ask_at{};
  bool failing = false;
  while (!stop.stop_requested()) {
    session->report(waker_);
    if (world_.now() >= ask_at) {
      auto done = upkeep_once(sql, *session, refresh_at);
      if (stop.stop_requested()) return;
      ask_at = world_.now() + (done.ok() ? options_.progress_every : kUpkeepRetry);
      if (!done.ok()) sql.reset();
      if (!done.ok() && !failing)
        tell(Severity::warning, "source.upkeep_failed",
             fmt::format("progress and new tables are not seen: {}", done.error().what));
      failing = !done.ok();
    }
    os::poll_fd(-1, false, false, world_.after(kReportEvery), &upkeep_waker_);
  }
}

Result<void> PostgresSource::upkeep_once(std::unique_ptr<Connection>& sql, CaptureSession& session,
                                         MonotonicTime& refresh_at) {
  if (!sql) {
    FARSHORE_TRY_ASSIGN(sql, Connection::open(world_, connect_options(options_, "control"),
                                              world_.after(options_.connect_wait), &upkeep_waker_));
  }
  FARSHORE_TRY_ASSIGN(const bool ours, look(*sql, session));
  if (!ours) return {};
  FARSHORE_TRY_ASSIGN(const bool lost,
                      publication_.may_have_lost_identity(*sql, world_.after(kUpkeepWait)));
  if (!lost && world_.now() < refresh_at) return {};
  FARSHORE_TRY(publication_.refresh(*sql, world_.after(kUpkeepWait)));
  refresh_at = world_.now() + options_.refresh_every;
  return bound_others(*sql, world_.after(kUpkeepWait));
}

// Whether our slot is there: where it is not, perhaps at another server, no publication is made.
Result<bool> PostgresSource::look(Connection& sql, CaptureSession& session) {
  FARSHORE_TRY_ASSIGN(const ServerState server,
                      read_server(sql, options_.stream, world_.after(kUpkeepWait)));
  const std::string name = slot_name(options_.stream);
  if (!server.slot) return false;  // the walsender knows it first
  {
    os::Lock lock(mutex_);
    server_position_ = server.position;
    progress_.server_position = server.position.text();
    progress_.retained_bytes = retained_by(server);
    progress_.held_bytes = held_by(server);
    progress_.commits_wait = server.synchronous;
    progress_.tables_joined = publication_.joined();
    progress_.no_tables = why_no_tables();
  }
  if (server.slot->lost)
    session.fail(permanent(ErrorKind::overtaken, "{}: slot {} lost its log ({}){}", sql.server(),
                           name, server.slot->lost_reason, resnapshot()),
                 waker_);
  const std::optional<Error> error = beyond_wal_max(sql, options_.stream, server);
  if (!error) {
    tell_pinned(sql, server);
    return true;
  }
  session.fail(*error, waker_);
  FARSHORE_TRY(give_up(options_.stream, *error));
  return false;
}

std::optional<Error> PostgresSource::beyond_wal_max(const Connection& sql, const Uuid& stream,
                                                    const ServerState& server) {
  const std::uint64_t held = held_by(server);
  const std::string slot = slot_name(stream);
  {
    os::Lock lock(mutex_);
    // What piled up while no agent ran is caught up, not a reason to give the slot up; what piles
    // up between our sessions is one.
    std::uint64_t& piled_up = piled_up_.try_emplace(slot, held).first->second;
    if (held <= options_.wal_max) piled_up = 0;
    if (options_.wal_max == 0 || held <= options_.wal_max + piled_up) return std::nullopt;
  }
  const bool left = !options_.stream.is_nil() && stream != options_.stream;
  return permanent(
      ErrorKind::overtaken,
      "{}: slot {}{} held back {} of log, more than source.wal_max ({}): it was dropped before the "
      "disk fills{}",
      sql.server(), slot, left ? ", which an earlier stream of this name left behind," : "",
      format_bytes(held), format_bytes(options_.wal_max),
      left ? "" : resnapshot("make room, then "));
}

// What lies before what we released is kept for a transaction, if it stays while we release more.
// No reason to give the slot up: no other could be made before that transaction ends.
void PostgresSource::tell_pinned(Connection& sql, const ServerState& server) {
  const SlotState& slot = *server.slot;
  const std::uint64_t pinned = retained_by(server) - held_by(server);
  if (options_.wal_max == 0 || pinned <= options_.wal_max || slot.restart != pinned_.at)
    pinned_ = {.at = slot.restart, .released = slot.confirmed, .since = world_.now()};
  if (pinned_.told || slot.confirmed == pinned_.released ||
      world_.now() - pinned_.since < options_.pinned_after)
    return;
  const std::string who = oldest_transaction(sql, 0, world_.after(kUpkeepWait));
  if (who.empty()) return;
  pinned_.told = true;
  tell(Severity::warning, "source.log_pinned",
       fmt::format("{}: {} of log that we released, more than source.wal_max ({}), are kept at {} "
                   "for as long as a transaction runs that began there; the oldest is {}",
                   sql.server(), format_bytes(pinned), format_bytes(options_.wal_max),
                   slot.restart.text(), who));
}

// Over a connection that the end of the session, which follows at once, does not interrupt.
Result<void> PostgresSource::give_up(const Uuid& stream, const Error& error) {
  SourceOptions of = options_;
  of.stream = stream;
  FARSHORE_TRY(postgres::drop_slot(world_, of));
  tell(Severity::error, "source.slot_dropped", error.what);
  return {};
}

Result<void> PostgresSource::bound_log() {
  if (options_.wal_max == 0 || session()) return {};  // a session's upkeep looks
  bound_waker_.clear();
  if (interrupted_) return {};
  const Deadline soon = world_.after(options_.connect_wait);
  FARSHORE_TRY_ASSIGN(
      auto sql, Connection::open(world_, connect_options(options_, "bound"), soon, &bound_waker_));
  if (!options_.stream.is_nil()) {
    FARSHORE_TRY(bound(*sql, options_.stream, soon));
  }
  return bound_others(*sql, soon);
}

Result<void> PostgresSource::bound(Connection& sql, const Uuid& stream, Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const ServerState server, read_server(sql, stream, deadline));
  if (!server.slot) return {};
  const auto error = beyond_wal_max(sql, stream, server);
  return error ? give_up(stream, *error) : Result<void>();
}

// Slots of our name that nobody reads: while our stream is not known its own is among them, later
// one of a stream that nobody knew any more when ours began.
Result<void> PostgresSource::bound_others(Connection& sql, Deadline deadline) {
  if (options_.wal_max == 0) return {};
  FARSHORE_TRY_ASSIGN(const std::vector<Uuid> idle, idle_streams(sql, options_.name, deadline));
  for (const Uuid& stream : idle)
    if (stream != options_.stream) FARSHORE_TRY(bound(sql, stream, deadline));
  return {};
}

void PostgresSource::tell(Severity severity, const char* name, std::string message) const {
  if (!options_.events) return;
  options_.events(
      {.severity = severity, .name = name, .stream = options_.name, .message = std::move(message)});
}

}  // namespace

std::unique_ptr<Source> make_source(os::World& world, SourceOptions options) {
  return std::make_unique<PostgresSource>(world, std::move(options));
}

Result<void> drop_slot(os::World& world, const SourceOptions& options) {
  const Deadline soon = world.after(options.connect_wait);
  FARSHORE_TRY_ASSIGN(auto sql, Connection::open(world, connect_options(options, "control"), soon));
  return drop_slot(*sql, options.stream, soon);
}

Result<void> remove_source(os::World& world, const SourceOptions& options) {
  const Deadline soon = world.after(options.connect_wait);
  FARSHORE_TRY_ASSIGN(auto sql, Connection::open(world, connect_options(options, "control"), soon));
  FARSHORE_TRY(drop_slot(*sql, options.stream, soon));
  return Publication::drop(*sql, options.stream, soon);
}

}  // namespace farshore::postgres
