// Source: a change stream of one database that can be resumed. Owned by the stream's capture loop.
//
// Order of calls: start, then next and preamble by the capture loop's thread; acknowledge and
// interrupt from any thread; bound_log from any one, also before start and after an error. After
// any error other than `timeout` the source is stopped: start again, or give up if the error's
// retry is `no`.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/port.h"
#include "base/result.h"
#include "change/record.h"

namespace farshore {

// Who the source is: one line of `key=value` pairs. A session whose identity differs from the one
// before in a field that matters (system, timeline, database, slot) is refused until an operator
// says so.
struct SourceIdentity {
  std::string text;
  friend bool operator==(const SourceIdentity&, const SourceIdentity&) = default;
};

using AcceptSource = std::function<Result<void>(const SourceIdentity&)>;

// Design 3.3: what we tell the server, as positions of committed transactions (`last` records).
// Each never goes back.
struct Acknowledgement {
  Position near_durable;  // synced in the near journal (walsender: write)
  Position far_durable;   // synced in the far journals of all required targets (walsender: apply)
  Position released;      // the source may forget all up to here (walsender: flush)
};

// What the source's server says of itself now, for lag, forecasts and totals; positions are the
// engine's text form.
struct SourceProgress {
  std::string server_position;       // e.g. "0/16B3748": end of the server's log
  std::uint64_t retained_bytes = 0;  // log that the server keeps while it keeps ours
  std::uint64_t held_bytes = 0;      // of that, what is behind what we released
  std::uint64_t behind_bytes = 0;    // log written but not yet received by us
  MonotonicTime heard_at{};          // when the server was last heard
  bool commits_wait = false;         // the server makes commits wait for what we acknowledge
  std::uint64_t tables_joined = 0;   // grows when a table joins the stream: targets may lack it
  // False: the session may yet find that the log is another one than was captured (overtaken).
  bool log_is_known = true;
  std::string no_tables;  // why no table is in the stream, so that nothing comes; empty: some are
  std::optional<Error> ended;  // the session cannot go on: what next() will say
};

struct Source : Port {
  // Opens a capture session that delivers every transaction committed after `after` (empty: from
  // where the server holds it for us). `accept` is asked before anything is made at the server;
  // its error ends the start. conflict: slot in use; overtaken: the server no longer has it;
  // denied; unavailable.
  virtual Result<SourceIdentity> start(const Position& after, const AcceptSource& accept) = 0;
  // Records in order, each without place and session (capture sets them); empty when nothing came.
  // <= 4 MiB at a time. However much there is, they end between two transactions that are written
  // whole again and again: only there preambles stand, and journals keep all since the last one.
  virtual Result<std::vector<Record>> next(Deadline deadline) = 0;
  // What a reader that starts at the next record must know; an opaque payload for `preamble`
  // records. A preamble that does not fit one record is cut into several.
  virtual std::vector<Bytes> preamble() const = 0;
  virtual void acknowledge(const Acknowledgement& acknowledgement) = 0;
  virtual SourceProgress progress() = 0;
  // Gives up what the server keeps for us when that is more than the source allows,
  // as an event tells. For when no session is open that looks by itself: capture has not begun, or
  // has failed.
  virtual Result<void> bound_log() = 0;
  // Any thread: start and bound_log fail soon with `unavailable`, next returns soon with what it
  // has; until stop.
  virtual void interrupt() = 0;
  virtual void stop() = 0;  // ends the session; called by the capture loop's thread
};

// Commits a heartbeat in the source through the same pipe as its transactions; it comes back as a
// `heartbeat` record. One writer for each source database, shared by its streams.
struct HeartbeatWriter : Port {
  virtual Result<void> beat(Deadline deadline) = 0;
  virtual void interrupt() = 0;  // any thread: beat, also a later one, ends with `closed`
};

}  // namespace farshore
