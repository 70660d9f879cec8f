// Retention: which segments go, who is overtaken, and when the journal is full. Pure: facts in,
// decision out.
//
// A segment goes when no consumer needs it and `keep` has passed. Under pressure (bytes_max,
// free_bytes_min) first what only `keep` holds goes; then, under `drop`, the slowest consumers that
// are not required are overtaken one by one; then the journal is full. The newest segment never
// goes.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/units.h"
#include "change/place.h"
#include "journal/options.h"

namespace farshore::journal {

struct SegmentFacts {
  Sequence first, last;
  std::uint64_t bytes = 0;
  WallTime newest{};    // when its last record was appended, or later
  bool settled = true;  // closed and durable: only such a one may go
};

struct ConsumerFacts {
  std::string name;
  Sequence keep_from;  // its restart place, or the preamble before that
  bool required = false;
  std::string since{};  // not empty: what began at keep_from, for the message
};

struct RetentionFacts {
  std::span<const SegmentFacts> segments;    // oldest first; the last is the newest
  std::span<const ConsumerFacts> consumers;  // not those that were overtaken before
  WallTime now{};
  Sequence newest_preamble;        // kept unless space is short: a newcomer begins at one; 0: none
  std::uint64_t wanted_bytes = 0;  // that an append waits for
  std::uint64_t free_bytes = 0;    // of the file system
  bool disk_is_full = false;       // a write said so, whatever free_bytes says
};

struct RetentionDecision {
  std::size_t remove = 0;              // oldest segments
  bool keep_shortened = false;         // something went that only `keep` held
  std::vector<std::string> overtaken;  // slowest first
  std::string full;                    // not empty: the limit that is hit and who holds it
  friend bool operator==(const RetentionDecision&, const RetentionDecision&) = default;
};

// Behind what `full` says. By the keys of farshore.yaml that set these limits.
inline constexpr const char* kMakeRoom =
    "raise journal.max, free space (below journal.free_min the disk counts as full), or let the "
    "consumer go on";

RetentionDecision decide_retention(const RetentionFacts& facts, const Options& options);

}  // namespace farshore::journal
