// Pipeline: statements on their way to the target, sent ahead of their results (libpq's pipeline
// mode), with a bound on the bytes whose results were not read. Each statement says how many rows
// it must touch; the first that fails, or touches another number, is kept as the Failure, and
// nothing is sent any more until settle() has answered it.
//
// One thread; a Waker ends a wait from outside. Errors (Result) are those of the connection: after
// one the session is over. Order: run, prepare, execute, copy_* in any order, then settle.
#pragma once

#include <libpq-fe.h>

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "engine/postgres/connection.h"
#include "os/poll.h"

namespace farshore::postgres {

struct MappedRelation;

struct ResultDeleter {
  void operator()(PGresult* result) const { PQclear(result); }
};
using Answer = std::unique_ptr<PGresult, ResultDeleter>;

enum class RowOp : std::uint8_t { none, insert, update, remove, truncate, copy };

// What a statement stands for: kept while it is in flight, for the message if it fails.
struct RowTrace {
  RowOp op = RowOp::none;
  std::shared_ptr<const MappedRelation> relation;
  // Row statements only: the source's values by target column and the key the row was looked for
  // by.
  std::vector<std::optional<std::string>> values;
  std::vector<std::optional<std::string>> key;
};

// Parameters of one execution. Text form is NUL-terminated; with `formats` 1 it is the type's
// binary form, of which text-like types need no terminator.
struct ParameterList {
  std::vector<const char*> values;  // null: NULL
  std::vector<int> lengths;         // of all
  std::vector<int> formats;

  void clear() { values.clear(), lengths.clear(), formats.clear(); }
};

constexpr std::uint64_t kAnyRows = ~std::uint64_t{0};

// Without a sqlstate the statement succeeded but touched another number of rows.
struct Failure : ServerError {
  std::uint64_t rows_expected = 0, rows_found = 0;
  std::shared_ptr<const RowTrace> trace;  // null: a statement of our own

  bool miscounted() const { return sqlstate.empty(); }
};

class Pipeline {
 public:
  // `connection` is borrowed, idle, and stays in non-blocking pipeline mode from now on.
  static Result<std::unique_ptr<Pipeline>> start(PGconn* connection, os::Waker& waker,
                                                 std::uint64_t in_flight_max);

  Result<void> run(const std::string& sql, std::shared_ptr<const RowTrace> trace = nullptr);
  Result<void> prepare(const std::string& name, const std::string& sql,
                       std::span<const std::uint32_t> types, std::shared_ptr<const RowTrace> trace);
  // rows: how many the statement must touch.
  Result<void> execute(const std::string& name, const ParameterList& parameters, std::uint64_t rows,
                       std::shared_ptr<const RowTrace> trace);
  // Waits until everything sent has answered; the first failure since the last settle. The server
  // is then ready for the next statement (ROLLBACK, if one failed within a transaction, or if a
  // COPY was not ended: it is given up).
  Result<std::optional<Failure>> settle();
  // The same without taking the failure: false if there is one.
  Result<bool> drain();
  // One statement with its rows; nothing sent before may have failed. A failure is an Error.
  Result<Answer> query(const std::string& sql, std::span<const char* const> values = {});

  // COPY FROM STDIN: waits for all that was sent before; nothing else may be sent until copy_end.
  Result<void> copy_begin(const std::string& sql, std::shared_ptr<const RowTrace> trace);
  Result<void> copy_data(std::string_view bytes);
  Result<void> copy_end(std::uint64_t rows);

  bool failed() const { return failure_.has_value(); }

 private:
  enum class Kind : std::uint8_t { statement, query, sync };
  struct Sent {
    Kind kind = Kind::statement;
    std::uint64_t bytes = 0;
    std::uint64_t rows = kAnyRows;
    std::shared_ptr<const RowTrace> trace;
  };

  Pipeline(PGconn* connection, os::Waker& waker, std::uint64_t in_flight_max)
      : connection_(connection), waker_(waker), in_flight_max_(in_flight_max) {}

  Error lost(const char* doing) const;
  Result<void> sent(Sent entry);
  Result<void> sync_and_wait();
  Result<void> wait_until_at_most(std::uint64_t in_flight, std::size_t entries);
  Result<bool> flush_some();  // true: bytes are left that the socket does not take now
  Result<void> flush();
  // Until the socket has something to read or, with `unsent`, takes more. Only what flush_some()
  // said just before may be given: who waits to send must not wait for an answer.
  Result<void> wait_for_socket(bool unsent);
  Result<void> take_results();
  void take(PGresult* result, const Sent& entry);
  Result<void> put_copy_end(const char* reason);  // null: all rows were given
  Result<void> give_up_copy();
  Result<Answer> copy_result();

  PGconn* connection_;
  os::Waker& waker_;
  const std::uint64_t in_flight_max_;
  std::deque<Sent> queue_;  // bounded by in_flight_max_
  bool front_answered_ = false;
  std::uint64_t in_flight_ = 0;
  std::uint64_t unrequested_ = 0;  // bytes since the server was last asked to send its results
  std::optional<Failure> failure_;
  Answer kept_;  // of a query
  bool copying_ = false;
  std::shared_ptr<const RowTrace> copy_trace_;
};

Failure failure_of(const PGresult* result);

}  // namespace farshore::postgres
