// Log: what the parts of one journal share: its segments, its ends, what waits to be written, and
// the lock over it. Private to the module. Shared by the journal and its readers, so that a reader
// that outlives the journal is told `closed`. Locks are taken in this order: appending, admin,
// mutex; no I/O is done under `mutex`.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "journal/consumers.h"
#include "journal/epoch_history.h"
#include "journal/segment_scan.h"
#include "journal/unended.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::journal {

constexpr std::size_t kDamagesMax = 1000;
constexpr std::size_t kBatchDoors = 4;
constexpr std::uint64_t kPartBytes = 1_MiB;  // small appends gather into writes of about this size

struct Segment {
  Segment(const SegmentHeader& h, std::string p)
      : header(h),
        path(std::move(p)),
        last(h.first.previous()),
        planned_end(h.bytes()),
        durable_end(h.bytes()) {}

  const SegmentHeader header;
  const std::string path;
  // Guarded by Log::mutex.
  Sequence last;              // newest record, written or not
  std::uint64_t planned_end;  // with what is still buffered
  std::uint64_t durable_end;  // frames before it never change
  WallTime newest{};          // append time of `last`
  SegmentIndex index;
  bool indexed = false;  // `index` is whole; else it is loaded when first asked for
  // Only the thread that flushes.
  std::unique_ptr<os::File> file;
  bool created = false;  // by us: its name is durable, and it may hold records
};
using SegmentPtr = std::shared_ptr<Segment>;

struct LogEnd {
  Place place;  // newest record; the epoch is 0 before the first
  std::uint64_t hash = 0;
  Tail tail;
};

// Frames that wait to be written at `offset` of `segment`.
struct Pending {
  SegmentPtr segment;
  std::uint64_t offset = 0;
  Bytes bytes;
  LogEnd end;  // behind these frames
};

enum class Phase : std::uint8_t { open, closing, closed };

// Where the log was made to end anew.
struct Cut {
  Sequence first;  // of what went
  bool cleared;    // all went; else a tail was set aside for a newer epoch
};

struct Log {
  Log(os::World& w, std::string f, const Options& o, EventSink e)
      : world(w), folder(std::move(f)), options(o), events(std::move(e)) {}

  os::World& world;
  const std::string folder;
  const Options options;
  const EventSink events;

  os::Mutex appending;  // appends, and what changes where the log ends
  os::Mutex admin;      // what changes the set of files: trim, epochs, repair
  mutable os::Mutex mutex;

  // Those that wait for batch N wait at N % kBatchDoors: the chain that wakes one batch's waiters
  // does not meet those of the next ones.
  os::CondVar batch_done[kBatchDoors];
  os::CondVar durable_changed;  // durable moved, or a phase, failure or cut
  os::CondVar room_changed;     // append may go on
  os::CondVar syncer_wakeup;
  os::CondVar upkeep_wakeup;
  os::CondVar scrub_wakeup;

  // Guarded by mutex.
  Phase phase = Phase::open;
  std::optional<Error> failure;  // of a write or sync: final
  std::vector<Damage> damages;   // found and not yet repaired
  std::string full;              // not empty: appends wait, for this reason
  std::string full_shown;  // that reason as it is told: it is over once there was room a while
  MonotonicTime full_seen{}, full_told{};  // when it was full last; when the reason was told
  bool write_blocked = false;              // the disk was full under a write, which is tried again
  bool retry_write = false;                // space was freed since
  EpochHistory history;
  ConsumerTable consumers;
  bool consumers_changed = false;   // since they were saved
  std::deque<SegmentPtr> segments;  // oldest first
  LogEnd written, durable;
  PreambleRun preamble;   // at `written`
  Unended unended;        // at `written`
  std::vector<Cut> cuts;  // since open
  std::deque<Pending> pending;
  std::uint64_t pending_bytes = 0;
  std::uint64_t flushing_bytes = 0;
  MonotonicTime pending_since{};
  std::uint64_t batch = 0;           // that is being flushed, else the last one
  Sequence flushing_end;             // its newest record
  int waiters = 0;                   // wait for one sequence to become durable
  std::vector<Bytes> spare_buffers;  // emptied ones, kept for their memory
  std::uint64_t spare_bytes = 0;
  bool flushing = false;
  bool syncer_idle = false;        // waits without a deadline
  int followers = 0;               // wait for whatever becomes durable
  std::uint64_t wanted_bytes = 0;  // that a waiting append needs
  bool trim_wanted = false;
  bool keep_short = false;           // space, not `keep`, decides what goes
  std::uint64_t total_bytes = 0;     // planned_end of all segments
  std::uint64_t appended_bytes = 0;  // since open
  std::uint64_t free_bytes = 0;      // of the file system, when last asked
  double bytes_per_hour = 0;         // append rate of the last ten minutes; 0: none
  std::uint64_t syncs = 0;
  std::optional<Sequence> scrubbed;
  SegmentPtr flushed_segment;  // holds the newest bytes written

  // --- caller holds mutex
  Sequence first() const {
    return segments.empty() ? written.place.sequence.next() : segments.front()->header.first;
  }
  Sequence next_sequence() const { return written.place.sequence.next(); }
  // Where retention must keep from for a consumer that restarts there: the newest run of preambles
  // at or before it, as far as the loaded indexes know; never behind that. Where preambles are not
  // kept: its restart place.
  Sequence kept_for(Sequence restart) const;
  SegmentPtr segment_of(
      Sequence sequence) const;  // nullptr: before the first; behind the end: the newest
  Bytes take_buffer();           // empty, with memory of an earlier one when there is any
  void give_back(Bytes buffer);
  void wake_all();
  Error closed_error() const;
  Error overtaken_error(Sequence wanted) const;

  // --- caller does not hold mutex
  void emit(Severity severity, std::string name, std::string message) const;
  void fail(Error error);
  // Runs a thread's body: a broken invariant fails the journal, not the agent.
  void guard(const std::function<void()>& body);
  // Remembers a damage once, with its event.
  void report(const Damage& damage);
  // The error of opening a segment's file. A closed one that is missing is damage, unless a tail
  // was cut since `cuts` were counted.
  Error explain_open(const SegmentPtr& segment, std::size_t cuts_before, Error error);
  // Where the record of `sequence` may be searched from. Loads the segment's index, or makes it
  // anew.
  Result<IndexEntry> index_entry(const SegmentPtr& segment, Sequence sequence);
  // kept_for() when all of the index that it needs is loaded.
  Result<Sequence> preamble_before(Sequence restart);
  Result<void> load_index(const SegmentPtr& segment);
};
using LogPtr = std::shared_ptr<Log>;

}  // namespace farshore::journal
