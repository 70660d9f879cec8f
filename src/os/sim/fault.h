// The faults that a simulation injects, and how often each fired: a fault that never fired tested
// nothing.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace farshore::os::sim {

enum class Fault : std::uint8_t {
  write_error,  // nothing was written
  short_write,  // a part was written
  sync_error,   // what was unsynced may be gone for good
  disk_full,
  slow_disk,
  bit_flip,
  lost_write,  // a crash dropped an unsynced write
  torn_write,  // a crash kept a part of an unsynced write
  lost_name,   // a crash undid an unsynced create, rename or remove
  lost_disk,
  power_cut,     // the host and its unsynced data are gone
  process_kill,  // the agent is gone, its host goes on
  wall_step,
  cut,        // both sides notice after a while; no new connections until healed
  reset,      // one connection breaks
  half_open,  // one side never hears again and gets no error
  swallow,    // from a moment on nothing arrives, and nobody is told
  delay_spike,
  refuse,  // a connection is refused
};

inline constexpr std::size_t kFaults = static_cast<std::size_t>(Fault::refuse) + 1;

const char* name_of(Fault fault);

struct FaultCounts {
  std::array<std::uint64_t, kFaults> fired{};

  void count(Fault fault) { ++fired[static_cast<std::size_t>(fault)]; }
  std::uint64_t of(Fault fault) const { return fired[static_cast<std::size_t>(fault)]; }
  void add(const FaultCounts& other);
  std::string text() const;  // "write_error 3, cut 1"; those that never fired are left out
};

}  // namespace farshore::os::sim
