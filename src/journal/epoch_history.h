// EpochHistory: the generations of a journal, what it promised, and which tails were set aside. A
// file of its own, edited as a copy and replaced whole. Pure but for load and save. Format:
// docs/formats/journal.md.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "os/file.h"

namespace farshore::journal {

// The epoch that a record of this sequence bears; 0: before all entries.
Epoch epoch_at(const std::vector<EpochEntry>& entries, Sequence sequence);

// A tail that lost against a newer epoch; its segments lie in salvage/.
struct SetAside {
  Epoch epoch;     // of its newest record
  Sequence first;  // from here on
  Sequence last;
  Epoch by;  // the epoch that replaced it
  friend bool operator==(const SetAside&, const SetAside&) = default;
};

struct EpochHistory {
  Epoch promised;
  std::vector<EpochEntry> entries;  // rising epoch and first
  std::vector<SetAside> set_aside;
  std::optional<Sequence>
      cut;  // a tail from here on is being set aside: not finished until this is gone
  friend bool operator==(const EpochHistory&, const EpochHistory&) = default;

  Epoch current() const { return entries.empty() ? Epoch{} : entries.back().epoch; }
  Epoch epoch_at(Sequence sequence) const { return journal::epoch_at(entries, sequence); }
  // Adds the entry; older entries that begin at or behind it hold nothing any more and go.
  // conflict: an epoch that is not newer than ours, or below the promised one. An entry that we
  // have is taken without a change.
  Result<void> begin(const EpochEntry& entry);
};

constexpr std::size_t kEpochEntriesMax = 10'000;

Bytes encode_history(const EpochHistory& history);
Result<EpochHistory> decode_history(ByteView bytes);

Result<EpochHistory> load_history(os::Files& files,
                                  const std::string& folder);  // empty when there is none
Result<void> save_history(os::Files& files, const std::string& folder, const EpochHistory& history);

}  // namespace farshore::journal
