// Options of one stream's journal in one region.
#pragma once

#include <cstdint>

#include "base/bytes.h"
#include "base/units.h"

namespace farshore::journal {

enum class WhenFull {
  hold,
  drop
};  // hold: append waits; drop: the slowest optional consumer is overtaken

struct Options {
  std::uint64_t segment_bytes = 64_MiB;  // 1 KiB .. 1 GiB; a segment is the unit of removal
  std::uint64_t bytes_max = 50_GiB;      // of all segments
  std::uint64_t free_bytes_min =
      256_MiB;          // of the file system; below it the journal counts as full
  Duration keep = 24h;  // also after all consumers have passed
  WhenFull when_full = WhenFull::hold;
  // The preamble before each consumer's restart place is kept too. Not where consumers only ship
  // records on: what reads behind them has its own.
  bool keep_preambles = true;
  Duration scrub_interval = 24h;  // every record is read and checked once in this time, paced
  std::uint64_t preamble_every_bytes =
      64_MiB;  // capture writes one at least this often (read by pipeline)
  std::uint64_t buffered_bytes_max = 8_MiB;  // appended, not yet written; append waits beyond
};

}  // namespace farshore::journal
