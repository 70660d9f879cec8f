#include "pipeline/held_cursor.h"

#include <algorithm>
#include <utility>

namespace farshore::pipeline {

Result<std::optional<CursorItem>> HeldCursor::next(Deadline deadline) {
  if (!held_) {
    restart_before_ = cursor_->restart();
    FARSHORE_TRY_ASSIGN(held_, cursor_->next(deadline));
    if (!held_) return std::optional<CursorItem>();
  }
  const bool timed = held_->commit_time != WallTime{};
  reached_pause_ = timed && hold_.pause_at && held_->commit_time > *hold_.pause_at;
  const Duration wait = timed && hold_.delay != Duration::zero() ? early() : Duration::zero();
  if (!reached_pause_ && wait <= Duration::zero()) return std::exchange(held_, std::nullopt);
  const Deadline until = reached_pause_ ? deadline : earlier(deadline, world_.after(wait));
  os::Lock lock(mutex_);
  woken_.wait(lock, until, [&] { return interrupted_; });
  interrupted_ = false;  // the session may go on after it
  return std::optional<CursorItem>();
}

Duration HeldCursor::early() const {
  const std::optional<Duration> offset = clock_offset_();
  const WallTime source_now = world_.clock().wall() + offset.value_or(Duration::zero());
  const Duration by_clock = held_->commit_time + hold_.delay - source_now;
  if (offset) return by_clock;
  return std::max(by_clock, made_at_ + hold_.delay - world_.now());
}

void HeldCursor::interrupt() {
  os::Lock lock(mutex_);
  interrupted_ = true;
  woken_.notify_all();
}

}  // namespace farshore::pipeline
