// CommitPositions: remembers which source position each journal sequence stands for, between being
// written (or shipped) and being acknowledged. Ascending; bounded by what may be unacknowledged at
// once.
#pragma once

#include <deque>
#include <optional>

#include "change/record.h"

namespace farshore::pipeline {

struct CommitPosition {
  Sequence sequence;
  Position position;
  WallTime commit_time{};
};

class CommitPositions {
 public:
  void add(Sequence sequence, const Record& record) {
    if (!record.position.empty())
      pending_.push_back({sequence, record.position, record.commit_time});
  }
  // The newest one at or before `durable`, which with all before it is forgotten.
  std::optional<CommitPosition> through(Sequence durable) {
    std::optional<CommitPosition> newest;
    while (!pending_.empty() && pending_.front().sequence <= durable) {
      newest = std::move(pending_.front());
      pending_.pop_front();
    }
    return newest;
  }
  void clear() { pending_.clear(); }

 private:
  std::deque<CommitPosition> pending_;
};

}  // namespace farshore::pipeline
