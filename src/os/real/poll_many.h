// poll(2) over several descriptors with a Deadline; for os/ only, others use os/poll.h.
#pragma once

#include <poll.h>

#include <span>

#include "base/deadline.h"

namespace farshore::os {

// False when the deadline passed first. Signals do not end it.
bool poll_many(std::span<pollfd> fds, Deadline deadline);

}  // namespace farshore::os
