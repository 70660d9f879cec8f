// Backoff: how long to wait before the next try: doubles from `min` to `max`, each with a jitter of
// +-25 %, so that legs that failed together do not return together.
#pragma once

#include <algorithm>

#include "os/world.h"

namespace farshore::pipeline {

// Between tries to open a stream's journal.
constexpr Duration kReopenMin = 500ms, kReopenMax = 30s;

class Backoff {
 public:
  Backoff(os::World& world, Duration min, Duration max)
      : world_(world), min_(min), max_(max), next_(min) {}

  Duration next() {
    const Duration base = next_;
    next_ = std::min(next_ * 2, max_);
    return base * 3 / 4 +
           base / 2 * static_cast<std::int64_t>(world_.random().next() % 1000) / 1000;
  }
  void reset() { next_ = min_; }

 private:
  os::World& world_;
  const Duration min_, max_;
  Duration next_;
};

}  // namespace farshore::pipeline
