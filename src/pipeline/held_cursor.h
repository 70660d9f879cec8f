// HeldCursor: a cursor that gives an item only when its time has come: `apply_delay` after its
// commit, or never after a `pause --at` moment. The far journal stays current meanwhile; only
// applying is held back.
//
// Commit times, and so both of these, are of the source's clock. How far that is from ours is asked
// each time anew. While it is not known (the link has not stood since the agent's start) nothing
// comes from the source, so what is held was committed before the cursor was made: ours is used,
// and nothing is given before the cursor is as old as the delay. That may hold longer, never less.
#pragma once

#include <functional>
#include <optional>

#include "change/transaction_cursor.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::pipeline {

struct Hold {
  Duration delay{};                  // zero: none
  std::optional<WallTime> pause_at;  // transactions committed after it are not given
};

// The source region's wall clock minus ours, as last measured; nullopt: never since our start. Any
// thread; does not wait.
using SourceClockOffset = std::function<std::optional<Duration>()>;

class HeldCursor final : public TransactionCursor {
 public:
  // `clock_offset` is called by next() only.
  HeldCursor(os::World& world, std::unique_ptr<TransactionCursor> cursor, Hold hold,
             SourceClockOffset clock_offset)
      : world_(world),
        cursor_(std::move(cursor)),
        hold_(hold),
        clock_offset_(std::move(clock_offset)),
        made_at_(world.now()) {}

  Result<std::optional<CursorItem>> next(Deadline deadline) override;
  Result<std::optional<PlacedRecord>> next_record() override { return cursor_->next_record(); }
  Result<void> rewind_item() override { return cursor_->rewind_item(); }
  Sequence restart() const override { return held_ ? restart_before_ : cursor_->restart(); }

  bool reached_pause() const { return reached_pause_; }
  void release() { hold_ = {}; }  // from now on every item is given
  // Any thread: a next() that waits because of the hold returns, or else the next one that would.
  void interrupt();

 private:
  Duration early() const;  // how long the item must wait still; not positive: no longer

  os::World& world_;
  const std::unique_ptr<TransactionCursor> cursor_;
  Hold hold_;
  const SourceClockOffset clock_offset_;
  const MonotonicTime made_at_;
  std::optional<CursorItem> held_;
  Sequence restart_before_;
  bool reached_pause_ = false;
  os::Mutex mutex_;
  os::CondVar woken_;
  bool interrupted_ = false;
};

}  // namespace farshore::pipeline
