#include "os/sim/fault.h"

#include <fmt/format.h>

namespace farshore::os::sim {

const char* name_of(Fault fault) {
  switch (fault) {
    case Fault::write_error:
      return "write_error";
    case Fault::short_write:
      return "short_write";
    case Fault::sync_error:
      return "sync_error";
    case Fault::disk_full:
      return "disk_full";
    case Fault::slow_disk:
      return "slow_disk";
    case Fault::bit_flip:
      return "bit_flip";
    case Fault::lost_write:
      return "lost_write";
    case Fault::torn_write:
      return "torn_write";
    case Fault::lost_name:
      return "lost_name";
    case Fault::lost_disk:
      return "lost_disk";
    case Fault::power_cut:
      return "power_cut";
    case Fault::process_kill:
      return "process_kill";
    case Fault::wall_step:
      return "wall_step";
    case Fault::cut:
      return "cut";
    case Fault::reset:
      return "reset";
    case Fault::half_open:
      return "half_open";
    case Fault::swallow:
      return "swallow";
    case Fault::delay_spike:
      return "delay_spike";
    case Fault::refuse:
      return "refuse";
  }
  return "unknown";
}

void FaultCounts::add(const FaultCounts& other) {
  for (std::size_t i = 0; i < kFaults; ++i) fired[i] += other.fired[i];
}

std::string FaultCounts::text() const {
  std::string text;
  for (std::size_t i = 0; i < kFaults; ++i) {
    if (fired[i] == 0) continue;
    text +=
        fmt::format("{}{} {}", text.empty() ? "" : ", ", name_of(static_cast<Fault>(i)), fired[i]);
  }
  return text;
}

}  // namespace farshore::os::sim
