// Header rebuild: a segment's header that no longer fits its checksum, made anew from the segment
// before it and checked against the first frame behind it. Pure but for reading.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "journal/recovery.h"

namespace farshore::journal {

struct SegmentFile {
  std::string path;
  SegmentName name;
  bool newest = false;                   // then nothing but the first frame proves a header
  const FoundSegment* before = nullptr;  // the segment before it; nullptr: it is the first one
  std::optional<SegmentHeader> copy;     // of the first one's header, where there is one
};

// From the copy, or the end of the segment before, else by finding the one byte that changed.
// corrupt: none gives a header that the first frame continues.
Result<SegmentHeader> rebuild_header(os::Files& files, const SegmentFile& file);

}  // namespace farshore::journal
