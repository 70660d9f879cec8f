// Log counts: how many transactions, changes and bytes a journal has taken since its stream began
// (design 4.12). Kept beside the journal, so that neither a restart nor retention takes them back:
// the file says what was counted up to a place that is durable; what the journal holds after that
// place is counted when it opens. Format: docs/formats/totals.md.
//
// Lifetime: of one opening of the journal. Any thread; keep() by one. Errors: what cannot be read
// is not counted, and whole() says so.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "journal/journal.h"
#include "os/mutex.h"
#include "os/world.h"
#include "pipeline/backlog_meter.h"

namespace farshore::pipeline {

struct KeptCounts {
  Place through;
  Amount amount;
  bool whole = true;  // counts all since the stream's first record
  friend bool operator==(const KeptCounts&, const KeptCounts&) = default;
};

Bytes encode_counts(const KeptCounts& counts);
Result<KeptCounts> decode_counts(ByteView bytes);

void add(const Record& record, Amount& to);

class LogCounts {
 public:
  // Counts up to the durable end of `journal`, which nobody appends to yet.
  LogCounts(os::World& world, std::string path, journal::Journal& journal);

  Amount plus(const Amount& since) const;  // `since`: of what was appended since
  bool whole() const { return counted_.whole; }
  // Now and then: writes the file, when what it would say is durable. `gap`: of what was appended
  // since, some was not counted, or twice.
  Result<void> keep(Place written, const Amount& since, bool gap, Place durable);

 private:
  void read(journal::Journal& journal, Sequence from, Sequence through);

  os::World& world_;
  const std::string path_;
  KeptCounts counted_;  // const after the constructor
  Place kept_;
  std::optional<KeptCounts> pending_;  // becomes true with the next sync
};

}  // namespace farshore::pipeline
