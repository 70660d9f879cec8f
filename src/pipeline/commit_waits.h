// CommitWaits: how long commits wait for us at one level, as a histogram: from when a commit is in
// our hands to when the source's server is told that it holds (near: synced here; far: synced in
// the required regions). Every transaction is counted, whether or not the application asked for
// that level; the server's own time before and after, and commits that hold nothing for us, are not
// seen. Any thread.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "change/place.h"
#include "os/mutex.h"

namespace farshore::pipeline {

class CommitWaits {
 public:
  static constexpr std::array<Duration, 17> kBounds{
      1ms, 2ms, 5ms, 10ms, 20ms, 50ms, 100ms, 200ms, 500ms, 1s, 2s, 5s, 10s, 30s, 60s, 300s, 3600s};
  // Waits that are remembered one by one; of more than that neighbours become one, which counts
  // from the first of them until the last has ended.
  static constexpr std::size_t kPendingMax = 8192;

  struct Histogram {
    std::array<std::uint64_t, kBounds.size() + 1> ended{};  // up to each bound, beyond the last
    Duration sum{};
    std::uint64_t count() const;
  };

  // Both ascending; an acknowledgement may overtake the note of what it covers.
  void received(Sequence commit, MonotonicTime at);
  void acknowledged(Sequence through, MonotonicTime at);
  Histogram histogram() const;

 private:
  struct Pending {
    Sequence last;
    MonotonicTime since;
    std::uint64_t commits;
  };
  void settle_locked();
  void merge_neighbours_locked();

  mutable os::Mutex mutex_;
  std::deque<Pending> pending_;
  Sequence through_;
  MonotonicTime through_at_{};
  Histogram histogram_;
};

}  // namespace farshore::pipeline
