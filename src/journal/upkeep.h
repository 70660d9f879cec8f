// Upkeep: the thread that trims by retention, saves consumers once a second, watches free space and
// the append rate.
#pragma once

#include "journal/log.h"
#include "os/thread.h"

namespace farshore::journal {

// Removes what retention allows now, overtakes whom it must, and says whether the journal is full;
// with all events. Takes Log::admin.
Result<void> trim_log(Log& log);

// Saves the consumers when they changed. Takes Log::admin.
Result<void> save_changed_consumers(Log& log);

class Upkeep {
 public:
  explicit Upkeep(LogPtr log);

 private:
  os::Thread thread_;
};

constexpr Duration kUpkeepInterval = 1s;
constexpr Duration kFullSettles = 5s;  // with room: then it is not full any more, as it is told

}  // namespace farshore::journal
