// Recovery: finds what a folder holds, checks it, cuts a torn tail, and fills the Log. Reads the
// header of every segment and all of the newest one. Also run after a tail was set aside.
#pragma once

#include "journal/log.h"

namespace farshore::journal {

struct FoundSegment {
  SegmentHeader header;
  std::string path;
  std::uint64_t size = 0;
};
// All segments of a folder, oldest first. corrupt: a header that cannot be read, or names that do
// not fit it.
Result<std::vector<FoundSegment>> find_segments(os::Files& files, const std::string& folder);

// Caller holds Log::appending and Log::admin, and nothing is pending.
Result<void> recover(Log& log);

}  // namespace farshore::journal
