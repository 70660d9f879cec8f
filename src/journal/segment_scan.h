// scan_segment: reads a whole segment, checks every frame, and says where it ends, what is damaged,
// and whether bad bytes at its end are a torn tail. Recovery, scrub, repair and inspect share it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "journal/segment_index.h"
#include "journal/segment_reader.h"

namespace farshore::journal {

// A run of bytes that cannot be read, where records `first` to `last` lie.
struct Damage {
  std::string path;
  Epoch epoch;
  std::uint64_t offset = 0;
  Sequence first, last;
  std::string why;
  bool unreadable = false;  // the disk refuses to read it, or the file is missing
  friend bool operator==(const Damage&, const Damage&) = default;
};
std::string text_of(const Damage& damage);

// Where the newest run of preamble records began, as records go by.
struct PreambleRun {
  Sequence first;        // 0: none yet
  bool running = false;  // the newest record is a preamble
  // True when this record begins a run.
  bool note(RecordKind kind, Sequence sequence) {
    const bool begins = kind == RecordKind::preamble && !running;
    running = kind == RecordKind::preamble;
    if (begins) first = sequence;
    return begins;
  }
};

struct ScanBounds {
  std::uint64_t limit = 0;  // end of the file, or of what is durable in it
  std::optional<Sequence>
      last;          // known newest record: all up to it was durable, so nothing is a torn tail
  Sequence durable;  // without `last`: a record up to here was durable
};

struct SegmentScan {
  std::uint64_t end = 0;   // behind the last good frame
  Sequence last;           // its sequence; first - 1 when there is none
  std::uint64_t hash = 0;  // running hash there
  WallTime newest{};
  PreambleRun preamble;
  Tail tail;
  SegmentIndex index;
  std::vector<Damage> damages;
  std::uint64_t torn_bytes = 0;  // bad bytes behind `end`, not proven to have been durable
  std::string torn_why;
  bool frames_follow = false;  // whole ones lie among the torn bytes
  // Where the records begin that no later frame proves to have been synced; == end: all are proven.
  std::uint64_t unproven_from = 0;
};

// `each` (may be empty) sees every good frame in order; an error of it ends the scan.
using EachFrame = std::function<Result<void>(const Frame&)>;
Result<SegmentScan> scan_segment(SegmentReader& reader, const SegmentHeader& header,
                                 const ScanBounds& bounds, const EachFrame& each = {});

// The reader's next() just answered `corrupt`: what is damaged, up to the next good frame (or
// `last` when there is none). Leaves the reader behind the damage, or at `limit`.
Result<Damage> pass_damage(SegmentReader& reader, std::uint64_t limit, Sequence last);

}  // namespace farshore::journal
