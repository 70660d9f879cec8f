// World: the one door to clock, disk, network and chance. os/real opens it to the machine, os/sim
// to a simulated one. Given by reference to all that does I/O; outlives them. All of it may be
// called from any thread.
#pragma once

#include <cstdint>

#include "base/deadline.h"
#include "base/port.h"
#include "os/file.h"
#include "os/network.h"

namespace farshore::os {

struct Clock : Port {
  virtual MonotonicTime monotonic() = 0;
  virtual WallTime wall() = 0;
};

struct Random : Port {
  virtual std::uint64_t next() = 0;
};

struct World : Port {
  virtual Clock& clock() = 0;
  virtual Random& random() = 0;
  virtual Files& files() = 0;
  virtual Network& network() = 0;

  MonotonicTime now() { return clock().monotonic(); }
  Deadline after(Duration d) { return Deadline::after(now(), d); }
};

}  // namespace farshore::os
