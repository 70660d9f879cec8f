// CaptureLoop: source -> near journal. Two threads of the owner: run() reads the source and
// appends; run_acknowledge() tells the source what has become durable near and far. In flight: one
// batch of the source (<= 4 MiB) plus the journal's buffer. Stops within one source deadline (500
// ms) of its token.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <optional>
#include <stop_token>
#include <string>

#include "journal/journal.h"
#include "pipeline/backlog_meter.h"
#include "pipeline/backoff.h"
#include "pipeline/commit_positions.h"
#include "pipeline/commit_waits.h"
#include "pipeline/lag_gauge.h"
#include "pipeline/state.h"
#include "pipeline/stopper.h"
#include "source/source.h"

namespace farshore::pipeline {

// The amount is that since the agent's start.
struct CaptureStats : Amount {
  Place written;
  WallTime commit_time{};     // newest captured commit; zero: none yet
  WallTime heartbeat_time{};  // that of the newest heartbeat
  std::uint64_t open_transactions = 0;
  SourceProgress source;
  const Amount& amount() const { return *this; }
};

class CaptureLoop {
 public:
  struct Options {
    // Between two transactions that are written whole; one that streams may be open: a log lets go
    // of what lies before the preamble before the oldest open one, so that where such overlap
    // without a pause there are preambles, too.
    std::uint64_t preamble_every_bytes = 64_MiB;
    std::string expected_identity;  // of the session before; empty: the first ever
  };
  struct Callbacks {
    std::function<Result<void>(const std::string&)>
        identity_seen;                          // to keep it, before the first record is written
    std::function<void()> tables_joined;        // targets may lack a table
    std::function<void(Error)> journal_failed;  // the owner must open the journal anew
  };

  CaptureLoop(os::World& world, Source& source, journal::Journal& journal, StateBoard& board,
              Options options, Callbacks callbacks);

  void run(std::stop_token stop);
  void run_acknowledge(std::stop_token stop);

  // The newest commit that all required far journals hold; any thread.
  void far_durable(const CommitPosition& commit);
  void accept_identity();  // an operator's resume: the identity that was refused is the one now
  // The source no longer holds a part of the log that we have not: capture has failed.
  bool log_gone() const;
  // That part is given up, since all tables are copied anew: the journal lets go of all before it,
  // and the next session begins with what the source still holds. run() does it; this waits for it,
  // up to a minute. wait_started() then waits for that session. Only while log_gone(). An error is
  // the journal's, which the owner then opens anew, or unavailable: run() did not come to it.
  Result<void> accept_gap();
  void poke() { stopper_.poke(); }
  // One where a reader can begin that has nothing: at the next moment in which no streamed
  // transaction is open.
  void want_preamble() { preamble_wanted_ = true; }
  // A capture session has begun since this object lives: slot and publication exist, and the log is
  // the one that was captured before.
  bool wait_started(Deadline deadline);

  CaptureStats stats() const;
  bool commits_wait() const;  // for what we acknowledge
  // Captured after `from`; unknown when that was before this object lived.
  std::optional<Amount> backlog(Sequence from) const { return meter_.after(from); }
  Lag lag(WallTime now) const { return lag_.read(now); }
  CommitWaits::Histogram near_waits() const { return near_waits_.histogram(); }
  CommitWaits::Histogram far_waits() const { return far_waits_.histogram(); }

 private:
  void run_sessions(std::stop_token stop);
  Result<void> session(std::stop_token stop);
  Result<void> open_session(std::stop_token stop);
  void session_begun();
  Result<void> give_up_gap();
  Result<void> begin_journal_anew();
  void fail(const Error& error);
  Result<void> check_identity(const SourceIdentity& identity);
  Result<void> keep_identity(const SourceIdentity& identity);
  Result<void> write(std::vector<Record> records, std::stop_token stop);
  bool preamble_is_due() const;
  Result<void> write_preamble(std::stop_token stop);
  SourceProgress note_progress();
  void show_working();
  void follow_durable(std::stop_token stop);
  void note_written(std::span<const Record> records, Place last_place, MonotonicTime received);
  void acknowledge_near_locked();

  os::World& world_;
  Source& source_;
  journal::Journal& journal_;
  StateBoard& board_;
  Options options_;
  const Callbacks callbacks_;
  Stopper stopper_;
  Backoff backoff_;
  LagGauge lag_;
  BacklogMeter meter_;
  CommitWaits near_waits_, far_waits_;

  // owned by run()
  std::uint32_t session_ = 0;
  std::uint64_t bytes_since_preamble_ = 0;
  bool within_whole_ = false;  // the records of a transaction that is written whole go on
  bool begun_ = false;         // the session has, as wait_started() means it
  std::string no_tables_;      // as it is shown
  std::atomic<bool> preamble_wanted_ = false;
  std::atomic<bool> gap_accepted_ = false;

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  bool started_ = false, ended_ = false;
  std::optional<Result<void>> gap_given_up_;  // how it went
  std::string refused_identity_, accepted_identity_;
  bool log_gone_ = false;
  Sequence given_up_;  // what far journals held up to here is of before a gap
  CommitPositions unsynced_;
  Sequence durable_;                    // as run_acknowledge() last saw it
  std::map<std::uint64_t, bool> open_;  // xids of streamed transactions that have not ended
  Acknowledgement acknowledged_;
  CaptureStats stats_;
};

}  // namespace farshore::pipeline
