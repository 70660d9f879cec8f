#include "pipeline/held_cursor.h"

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
  const Duration early =
      timed ? held_->commit_time + hold_.delay - world_.clock().wall() : Duration::zero();
  const bool due =
      !reached_pause_ && (hold_.delay == Duration::zero() || early <= Duration::zero());
  if (due) return std::exchange(held_, std::nullopt);
  const Deadline until = reached_pause_ ? deadline : earlier(deadline, world_.after(early));
  os::Lock lock(mutex_);
  woken_.wait(lock, until, [&] { return interrupted_; });
  return std::optional<CursorItem>();
}

void HeldCursor::interrupt() {
  os::Lock lock(mutex_);
  interrupted_ = true;
  woken_.notify_all();
}

}  // namespace farshore::pipeline
