// Journal: one stream's durable append-only log in one region. Segments of records; a running hash;
// one fsync for all that wait; retention by consumers, age and size. Format:
// docs/formats/journal.md.
//
// Lifetime: open() recovers (a torn tail is cut and reported as event journal.tail_cut); close() or
// the destructor ends its threads. Threads: every method from any thread; append* from one thread
// at a time. Errors: a failed write or sync is final for this object (io; a full disk is waited out
// instead): status() says so, nothing that was not synced was ever reported durable, and open()
// anew recovers. Never retries a failed fsync.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/deadline.h"
#include "base/result.h"
#include "change/event.h"
#include "change/record.h"
#include "change/transaction_cursor.h"
#include "journal/options.h"
#include "os/world.h"

namespace farshore::journal {

// One generation of the log. A tail that another generation replaced stays on disk under its epoch,
// for salvage.
struct EpochEntry {
  Epoch epoch;
  Sequence first;        // first sequence of this epoch
  std::string identity;  // the source's identity when it began
  friend bool operator==(const EpochEntry&, const EpochEntry&) = default;
};

struct ConsumerPlaces {
  Sequence applied;       // everything up to here is done, as the consumer itself would say
  Sequence restart;       // where it would start reading again; retention keeps from it
  bool required = false;  // may not be overtaken
  friend bool operator==(const ConsumerPlaces&, const ConsumerPlaces&) = default;
};

enum class Health : std::uint8_t { good, full, failed, damaged };

// What an operator sees, and forecasts in hours (negative: no forecast) at the append rate of the
// last 10 minutes.
struct Status {
  Health health = Health::good;
  std::string reason;             // when not good: file, offset, place, remedy
  Place first, written, durable;  // first retained; newest appended; newest synced
  std::uint64_t hash = 0;         // running hash at `durable`
  std::uint64_t bytes = 0;
  std::uint64_t segments = 0;
  std::uint64_t syncs = 0;  // fdatasync calls since open
  double hours_to_bytes_max = -1, hours_to_disk_full = -1;
  // The oldest known run of damaged records: what repair needs.
  std::optional<Sequence> damaged_first, damaged_last;
  std::optional<Sequence> scrubbed;  // newest that the scrub has checked in its current round
};

// Records `first` to `last` are damaged: what repair needs.
struct DamagedRun {
  Sequence first, last;
  friend bool operator==(const DamagedRun&, const DamagedRun&) = default;
};

// What the newest durable records say of the source. Found at open without reading more than the
// last segment: each segment's header carries the tail of all before it.
struct Tail {
  Position position;          // newest non-empty position; empty: none yet
  WallTime commit_time{};     // of that record
  std::uint32_t session = 0;  // newest capture session; 0: none yet
};

// Reads records in order and follows the tail. One thread. Sees only durable records.
struct Reader : Port {
  // Up to `bytes_max` of payload, at least one record; empty when the deadline passed with nothing
  // new. overtaken: trimmed past us, or cleared; corrupt: file, offset, place; closed.
  virtual Result<std::vector<PlacedRecord>> next(std::uint64_t bytes_max, Deadline deadline) = 0;
  virtual Result<void> seek(Sequence next_sequence) = 0;
  virtual Sequence position() const = 0;  // sequence of the record that next() gives first
};

class Journal {
 public:
  // `folder` is made when missing. corrupt: damage that is not a torn tail, when it lies in what
  // recovery must read.
  static Result<std::unique_ptr<Journal>> open(os::World& world, std::string folder,
                                               const Options& options, EventSink events);
  virtual ~Journal() = default;

  // --- writing, near side: all of `records` or none. Assigns the next sequences in the current
  // epoch. Buffered: durable only after wait_durable. Waits while full under `hold` (disk_full at
  // the deadline). Returns the place of the last record. conflict: our epoch is below the promised
  // one.
  virtual Result<Place> append(std::span<const Record> records, Deadline deadline) = 0;
  // --- writing, far side: records as shipped. conflict: epoch below the promised one, a gap, or a
  // hash that does not continue ours (nothing is written). Records that we already have (same place
  // and hash) are passed over.
  virtual Result<Place> append_shipped(std::span<const PlacedRecord> records,
                                       Deadline deadline) = 0;
  // Asks for a sync and waits until everything up to `sequence` is durable; the newest durable
  // place, never below it. timeout: it is not durable at the deadline.
  virtual Result<Place> wait_durable(Sequence sequence, Deadline deadline) = 0;
  // Waits until something beyond `after` is durable; the newest durable place (unchanged when the
  // deadline passed).
  virtual Result<Place> wait_durable_beyond(Sequence after, Deadline deadline) = 0;

  virtual Tail tail() const = 0;  // as of the durable place

  // --- reading
  virtual Result<std::unique_ptr<Reader>> reader(Sequence from) = 0;
  // Items whose last record is <= `skip_through` are not given, except preambles and schemas: a
  // sink needs them again. `from` is a restart place; 0: the first retained record, and in a log
  // that was trimmed transactions that began before the first retained preamble are passed over;
  // give `whole_after` then, for that preamble may stand among open ones. overtaken: `from`, or
  // with 0 what follows `skip_through`, is no longer retained. When skip_through is given, a
  // transaction that ends beyond it and began before `from` is an error of next(): overtaken. So it
  // is beyond `whole_after`, when that is given: of items that are given again to who holds them.
  virtual Result<std::unique_ptr<TransactionCursor>> cursor(Sequence from, Sequence skip_through,
                                                            Sequence whole_after = {}) = 0;
  // Where a reader can begin that knows nothing and has nothing: the first retained run of
  // preambles that was written while no transaction was open.
  virtual Result<std::optional<Sequence>> first_preamble() = 0;
  // Running hash at `sequence` (0 at sequence 0). overtaken: no longer retained.
  virtual Result<std::uint64_t> hash_at(Sequence sequence) = 0;

  // --- epochs
  virtual std::vector<EpochEntry> history() const = 0;
  virtual Epoch promised() const = 0;
  // Durable before it returns, as is all that was taken until then; nothing is taken after it until
  // an epoch at least as new has begun. conflict when below what was promised; disk_full: ask
  // again.
  virtual Result<void> promise(Epoch epoch) = 0;
  // From the next append on records bear `epoch`. `first` is where it begins: our durable end + 1,
  // or below it, when our tail lost against another region's: then that tail is closed and set
  // aside for salvage. Or beyond it, on a far side that has to catch up: until then shipped records
  // must bear the epoch that the history says. An entry that is already in the history is taken
  // without a change.
  virtual Result<void> begin_epoch(const EpochEntry& entry) = 0;
  // Starts an empty journal at `next` with the running hash of the record before (a region that
  // joins a trimmed stream, or a near journal lost and continued from the far one). tail() answers
  // `tail_before` until a newer record says more. conflict when this journal is not empty.
  virtual Result<void> start_at(Place next, std::uint64_t hash_before,
                                const std::vector<EpochEntry>& history,
                                const Tail& tail_before) = 0;

  // Removes all records, for a region whose tables are copied anew. The promised epoch stays, and
  // the consumers' names, who then have nothing; start_at() may follow.
  virtual Result<void> clear() = 0;

  // --- consumers and retention
  // Durable within 1 s. A restart of 0 stands for the first retained record. overtaken: restart is
  // no longer retained, or is 0 and the consumer was overtaken.
  virtual Result<void> set_consumer(const std::string& name, const ConsumerPlaces& places) = 0;
  virtual Result<void> remove_consumer(const std::string& name) = 0;
  virtual std::optional<ConsumerPlaces> consumer(const std::string& name) const = 0;
  virtual std::vector<std::pair<std::string, ConsumerPlaces>> consumers() const = 0;
  // What it needed next was removed; until it sets a restart that is retained, or clear().
  virtual bool overtaken(const std::string& name) const = 0;
  virtual Result<void> trim() = 0;  // removes what retention allows; also done in the background

  // --- repair: replaces damaged records by the same records from the other region, in rising
  // order. What is not damaged or lies behind our end is passed over. conflict: place or hash does
  // not fit.
  virtual Result<void> repair(std::span<const PlacedRecord> records) = 0;
  // The oldest run that is known, as Status has it; cheap.
  virtual std::optional<DamagedRun> damaged() const = 0;

  virtual Status status() const = 0;
  // Wakes all waiters with `closed`; the folder may then be opened anew.
  virtual void close() = 0;
};

}  // namespace farshore::journal
