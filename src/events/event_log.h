// EventLog: what happened, when and why, kept for `farshore events`: an append-only file of one
// JSON line each, cut into files that together stay below a bound.
//
// append() only queues: a thread of the log writes, syncs, and then shows the event to readers, so
// a reader never sees an id that a crash could give to another event. Events that find the queue
// full are counted, and the count becomes an event (events.lost) as soon as there is room.
// Recovery: a torn last line is cut off and reported as events.tail_cut; a line that cannot be read
// is passed over. While the disk refuses, the newest events are kept in memory and written again
// every few seconds.
//
// Lifetime: owns its thread; the destructor writes what is queued. Threads: every method from any
// thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "change/event.h"
#include "events/event_json.h"
#include "os/world.h"

namespace farshore::events {

struct Options {
  std::string folder;                    // made when missing; holds events-<first id>.jsonl
  std::uint64_t file_bytes_max = 8_MiB;  // then the next file begins
  std::size_t files_max = 8;             // the oldest is removed
  std::size_t recent_max = 4096;         // newest events that are read without the disk
  std::size_t queue_max = 4096;          // appended, not yet written
};

constexpr std::size_t kQueryLimitMax = 1000;

// Which events, in order of id. With neither `after` nor `since`: the newest `limit`.
struct EventQuery {
  std::optional<std::uint64_t> after;  // id > after
  std::optional<WallTime> since;       // at >= since
  std::string stream;                  // empty: of all streams and of the agent
  Severity at_least = Severity::info;
  std::size_t limit = 100;  // at most kQueryLimitMax
};

bool matches(const StoredEvent& stored, const EventQuery& query);

struct LogHealth {
  std::uint64_t lost = 0;       // never kept: the queue was full
  std::uint64_t unwritten = 0;  // in memory only: the disk refuses
  std::string error;            // why; empty when the disk takes them
};

class EventLog {
 public:
  static Result<std::unique_ptr<EventLog>> open(os::World& world, const Options& options);
  virtual ~EventLog() = default;

  virtual void append(Event event) = 0;  // sets `at`; never blocks on the disk
  // Waits until one matches or the deadline passes (then empty). io: an older file could not be
  // read.
  virtual Result<std::vector<StoredEvent>> read(const EventQuery& query, Deadline deadline) = 0;
  virtual LogHealth health() const = 0;
};

}  // namespace farshore::events
