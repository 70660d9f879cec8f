// BoundedQueue: hands items between threads within two named limits, a count and a number of bytes.
// A full queue makes push wait: that is the back pressure of the pipeline. An item larger than the
// byte limit passes alone.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "os/mutex.h"

namespace farshore::os {

struct QueueLimits {
  std::size_t items_max = 1024;
  std::uint64_t bytes_max = 16_MiB;
};

template <class Item>
class BoundedQueue {
 public:
  explicit BoundedQueue(QueueLimits limits) : limits_(limits) {}

  // closed, timeout; the item is then dropped.
  Result<void> push(Item item, std::uint64_t bytes, Deadline deadline) {
    Lock lock(mutex_);
    const bool fits = changed_.wait(lock, deadline, [&] { return closed_ || has_room(bytes); });
    if (closed_) return permanent(ErrorKind::closed, "the queue was closed");
    if (!fits) return transient(ErrorKind::timeout, "the queue stayed full");
    items_.emplace_back(std::move(item), bytes);
    bytes_ += bytes;
    changed_.notify_all();
    return {};
  }

  // timeout; closed once the queue was closed and is empty.
  Result<Item> pop(Deadline deadline) {
    Lock lock(mutex_);
    const bool there = changed_.wait(lock, deadline, [&] { return closed_ || !items_.empty(); });
    if (items_.empty()) {
      if (closed_) return permanent(ErrorKind::closed, "the queue was closed");
      (void)there;
      return transient(ErrorKind::timeout, "nothing came");
    }
    auto [item, bytes] = std::move(items_.front());
    items_.pop_front();
    bytes_ -= bytes;
    changed_.notify_all();
    return std::move(item);
  }

  void close() {
    Lock lock(mutex_);
    closed_ = true;
    changed_.notify_all();
  }

  std::uint64_t bytes() {
    Lock lock(mutex_);
    return bytes_;
  }

 private:
  bool has_room(std::uint64_t bytes) const {
    return items_.empty() ||
           (items_.size() < limits_.items_max && bytes_ + bytes <= limits_.bytes_max);
  }

  const QueueLimits limits_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<std::pair<Item, std::uint64_t>> items_;
  std::uint64_t bytes_ = 0;
  bool closed_ = false;
};

}  // namespace farshore::os
