// guarded: the border that a broken invariant does not cross. Whoever owns a thread runs its work
// through it; what was checked and did not hold becomes an error that stops one stream.
#pragma once

#include "base/result.h"

namespace farshore {

// `body` returns Result<void>. Its CheckFailed is answered as permanent `corrupt`.
template <class Body>
Result<void> guarded(Body&& body) {
  try {
    return body();
  } catch (const CheckFailed& broken) {
    return permanent(ErrorKind::corrupt,
                     "a fault of Farshore itself, please report it with this line: {}",
                     broken.what());
  }
}

}  // namespace farshore
