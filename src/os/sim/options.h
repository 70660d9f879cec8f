// Options of a simulation. Chances are per operation, 0..1; 0: never.
#pragma once

#include <cstdint>
#include <string>

#include "base/bytes.h"
#include "base/units.h"

namespace farshore::os::sim {

// How the next thread is chosen: each at equal odds; mostly the one that runs; or by priorities
// that change at random points (PCT, Burckhardt et al., ASPLOS 2010: finds bugs that need few but
// rare switches).
enum class Mode : std::uint8_t { by_seed, uniform, sticky, priorities };

struct DiskOptions {
  std::uint64_t capacity_bytes = 1024_GiB;
  Duration sync_min = 200us, sync_max = 4ms;
  double write_error = 0, short_write = 0, sync_error = 0, slow = 0;
};

// One direction between two hosts.
struct WireOptions {
  Duration latency = 40ms, jitter = 2ms;
  std::uint64_t bytes_per_second = 0;    // 0: no limit
  std::uint64_t window_bytes = 256_KiB;  // written and not yet read: beyond it a writer waits
  double reset = 0, half_open = 0, swallow = 0, delay_spike = 0;  // chance per write
};

struct ClockOptions {
  Duration wall_offset_max = 500ms;
  std::int64_t drift_max_ppb = 200'000;
};

struct Options {
  std::uint64_t seed = 0;
  Mode mode = Mode::by_seed;
  std::uint64_t switch_points_max = 50'000'000;
  Duration virtual_time_max = 24h;
  DiskOptions disk;
  WireOptions wire;
  ClockOptions clock;
  std::string trace_path;  // each switch point as a line of text, for a person; empty: none
};

}  // namespace farshore::os::sim
