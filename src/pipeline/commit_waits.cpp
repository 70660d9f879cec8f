#include "pipeline/commit_waits.h"

#include <algorithm>
#include <numeric>

namespace farshore::pipeline {

std::uint64_t CommitWaits::Histogram::count() const {
  return std::accumulate(ended.begin(), ended.end(), std::uint64_t{0});
}

void CommitWaits::received(Sequence commit, MonotonicTime at) {
  os::Lock lock(mutex_);
  if (pending_.size() >= kPendingMax) merge_neighbours_locked();
  pending_.push_back({commit, at, 1});
  settle_locked();
}

void CommitWaits::acknowledged(Sequence through, MonotonicTime at) {
  os::Lock lock(mutex_);
  through_ = through;
  through_at_ = at;
  settle_locked();
}

void CommitWaits::settle_locked() {
  while (!pending_.empty() && pending_.front().last <= through_) {
    const auto [last, since, commits] = pending_.front();
    const Duration wait = std::max(through_at_ - since, Duration::zero());
    const auto bound = std::lower_bound(kBounds.begin(), kBounds.end(), wait);
    histogram_.ended[static_cast<std::size_t>(bound - kBounds.begin())] += commits;
    histogram_.sum += wait * static_cast<std::int64_t>(commits);
    pending_.pop_front();
  }
}

CommitWaits::Histogram CommitWaits::histogram() const {
  os::Lock lock(mutex_);
  return histogram_;
}

void CommitWaits::merge_neighbours_locked() {
  std::uint64_t commits = 0;
  for (const Pending& pending : pending_) commits += pending.commits;
  const std::uint64_t most = commits / (kPendingMax / 4) + 1;  // at most half is left
  std::deque<Pending> merged;
  for (const Pending& next : pending_) {
    if (merged.empty() || merged.back().commits + next.commits > most) {
      merged.push_back(next);
      continue;
    }
    merged.back().last = next.last;
    merged.back().commits += next.commits;
  }
  pending_ = std::move(merged);
}

}  // namespace farshore::pipeline
