// Recovery: finds what a folder holds, checks it, cuts a torn tail, and fills the Log. Reads the
// header of every segment and all of the newest one. Also run after a tail was set aside.
#pragma once

#include "journal/log.h"

namespace farshore::journal {

struct FoundSegment {
  SegmentHeader header;
  std::string path;
  std::uint64_t size = 0;
  std::string header_damage;    // not empty: the header was made anew, for this reason
  bool header_refused = false;  // the disk refuses to read it
  bool missing = false;         // it was not there, and was made again without its records
};
// All segments of a folder, oldest first. corrupt: a header that is damaged and cannot be made
// anew, or a name that does not fit it.
Result<std::vector<FoundSegment>> find_segments(os::Files& files, const std::string& folder);

// Caller holds Log::appending and Log::admin, and nothing is pending.
Result<void> recover(Log& log);

}  // namespace farshore::journal
