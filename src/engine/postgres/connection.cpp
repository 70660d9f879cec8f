#include "engine/postgres/connection.h"

#include <openssl/ssl.h>

#include <algorithm>
#include <cstdlib>

#include "engine/postgres/conninfo.h"
#include "engine/postgres/quoting.h"
#include "os/secret_file.h"

namespace farshore::postgres {
namespace {

// A peer that vanished is noticed within about 10 s, unless the conninfo says otherwise.
constexpr std::pair<const char*, const char*> kTransportDefaults[] = {
    {"keepalives_idle", "5"},
    {"keepalives_interval", "2"},
    {"keepalives_count", "3"},
    {"tcp_user_timeout", "10000"},
};

constexpr std::pair<const char*, const char*> kSessionSettings[] = {
    {"synchronous_commit", "local"},  // we must never wait for a standby that is ourselves
    {"datestyle", "ISO"},
    {"intervalstyle", "postgres"},
    {"extra_float_digits", "3"},
    {"statement_timeout", "0"},
    {"idle_in_transaction_session_timeout", "0"},
};

constexpr const char* kInvalidPassword = "28P01";
constexpr const char* kNoPassword = "no password supplied";  // libpq's words

std::string option_value(std::string_view value) {  // of the `options` startup parameter
  std::string out;
  for (char c : value) {
    if (c == ' ' || c == '\\') out += '\\';
    out += c;
  }
  return out;
}

Result<std::optional<std::string>> read_password(const PasswordSource& source) {
  if (!source.file.empty()) {
    auto password = os::read_secret_line(source.file);
    if (password.ok()) return std::optional(*std::move(password));
    return permanent(ErrorKind::denied, "password_file: {}", password.error().what);
  }
  if (!source.environment.empty()) {
    const char* value = std::getenv(source.environment.c_str());  // NOLINT(concurrency-mt-unsafe)
    if (value != nullptr && *value != '\0') return std::optional<std::string>(value);
    return permanent(ErrorKind::denied, "password_env: environment variable {} is not set",
                     source.environment);
  }
  return std::optional<std::string>();
}

std::string origin_of(const PasswordSource& source) {
  if (!source.file.empty()) return fmt::format("the password is that of file '{}'", source.file);
  if (!source.environment.empty())
    return fmt::format("the password is that of environment variable {}", source.environment);
  return "the configuration names no password: libpq looked for one itself";
}

bool is_about_password(const ServerError& error) {
  return error.sqlstate == kInvalidPassword || error.message.find(kNoPassword) != std::string::npos;
}

}  // namespace

std::string on_one_line(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\n' && !out.empty() && std::isalnum(static_cast<unsigned char>(out.back())))
      out += ';';
    const bool blank = c == '\n' || c == '\t' || c == ' ';
    if (!blank)
      out += c;
    else if (!out.empty() && out.back() != ' ')
      out += ' ';
  }
  while (!out.empty() && (out.back() == ' ' || out.back() == ';')) out.pop_back();
  return out;
}

namespace {

std::string field(const PGresult* result, int code) {
  const char* value = PQresultErrorField(result, code);
  return value == nullptr ? "" : value;
}

bool raised_in_function(const PGresult* error) {
  const std::string family = field(error, PG_DIAG_SQLSTATE).substr(0, 2);
  if (family == "P0" || family == "38" || family == "39") return true;
  // RAISE with another SQLSTATE; the rest: 'SQL function "f" statement 1', in the server's
  // language.
  return field(error, PG_DIAG_SOURCE_FUNCTION) == "exec_stmt_raise" ||
         field(error, PG_DIAG_CONTEXT).find(" function ") != std::string::npos;
}

bool is_sqlstate(std::string_view text) {
  return text.size() == 5 && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z');
         });
}

// A failed connect has no PGresult. With verbose errors its text is "…FATAL:  28P01: text\n
// LOCATION: …", whatever the server's language.
std::string sqlstate_within(std::string_view text) {
  for (std::size_t at = text.find(":  "); at != std::string_view::npos;
       at = text.find(":  ", at + 1))
    if (at + 9 <= text.size() && text[at + 8] == ':' && is_sqlstate(text.substr(at + 3, 5)))
      return std::string(text.substr(at + 3, 5));
  return "";
}

std::string without_location(std::string_view text) {
  const std::size_t at = text.find("\nLOCATION:");
  if (at == std::string_view::npos) return std::string(text);
  const std::size_t end = text.find('\n', at + 1);
  return std::string(text.substr(0, at)) +
         (end == std::string_view::npos ? "" : std::string(text.substr(end)));
}

}  // namespace

Classification classify(std::string_view state) {
  using enum ErrorKind;
  const std::string_view family = state.substr(0, 2);
  if (state == "57014") return {timeout, Retry::yes};   // query_canceled
  if (state == "55P03") return {timeout, Retry::yes};   // lock_not_available
  if (state == "55006") return {conflict, Retry::yes};  // object_in_use
  if (state == "25006") return {conflict, Retry::yes};  // read only: a standby, maybe for a moment
  if (state == "42501") return {denied, Retry::no};
  if (state == "53100") return {disk_full, Retry::yes};
  if (state == "3D000" || state == "3F000" || state == "42P01" || state == "42704")
    return {not_found, Retry::no};
  if (state == "XX001" || state == "XX002") return {corrupt, Retry::no};
  if (family == "28") return {denied, Retry::no};
  if (family == "40") return {conflict, Retry::yes};  // deadlock, serialization
  if (family == "08" || family == "53" || family == "57" || family == "58")
    return {unavailable, Retry::yes};
  if (family == "22" || family == "23" || family == "42" || family == "44" || family == "54" ||
      family == "0A" || family == "P0")
    return {rejected, Retry::no};
  if (family == "XX") return {rejected, Retry::no};
  return {invalid, Retry::no};
}

std::string_view Rows::text(int row, int column) const {
  return {PQgetvalue(result_.get(), row, column),
          static_cast<std::size_t>(PQgetlength(result_.get(), row, column))};
}

std::uint64_t Rows::affected() const {
  return std::strtoull(PQcmdTuples(result_.get()), nullptr, 10);
}

namespace {

std::string session_options(std::string given, const std::vector<Setting>& settings) {
  auto set = [&](std::string_view name, std::string_view value) {
    given += fmt::format("{}-c {}={}", given.empty() ? "" : " ", name, option_value(value));
  };
  for (auto [name, value] : kSessionSettings)
    if (std::ranges::find(settings, name, &Setting::first) == settings.end()) set(name, value);
  for (const auto& [name, value] : settings)
    if (value) set(name, *value);
  return given;
}

PGconn* start_connecting(const Conninfo& info, const std::vector<Host>& hosts,
                         const ConnectOptions& options, const std::string& session,
                         const std::optional<std::string>& password) {
  const std::string names = list_of(hosts, &Host::name), addresses = list_of(hosts, &Host::address),
                    ports = list_of(hosts, &Host::port);
  std::vector<const char*> keywords, values;
  auto add = [&](const char* keyword, const char* value) {
    keywords.push_back(keyword);
    values.push_back(value);
  };
  // The last of a keyword counts; libpq passes over what is empty.
  for (auto [keyword, value] : kTransportDefaults) add(keyword, value);
  for (const auto& [keyword, value] : info.further) add(keyword.c_str(), value.c_str());
  add("host", names.c_str());
  add("hostaddr", addresses.c_str());
  add("port", ports.c_str());
  add("application_name", options.application_name.c_str());
  add("client_encoding", "UTF8");
  add("options", session.c_str());
  if (options.replication) add("replication", "database");
  if (password) add("password", password->c_str());
  add(nullptr, nullptr);
  PGconn* connection = PQconnectStartParams(keywords.data(), values.data(), 0);
  FARSHORE_CHECK(connection != nullptr, "libpq has no memory for a connection");
  PQsetErrorVerbosity(connection, PQERRORS_VERBOSE);
  return connection;
}

std::pair<std::string, std::string> host_of(const PGconn* connection) {
  const char *name = PQhost(connection), *port = PQport(connection);
  return {name == nullptr ? "" : name, port == nullptr ? "" : port};
}

}  // namespace

// Only where libpq may block does it leave a host that does not answer for the next one. So such a
// host is taken out here, and connecting begins anew with the others.
Result<std::unique_ptr<Connection>> Connection::open(os::World& world,
                                                     const ConnectOptions& options,
                                                     Deadline deadline, os::Waker* waker) {
  FARSHORE_TRY_ASSIGN(const Conninfo info, read_conninfo(options.conninfo));
  FARSHORE_TRY_ASSIGN(const std::optional<std::string> password, read_password(options.password));
  const std::string session = session_options(info.options, options.settings);
  std::vector<Host> left = info.hosts;
  std::string silent;
  for (;;) {
    std::unique_ptr<Connection> connection(
        new Connection(start_connecting(info, left, options, session, password), waker));
    connection->server_ = info.server;
    const auto answered = connection->poll_connect(world, deadline, left.size());
    if (answered.ok() && *answered) {
      FARSHORE_TRY(connection->begin_using());
      return connection;
    }
    const auto host = host_of(connection->raw());
    if (answered.ok() && take_out(left, host)) {
      silent += fmt::format("; {}:{}: no answer in time", host.first, host.second);
      continue;
    }
    Error error = answered.ok() ? transient(ErrorKind::unavailable,
                                            "{}: no answer in time while connecting", info.server)
                                : answered.error();
    if (is_about_password(connection->server_error_))
      error.what += "; " + origin_of(options.password);
    error.what += silent;
    return error;
  }
}

// False: the host that is tried just now does not answer, though it had its share of the time.
Result<bool> Connection::poll_connect(os::World& world, Deadline deadline, std::size_t hosts) {
  if (PQstatus(conn_.get()) == CONNECTION_BAD) return connect_error();
  PostgresPollingStatusType want = PGRES_POLLING_WRITING;
  std::optional<std::pair<std::string, std::string>> tried;
  Deadline share = deadline;
  while (want != PGRES_POLLING_OK) {
    if (want == PGRES_POLLING_FAILED) return connect_error();
    if (auto host = host_of(conn_.get()); host != tried) {
      tried = std::move(host);
      const MonotonicTime now = world.now();
      share = hosts > 1 ? Deadline::after(now, deadline.left(now) / hosts) : deadline;
      hosts -= hosts > 1 ? 1 : 0;
    }
    const os::Readiness ready = os::poll_fd(PQsocket(conn_.get()), want == PGRES_POLLING_READING,
                                            want == PGRES_POLLING_WRITING, share, waker_);
    if (ready.woken) return permanent(ErrorKind::closed, "{}: connecting was stopped", server_);
    if (!ready.readable && !ready.writable) return false;
    want = PQconnectPoll(conn_.get());
  }
  return true;
}

Result<void> Connection::begin_using() {
  PQsetErrorVerbosity(conn_.get(), PQERRORS_DEFAULT);
  PQsetNoticeProcessor(conn_.get(), [](void*, const char*) {}, nullptr);
  if (PQsetnonblocking(conn_.get(), 1) != 0) return broken("set non-blocking");
  return {};
}

Error Connection::connect_error() {
  const std::string text = without_location(PQerrorMessage(conn_.get()));
  const std::string state = sqlstate_within(text);
  Classification is{ErrorKind::unavailable, Retry::yes};
  if (!state.empty()) is = classify(state);
  // Told by libpq itself, in words only.
  const bool refused = text.find(kNoPassword) != std::string::npos ||
                       text.find("certificate verify failed") != std::string::npos ||
                       text.find("does not match host name") != std::string::npos;
  if (state.empty() && refused) is = {ErrorKind::denied, Retry::no};
  server_error_ = {.sqlstate = state, .message = on_one_line(text)};
  return {is.kind, is.retry, fmt::format("{}: {}", server_, on_one_line(text))};
}

Error Connection::broken(std::string_view doing) {
  server_error_ = {};
  return transient(ErrorKind::unavailable, "{}: {}: {}", server_, doing,
                   on_one_line(PQerrorMessage(conn_.get())));
}

std::string ServerError::shown_message() const {
  if (in_function)
    return "a trigger or function of the database raised an error; the server's log has its words";
  if (sqlstate == "22021" || sqlstate == "22P05")
    return "a text has a character that the encoding of the database lacks";
  // 22023 quotes what a setting was given.
  if (!sqlstate.starts_with("22") || sqlstate == "22023") return message;
  std::string text = message;
  const std::size_t from = text.find('"'), to = text.rfind('"');
  if (from != to) text.replace(from, to - from + 1, "\"...\"");
  return text;
}

ServerError server_error_of(const PGresult* result) {
  return {.sqlstate = field(result, PG_DIAG_SQLSTATE),
          .message = field(result, PG_DIAG_MESSAGE_PRIMARY),
          .detail = field(result, PG_DIAG_MESSAGE_DETAIL),
          .hint = field(result, PG_DIAG_MESSAGE_HINT),
          .schema = field(result, PG_DIAG_SCHEMA_NAME),
          .table = field(result, PG_DIAG_TABLE_NAME),
          .column = field(result, PG_DIAG_COLUMN_NAME),
          .constraint = field(result, PG_DIAG_CONSTRAINT_NAME),
          .in_function = raised_in_function(result)};
}

Error Connection::error_of(const Rows& rows) {
  const PGresult* result = rows.raw();
  server_error_ = server_error_of(result);
  if (server_error_.sqlstate.empty()) {
    if (!usable()) return broken("the connection broke");
    return permanent(ErrorKind::invalid, "{}: {}", server_,
                     on_one_line(PQresultErrorMessage(result)));
  }
  const Classification is = classify(server_error_.sqlstate);
  return {is.kind, is.retry,
          fmt::format("{}: {} (SQLSTATE {})", server_, server_error_.shown_message(),
                      server_error_.sqlstate)};
}

bool unread_tls_bytes(PGconn* connection) {
  auto* ssl = static_cast<SSL*>(PQsslStruct(connection, "OpenSSL"));
  return ssl != nullptr && SSL_pending(ssl) > 0;
}

os::Readiness Connection::wait(Deadline deadline, os::Waker* waker) {
  // A TLS record may be half read: the socket would not tell of its rest.
  if (unread_tls_bytes()) return {.readable = true};
  return os::poll_fd(PQsocket(conn_.get()), true, flush_pending_, deadline, waker);
}

Result<void> Connection::consume() {
  if (PQconsumeInput(conn_.get()) == 0) return broken("reading");
  return {};
}

Result<void> Connection::flush_some() {
  const int left = PQflush(conn_.get());
  if (left < 0) return broken("sending");
  flush_pending_ = left > 0;
  return {};
}

Result<void> Connection::flush(Deadline deadline) {
  FARSHORE_TRY(flush_some());
  while (flush_pending_) {
    const os::Readiness ready = wait(deadline, waker_);
    if (ready.woken) return permanent(ErrorKind::closed, "{}: stopped while sending", server_);
    if (!ready.readable && !ready.writable)
      return transient(ErrorKind::timeout, "{}: the server does not take what we send", server_);
    if (ready.readable) FARSHORE_TRY(consume());  // else both sides may wait for the other to read
    FARSHORE_TRY(flush_some());
  }
  return {};
}

Result<void> Connection::wait_readable(Deadline deadline) {
  const os::Readiness ready = wait(deadline, waker_);
  if (ready.woken) return permanent(ErrorKind::closed, "{}: stopped while waiting", server_);
  if (!ready.readable && !ready.writable)
    return transient(ErrorKind::timeout, "{}: no answer in time", server_);
  if (ready.writable) FARSHORE_TRY(flush_some());
  if (ready.readable) FARSHORE_TRY(consume());
  return {};
}

Result<Rows> Connection::next_result(Deadline deadline) {
  FARSHORE_TRY(flush_some());
  while (PQisBusy(conn_.get()) != 0) FARSHORE_TRY(wait_readable(deadline));
  return Rows(PQgetResult(conn_.get()));
}

Result<Rows> Connection::last_result(Deadline deadline) {
  Rows last;
  std::optional<Error> error;
  for (;;) {
    FARSHORE_TRY_ASSIGN(Rows rows, next_result(deadline));
    if (!rows) break;
    const ExecStatusType status = rows.status();
    if (status == PGRES_FATAL_ERROR || status == PGRES_BAD_RESPONSE) {
      if (!error) error = error_of(rows);
      if (!usable()) break;
      continue;
    }
    if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH)
      return rows;  // the caller goes on with COPY
    last = std::move(rows);
  }
  if (error) return *std::move(error);
  return last;
}

Result<Rows> Connection::query(const std::string& sql, Deadline deadline) {
  server_error_ = {};
  if (PQsendQuery(conn_.get(), sql.c_str()) == 0) return broken("sending a query");
  return last_result(deadline);
}

Result<Rows> Connection::query(const std::string& sql, const std::vector<Parameter>& parameters,
                               Deadline deadline) {
  server_error_ = {};
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const Parameter& parameter : parameters)
    values.push_back(parameter ? parameter->c_str() : nullptr);
  if (PQsendQueryParams(conn_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) == 0)
    return broken("sending a query");
  return last_result(deadline);
}

Result<void> Connection::expect_copy(const std::string& sql, ExecStatusType status,
                                     Deadline deadline) {
  FARSHORE_TRY_ASSIGN(const Rows rows, query(sql, deadline));
  if (!rows || rows.status() != status)
    return permanent(ErrorKind::invalid, "{}: the server answered a COPY with something else",
                     server_);
  return {};
}

Result<void> Connection::begin_copy_out(const std::string& sql, Deadline deadline) {
  return expect_copy(sql, PGRES_COPY_OUT, deadline);
}

Result<std::optional<CopyMessage>> Connection::copy_next(Deadline deadline) {
  for (;;) {
    char* data = nullptr;
    const int size = PQgetCopyData(conn_.get(), &data, 1);
    if (size > 0)
      return std::optional<CopyMessage>(std::in_place, data, static_cast<std::size_t>(size));
    if (size == -2) return broken("COPY");
    if (size == -1) {
      FARSHORE_TRY_ASSIGN(const Rows rows, last_result(deadline));
      copied_rows_ = rows ? rows.affected() : 0;
      return std::optional<CopyMessage>();
    }
    FARSHORE_TRY(wait_readable(deadline));
  }
}

Result<void> Connection::begin_copy_in(const std::string& sql, Deadline deadline) {
  return expect_copy(sql, PGRES_COPY_IN, deadline);
}

Result<void> Connection::copy_write(ByteView bytes, Deadline deadline) {
  constexpr std::size_t kPiece = 64_KiB;  // libpq's buffer stays small
  while (!bytes.empty()) {
    const ByteView piece = bytes.substr(0, kPiece);
    const int put = PQputCopyData(conn_.get(), piece.data(), static_cast<int>(piece.size()));
    if (put < 0) {
      // The server may have ended the COPY with an error: that is the cause to report.
      auto result = last_result(deadline);
      if (!result.ok()) return std::move(result).error();
      return broken("COPY");
    }
    if (put > 0) bytes.remove_prefix(piece.size());
    FARSHORE_TRY(flush(deadline));
  }
  return {};
}

Result<Rows> Connection::copy_finish(Deadline deadline) {
  while (true) {
    const int put = PQputCopyEnd(conn_.get(), nullptr);
    if (put < 0) return broken("COPY");
    if (put > 0) break;
    FARSHORE_TRY(flush(deadline));
  }
  FARSHORE_TRY(flush(deadline));
  return last_result(deadline);
}

Result<void> Connection::begin_copy_both(const std::string& command, Deadline deadline) {
  return expect_copy(command, PGRES_COPY_BOTH, deadline);
}

Result<std::optional<CopyMessage>> Connection::copy_both_next() {
  char* data = nullptr;
  const int size = PQgetCopyData(conn_.get(), &data, 1);
  if (size > 0)
    return std::optional<CopyMessage>(std::in_place, data, static_cast<std::size_t>(size));
  if (size == 0) return std::optional<CopyMessage>();
  if (size == -2) return broken("replication");
  Rows rows(PQgetResult(conn_.get()));  // -1: the answer that ends the COPY is here, no wait
  if (rows && rows.status() == PGRES_FATAL_ERROR) return error_of(rows);
  return transient(ErrorKind::unavailable, "{}: the server ended the replication", server_);
}

Result<void> Connection::copy_both_send(ByteView message) {
  const int put = PQputCopyData(conn_.get(), message.data(), static_cast<int>(message.size()));
  if (put < 0) return broken("replication");
  FARSHORE_CHECK(put > 0, "libpq took no message of {} bytes", message.size());
  return flush_some();
}

std::string Connection::role() const {
  return quote_identifier(PQuser(conn_.get()));
}

void Connection::cancel() {
  if (PGcancel* request = PQgetCancel(conn_.get()); request != nullptr) {
    char reason[256];
    (void)PQcancel(request, reason, sizeof reason);
    PQfreeCancel(request);
  }
}

bool Connection::usable() const {
  return PQstatus(conn_.get()) == CONNECTION_OK;
}
int Connection::server_version() const {
  return PQserverVersion(conn_.get());
}
int Connection::backend_pid() const {
  return PQbackendPID(conn_.get());
}

}  // namespace farshore::postgres
