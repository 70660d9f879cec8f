// Salvage: moves a tail that lost against a newer epoch out of the log, into salvage/, where
// nothing deletes it. The history says that it is under way (`cut`) before the first file changes,
// so a crash in between is finished by recovery; every step may be done twice.
#pragma once

#include <string>

#include "journal/epoch_history.h"

namespace farshore::journal {

// Sets aside all records of older epochs from history.cut on, begins the current epoch's segment
// there, and saves the history without `cut`. corrupt: the record before the cut cannot be read.
Result<void> finish_cut(os::Files& files, const std::string& folder, EpochHistory& history);

std::string salvage_folder(const std::string& folder);

}  // namespace farshore::journal
