// Salvage: moves a tail that lost against a newer epoch out of the log, into salvage/, where
// nothing deletes it. The history says that it is under way (`cut`) before the first file changes,
// so a crash in between is finished by recovery; every step may be done twice.
#pragma once

#include <string>

#include "journal/epoch_history.h"
#include "journal/recovery.h"

namespace farshore::journal {

// The state of the log just before a sequence, and where that sequence's frame lies.
struct Edge {
  std::uint64_t offset = 0;
  std::uint64_t hash = 0;
  PreambleRun preamble;
  Tail tail;
};
// `cut` lies in the segment or just behind it. corrupt: the record before it cannot be read.
Result<Edge> find_edge(os::Files& files, const FoundSegment& segment, Sequence cut);

// Sets aside all records of older epochs from history.cut on, begins the current epoch's segment
// there, and saves the history without `cut`. corrupt: the record before the cut cannot be read.
Result<void> finish_cut(os::Files& files, const std::string& folder, EpochHistory& history);

std::string salvage_folder(const std::string& folder);

}  // namespace farshore::journal
