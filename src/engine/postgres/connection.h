// Connection: one libpq connection whose every call ends by a deadline. SQL, COPY in and out, and
// the replication protocol (COPY both).
//
// Lifetime: owns the PGconn; its end closes the socket without waiting. Threads: one at a time. A
// Waker given at open makes a waiting call return early (ErrorKind::closed).
// Errors: `what` begins with the server ("app on db.internal:5432") and ends with the SQLSTATE; a
// password never appears. kind and retry come from classify(). After an error other than one that
// the server reported for a statement (server_error() is set and usable() holds) the connection can
// only be dropped.
#pragma once

#include <libpq-fe.h>

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/deadline.h"
#include "base/result.h"
#include "os/poll.h"
#include "os/world.h"

namespace farshore::postgres {

// Where the password is read from at each connect. At most one is set; none: libpq's own ways.
struct PasswordSource {
  std::string file;         // first line of it
  std::string environment;  // name of a variable
};

// Name and value of a session setting; no value: as the server has it for this role.
using Setting = std::pair<std::string, std::optional<std::string>>;

struct ConnectOptions {
  std::string conninfo;  // libpq keywords or URI, without password
  PasswordSource password;
  std::string application_name;
  bool replication = false;  // replication=database
  // Every session gets, unless said here: synchronous_commit=local, datestyle=ISO,
  // intervalstyle=postgres, extra_float_digits=3, statement and idle timeouts off, UTF-8.
  std::vector<Setting> settings;
};

// libpq breaks and indents its messages, and begins a line for what it adds, without a mark before
// it.
std::string on_one_line(std::string_view text);

// What the server said of a statement that it refused.
struct ServerError {
  std::string sqlstate, message, detail, hint, schema, table, column, constraint;
  bool in_function = false;  // a trigger's or another function's words

  // For logs, events and status: without what the message quotes of a value of a row (data
  // exceptions), and without what a function of the user's says, which may be anything.
  std::string shown_message() const;
};
// All empty where the server said nothing: the connection broke.
ServerError server_error_of(const PGresult* result);

struct Classification {
  ErrorKind kind;
  Retry retry;
};
// Never io or closed: those speak of our own disk and our own stop.
Classification classify(std::string_view sqlstate);

// Rows of one answer; owns the PGresult. Values are in text form unless asked for otherwise.
class Rows {
 public:
  explicit Rows(PGresult* result = nullptr) : result_(result, &PQclear) {}

  int count() const { return PQntuples(result_.get()); }
  int columns() const { return PQnfields(result_.get()); }
  bool is_null(int row, int column) const { return PQgetisnull(result_.get(), row, column) != 0; }
  std::string_view text(int row, int column) const;  // NULL: empty; valid while this lives
  std::uint64_t affected() const;                    // of INSERT, UPDATE, DELETE, COPY
  ExecStatusType status() const { return PQresultStatus(result_.get()); }
  PGresult* raw() const { return result_.get(); }
  explicit operator bool() const { return result_ != nullptr; }

 private:
  std::unique_ptr<PGresult, void (*)(PGresult*)> result_;
};

// A message of COPY out or COPY both; owns libpq's buffer.
class CopyMessage {
 public:
  CopyMessage(char* data, std::size_t size) : data_(data, &PQfreemem), size_(size) {}
  ByteView bytes() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<char, void (*)(void*)> data_;
  std::size_t size_;
};

using Parameter = std::optional<std::string>;  // text form; nullopt: NULL

// TLS holds bytes that were read, but not given yet: the socket will not tell of them.
bool unread_tls_bytes(PGconn* connection);

class Connection {
 public:
  // denied: password, certificate, pg_hba; not_found: no such database; unavailable. Of several
  // hosts one that does not answer leaves time for the others.
  static Result<std::unique_ptr<Connection>> open(os::World& world, const ConnectOptions& options,
                                                  Deadline deadline, os::Waker* waker = nullptr);

  // One or several statements of the simple protocol; the rows of the last. An error of any is it.
  Result<Rows> query(const std::string& sql, Deadline deadline);
  // One statement with $1, $2 … in text form; types as the server infers them.
  Result<Rows> query(const std::string& sql, const std::vector<Parameter>& parameters,
                     Deadline deadline);

  // COPY … TO STDOUT. copy_next: nullopt after the last message; `timeout` leaves all as it was.
  Result<void> begin_copy_out(const std::string& sql, Deadline deadline);
  Result<std::optional<CopyMessage>> copy_next(Deadline deadline);
  std::uint64_t copied_rows() const { return copied_rows_; }  // of the COPY out that ended last

  // COPY … FROM STDIN. Dropping the connection undoes the statement.
  Result<void> begin_copy_in(const std::string& sql, Deadline deadline);
  Result<void> copy_write(ByteView bytes, Deadline deadline);  // in any pieces
  Result<Rows> copy_finish(Deadline deadline);

  // COPY both: START_REPLICATION.
  Result<void> begin_copy_both(const std::string& command, Deadline deadline);
  // What is already here, without waiting: nullopt when no whole message is. `unavailable` when the
  // server ended the copy without an error.
  Result<std::optional<CopyMessage>> copy_both_next();
  // Reads what the socket holds, without waiting.
  Result<void> consume();
  // Queues a message and writes what the socket takes; flush_pending() says whether some is left.
  Result<void> copy_both_send(ByteView message);
  // Writes what the socket takes, without waiting.
  Result<void> flush_some();
  bool flush_pending() const { return flush_pending_; }
  bool unread_tls_bytes() { return postgres::unread_tls_bytes(conn_.get()); }
  // Waits until there is something to read, to write (if flush_pending), or the waker woke.
  os::Readiness wait(Deadline deadline, os::Waker* waker);

  // For pipelines built on raw(): sends all that is queued (reading meanwhile), and the next
  // PGresult of any status (an empty Rows: nullptr, the end of a statement's results). Errors here
  // are only those of the connection; statement errors are in the result: error_of(rows).
  Result<void> flush(Deadline deadline);
  Result<Rows> next_result(Deadline deadline);
  Error error_of(const Rows& rows);  // also sets server_error()
  PGconn* raw() { return conn_.get(); }
  std::string role() const;  // that connected, quoted

  // Asks the server, on a connection of its own, to cancel what this one runs. Any thread.
  void cancel();

  bool usable() const;         // false: drop it
  int server_version() const;  // 150020, 180001
  int backend_pid() const;
  const std::string& server() const { return server_; }  // "app on db.internal:5432"
  // Of the statement that failed last; empty sqlstate: none did, or the connection broke.
  const ServerError& server_error() const { return server_error_; }

 private:
  Connection(PGconn* conn, os::Waker* waker) : conn_(conn, &PQfinish), waker_(waker) {}
  Result<bool> poll_connect(os::World& world, Deadline deadline, std::size_t hosts);
  Result<void> begin_using();
  Result<Rows> last_result(Deadline deadline);
  Result<void> expect_copy(const std::string& sql, ExecStatusType status, Deadline deadline);
  Result<void> wait_readable(Deadline deadline);
  Error broken(std::string_view doing);
  Error connect_error();

  std::unique_ptr<PGconn, void (*)(PGconn*)> conn_;
  os::Waker* waker_;
  std::string server_;
  ServerError server_error_;
  bool flush_pending_ = false;
  std::uint64_t copied_rows_ = 0;
};

}  // namespace farshore::postgres
