// Log counts: how many transactions, changes and bytes of a stream a journal has taken, or a target
// has applied of it. Kept beside the journal, so that neither a restart nor retention
// takes them back: a file says what was counted up to a place that is durable; what the journal
// holds after that place is counted when it opens. A count has no holes: where something was not
// seen it begins anew behind it, and says where. Format: docs/formats/totals.md.
#pragma once

#include <optional>
#include <string>

#include "journal/journal.h"
#include "os/mutex.h"
#include "os/world.h"
#include "pipeline/backlog_meter.h"
#include "sink/sink.h"

namespace farshore::pipeline {

struct KeptCounts {
  // The first record that is counted; sequence 1: all since the stream began. Epoch 0: not known.
  Place from;
  Place through;  // the newest one; below `from`: none yet
  Amount amount;
  friend bool operator==(const KeptCounts&, const KeptCounts&) = default;
};

Bytes encode_counts(const KeptCounts& counts);
Result<KeptCounts> decode_counts(ByteView bytes);

void add(const Record& record, Amount& to);

// The file. One thread.
class CountsFile {
 public:
  CountsFile(os::World& world, std::string path) : world_(world), path_(std::move(path)) {}

  KeptCounts load();  // nothing that can be read: none
  // Now and then: writes it, when what it would say is durable.
  Result<void> keep(const KeptCounts& now, Sequence durable);

 private:
  os::World& world_;
  const std::string path_;
  Sequence kept_;
  std::optional<KeptCounts> pending_;  // becomes true with the next sync
};

// What a journal has taken. Lifetime: of one opening of the journal. Any thread; keep() by one.
class LogCounts {
 public:
  // Counts up to the durable end of `journal`, which nobody appends to yet.
  LogCounts(os::World& world, std::string path, journal::Journal& journal);

  // `since`: of what was appended since, up to `written`.
  KeptCounts plus(Place written, const Amount& since) const;
  Result<void> keep(const KeptCounts& now, Sequence durable) { return file_.keep(now, durable); }

 private:
  CountsFile file_;
  KeptCounts counted_;  // const after the constructor
};

// What a target has applied of its journal, without bytes; what it applies again, after it went
// back, counts once. held(), applied() and skipped() by the apply loop's thread, keep() by one,
// now() by any.
class AppliedCounts {
 public:
  AppliedCounts(os::World& world, std::string path, journal::Journal& journal, Epoch epoch);

  void held(Sequence through);  // the sink holds all up to here, as it says when it opens
  void applied(const Applied& applied);
  void skipped(Sequence sequence);  // the transaction that ends there
  KeptCounts now() const;
  Result<void> keep();

 private:
  void catch_up(Sequence through);

  os::World& world_;
  journal::Journal& journal_;
  const Epoch epoch_;
  CountsFile file_;
  Sequence position_;  // the sink's; owned by the apply loop's thread
  mutable os::Mutex mutex_;
  KeptCounts counted_;
  Sequence durable_;
};

}  // namespace farshore::pipeline
