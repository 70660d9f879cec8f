// First header: a copy of the oldest retained segment's header, in the journal's file `first`. It
// is durable before what lies before that segment goes, so a folder whose segments begin later
// lacks files that retention did not remove. Format: docs/formats/journal.md.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "journal/segment_format.h"
#include "os/file.h"

namespace farshore::journal {

// nullopt: there is none that can be read; then the segments speak for themselves.
std::optional<SegmentHeader> load_first_header(os::Files& files, const std::string& folder);

// Durable when it returns. On a full disk the copy is removed instead: a false one would be worse.
Result<void> save_first_header(os::Files& files, const std::string& folder,
                               const SegmentHeader& header);
Result<void> remove_first_header(os::Files& files, const std::string& folder);

}  // namespace farshore::journal
