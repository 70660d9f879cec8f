#include "engine/postgres/sink_pipeline.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "engine/postgres/connection.h"

namespace farshore::postgres {
namespace {

constexpr std::uint64_t kStatementBytes = 64;         // protocol overhead of one statement, about
constexpr std::uint64_t kFlushRequestBytes = 64_KiB;  // results are asked for at least so often
constexpr std::uint64_t kCopyBufferMax = 256_KiB;     // unsent bytes of COPY

std::uint64_t touched(PGresult* result) {
  return std::strtoull(PQcmdTuples(result), nullptr, 10);
}

}  // namespace

Failure failure_of(const PGresult* result) {
  Failure failure{server_error_of(result)};
  if (failure.sqlstate.empty()) failure.sqlstate = "XX000";
  if (failure.message.empty()) failure.message = PQresultErrorMessage(result);
  return failure;
}

Result<std::unique_ptr<Pipeline>> Pipeline::start(PGconn* connection, os::Waker& waker,
                                                  std::uint64_t in_flight_max) {
  std::unique_ptr<Pipeline> pipeline(new Pipeline(connection, waker, in_flight_max));
  if (PQsetnonblocking(connection, 1) != 0 || PQenterPipelineMode(connection) != 1)
    return pipeline->lost("start of the pipeline");
  return pipeline;
}

Error Pipeline::lost(const char* doing) const {
  const std::string why = on_one_line(PQerrorMessage(connection_));
  return transient(ErrorKind::unavailable, "target server, {}: {}", doing,
                   why.empty() ? "the connection was closed" : why);
}

Result<void> Pipeline::run(const std::string& sql, std::shared_ptr<const RowTrace> trace) {
  if (failed()) return {};
  if (PQsendQueryParams(connection_, sql.c_str(), 0, nullptr, nullptr, nullptr, nullptr, 0) != 1)
    return lost("sending a statement");
  return sent({.bytes = kStatementBytes + sql.size(), .trace = std::move(trace)});
}

Result<void> Pipeline::prepare(const std::string& name, const std::string& sql,
                               std::span<const std::uint32_t> types,
                               std::shared_ptr<const RowTrace> trace) {
  if (failed()) return {};
  if (PQsendPrepare(connection_, name.c_str(), sql.c_str(), static_cast<int>(types.size()),
                    types.data()) != 1)
    return lost("preparing a statement");
  return sent({.bytes = kStatementBytes + sql.size(), .trace = std::move(trace)});
}

Result<void> Pipeline::execute(const std::string& name, const ParameterList& parameters,
                               std::uint64_t rows, std::shared_ptr<const RowTrace> trace) {
  if (failed()) return {};
  if (PQsendQueryPrepared(connection_, name.c_str(), static_cast<int>(parameters.values.size()),
                          parameters.values.data(), parameters.lengths.data(),
                          parameters.formats.data(), 0) != 1)
    return lost("sending changes");
  std::uint64_t bytes = kStatementBytes;
  for (const int length : parameters.lengths) bytes += 4 + static_cast<std::uint64_t>(length);
  return sent({.bytes = bytes, .rows = rows, .trace = std::move(trace)});
}

Result<void> Pipeline::sent(Sent entry) {
  in_flight_ += entry.bytes;
  unrequested_ += entry.bytes;
  queue_.push_back(std::move(entry));
  if (unrequested_ >= kFlushRequestBytes) {
    if (PQsendFlushRequest(connection_) != 1 || PQflush(connection_) < 0)
      return lost("sending changes");
    unrequested_ = 0;
    if (PQconsumeInput(connection_) != 1) return lost("reading results");
    FARSHORE_TRY(take_results());
  }
  if (in_flight_ <= in_flight_max_) return {};
  if (unrequested_ > 0 && PQsendFlushRequest(connection_) != 1) return lost("sending changes");
  unrequested_ = 0;
  return wait_until_at_most(in_flight_max_ / 2, 0);
}

Result<void> Pipeline::wait_until_at_most(std::uint64_t in_flight, std::size_t entries) {
  for (;;) {
    FARSHORE_TRY_ASSIGN(const bool unsent, flush_some());
    FARSHORE_TRY(take_results());
    if (queue_.size() <= entries || (in_flight > 0 && in_flight_ <= in_flight)) return {};
    FARSHORE_TRY(wait_for_socket(unsent));
  }
}

Result<bool> Pipeline::flush_some() {
  const int unsent = PQflush(connection_);
  if (unsent < 0) return lost("sending changes");
  return unsent > 0;
}

Result<void> Pipeline::flush() {
  for (;;) {
    FARSHORE_TRY_ASSIGN(const bool unsent, flush_some());
    if (!unsent) return {};
    FARSHORE_TRY(wait_for_socket(true));
  }
}

Result<void> Pipeline::wait_for_socket(bool unsent) {
  // A TLS record may be half read: the socket would not tell of its rest.
  const os::Readiness ready =
      unread_tls_bytes(connection_)
          ? os::Readiness{.readable = true}
          : os::poll_fd(PQsocket(connection_), true, unsent, Deadline::never(), &waker_);
  if (ready.woken)
    return transient(ErrorKind::timeout,
                     "applying was interrupted; the open transaction rolls back");
  if (ready.readable && PQconsumeInput(connection_) != 1) return lost("reading results");
  return {};
}

Result<void> Pipeline::take_results() {
  while (!queue_.empty() && PQisBusy(connection_) == 0) {
    PGresult* result = PQgetResult(connection_);
    if (result == nullptr) {
      if (!front_answered_)
        return PQstatus(connection_) == CONNECTION_BAD ? lost("reading results") : Result<void>();
      in_flight_ -= queue_.front().bytes;
      queue_.pop_front();
      front_answered_ = false;
      continue;
    }
    const bool sync = PQresultStatus(result) == PGRES_PIPELINE_SYNC;
    if (sync)
      PQclear(result);
    else
      take(result, queue_.front());
    front_answered_ = !sync;
    if (sync) queue_.pop_front();
    if (PQstatus(connection_) == CONNECTION_BAD) return lost("reading results");
  }
  return {};
}

void Pipeline::take(PGresult* result, const Sent& entry) {
  Answer owned(result);
  const ExecStatusType status = PQresultStatus(result);
  if (status == PGRES_PIPELINE_ABORTED || failure_) return;
  if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
    failure_ = failure_of(result);
    failure_->trace = entry.trace;
    return;
  }
  if (entry.rows != kAnyRows && touched(result) != entry.rows)
    failure_ =
        Failure{.rows_expected = entry.rows, .rows_found = touched(result), .trace = entry.trace};
  if (entry.kind == Kind::query) kept_ = std::move(owned);
}

Result<void> Pipeline::sync_and_wait() {
  if (PQpipelineSync(connection_) != 1) return lost("sending changes");
  queue_.push_back({.kind = Kind::sync});
  unrequested_ = 0;
  return wait_until_at_most(0, 0);
}

Result<std::optional<Failure>> Pipeline::settle() {
  if (copying_) FARSHORE_TRY(give_up_copy());
  FARSHORE_TRY(sync_and_wait());
  return std::exchange(failure_, std::nullopt);
}

Result<bool> Pipeline::drain() {
  if (!queue_.empty()) FARSHORE_TRY(sync_and_wait());
  return !failed();
}

Result<Answer> Pipeline::query(const std::string& sql, std::span<const char* const> values) {
  FARSHORE_TRY_ASSIGN(const bool clear, drain());
  FARSHORE_CHECK(clear, "a query behind a failed statement: {}", sql);
  if (PQsendQueryParams(connection_, sql.c_str(), static_cast<int>(values.size()), nullptr,
                        values.data(), nullptr, nullptr, 0) != 1)
    return lost("sending a query");
  queue_.push_back({.kind = Kind::query});
  FARSHORE_TRY(sync_and_wait());
  if (failure_) {
    const Failure failure = *std::exchange(failure_, std::nullopt);
    const Classification is = classify(failure.sqlstate);
    return Error{
        is.kind, is.retry,
        fmt::format("{}: {} ({})", sql.substr(0, 80), failure.shown_message(), failure.sqlstate)};
  }
  return std::move(kept_);
}

Result<void> Pipeline::copy_begin(const std::string& sql, std::shared_ptr<const RowTrace> trace) {
  FARSHORE_TRY_ASSIGN(const bool clear, drain());
  if (!clear) return {};
  if (PQexitPipelineMode(connection_) != 1 || PQsendQuery(connection_, sql.c_str()) != 1)
    return lost("starting COPY");
  FARSHORE_TRY_ASSIGN(Answer answer, copy_result());
  if (answer && PQresultStatus(answer.get()) == PGRES_COPY_IN) {
    copying_ = true;
    copy_trace_ = std::move(trace);
    return {};
  }
  failure_ = failure_of(answer.get());
  failure_->trace = std::move(trace);
  while (answer) {
    FARSHORE_TRY_ASSIGN(answer, copy_result());
  }
  return PQenterPipelineMode(connection_) == 1 ? Result<void>() : lost("after COPY");
}

Result<void> Pipeline::copy_data(std::string_view bytes) {
  while (!bytes.empty()) {
    const std::string_view part = bytes.substr(0, kCopyBufferMax);
    const int taken = PQputCopyData(connection_, part.data(), static_cast<int>(part.size()));
    if (taken < 0) return lost("COPY");
    if (taken > 0) bytes.remove_prefix(part.size());
    // Not one byte stays behind: libpq's buffer would grow with the run.
    FARSHORE_TRY(flush());
  }
  return {};
}

Result<void> Pipeline::put_copy_end(const char* reason) {
  while (true) {
    const int done = PQputCopyEnd(connection_, reason);
    if (done < 0) return lost("end of COPY");
    if (done > 0) break;
    FARSHORE_TRY(flush());
  }
  copying_ = false;
  return {};
}

Result<void> Pipeline::give_up_copy() {
  FARSHORE_TRY(put_copy_end("its transaction is rolled back"));
  copy_trace_.reset();
  for (;;) {
    FARSHORE_TRY_ASSIGN(const Answer answer, copy_result());
    if (!answer) break;
  }
  return PQenterPipelineMode(connection_) == 1 ? Result<void>() : lost("after COPY");
}

Result<void> Pipeline::copy_end(std::uint64_t rows) {
  FARSHORE_TRY(put_copy_end(nullptr));
  for (;;) {
    FARSHORE_TRY_ASSIGN(Answer answer, copy_result());
    if (!answer) break;
    if (PQresultStatus(answer.get()) != PGRES_COMMAND_OK)
      failure_ = failure_of(answer.get());
    else if (touched(answer.get()) != rows)
      failure_ = Failure{.rows_expected = rows, .rows_found = touched(answer.get())};
  }
  if (failure_) failure_->trace = std::move(copy_trace_);
  copy_trace_.reset();
  return PQenterPipelineMode(connection_) == 1 ? Result<void>() : lost("after COPY");
}

Result<Answer> Pipeline::copy_result() {
  for (;;) {
    FARSHORE_TRY_ASSIGN(const bool unsent, flush_some());
    if (!unsent && PQisBusy(connection_) == 0) break;
    FARSHORE_TRY(wait_for_socket(unsent));
  }
  Answer answer(PQgetResult(connection_));
  if (PQstatus(connection_) == CONNECTION_BAD) return lost("COPY");
  return answer;
}

}  // namespace farshore::postgres
