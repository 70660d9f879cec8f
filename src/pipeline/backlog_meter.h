// BacklogMeter: how much lies between two sequences of a log, in transactions, changes and bytes,
// from marks that the writer leaves. Exact to one mark (a batch); unknown below the oldest mark.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>

#include "change/place.h"
#include "os/mutex.h"

namespace farshore::pipeline {

struct Amount {
  std::uint64_t transactions = 0, changes = 0, bytes = 0;
  friend bool operator==(const Amount&, const Amount&) = default;
};

class BacklogMeter {
 public:
  static constexpr std::size_t kMarksMax = 8192;

  // `through` is the newest sequence written, `total` what was written up to it since this object
  // lives.
  void note(Sequence through, const Amount& total) {
    os::Lock lock(mutex_);
    if (marks_.empty()) marks_.push_back({Sequence(through.previous()), Amount{}});
    if (marks_.size() >= kMarksMax) thin_locked();
    marks_.push_back({through, total});
  }
  // What was written after `from`.
  std::optional<Amount> after(Sequence from) const {
    os::Lock lock(mutex_);
    if (marks_.empty() || from < marks_.front().through) return std::nullopt;
    const Amount& newest = marks_.back().total;
    auto low = marks_.begin();
    for (std::size_t count = marks_.size(); count > 0;) {  // the newest mark at or before `from`
      const std::size_t half = count / 2;
      const auto middle = low + static_cast<std::ptrdiff_t>(half);
      if (middle->through <= from)
        low = middle + 1, count -= half + 1;
      else
        count = half;
    }
    const Amount& base = (low - 1)->total;
    return Amount{newest.transactions - base.transactions, newest.changes - base.changes,
                  newest.bytes - base.bytes};
  }

 private:
  struct Mark {
    Sequence through;
    Amount total;
  };
  void thin_locked() {  // every second mark: older ones become coarser
    std::deque<Mark> kept;
    for (std::size_t i = 0; i < marks_.size(); i += 2) kept.push_back(marks_[i]);
    marks_ = std::move(kept);
  }

  mutable os::Mutex mutex_;
  std::deque<Mark> marks_;
};

}  // namespace farshore::pipeline
