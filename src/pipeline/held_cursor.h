// HeldCursor: a cursor that gives an item only when its time has come: `apply_delay` after its
// commit, or never after a `pause --at` moment. The far journal stays current meanwhile; only
// applying is held back.
#pragma once

#include <optional>

#include "change/transaction_cursor.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::pipeline {

struct Hold {
  Duration delay{};                  // zero: none
  std::optional<WallTime> pause_at;  // transactions committed after it are not given
};

class HeldCursor final : public TransactionCursor {
 public:
  HeldCursor(os::World& world, std::unique_ptr<TransactionCursor> cursor, Hold hold)
      : world_(world), cursor_(std::move(cursor)), hold_(hold) {}

  Result<std::optional<CursorItem>> next(Deadline deadline) override;
  Result<std::optional<PlacedRecord>> next_record() override { return cursor_->next_record(); }
  Result<void> rewind_item() override { return cursor_->rewind_item(); }
  Sequence restart() const override { return held_ ? restart_before_ : cursor_->restart(); }

  bool reached_pause() const { return reached_pause_; }
  void release() { hold_ = {}; }  // from now on every item is given
  void interrupt();               // any thread: a waiting next() returns

 private:
  os::World& world_;
  const std::unique_ptr<TransactionCursor> cursor_;
  Hold hold_;
  std::optional<CursorItem> held_;
  Sequence restart_before_;
  bool reached_pause_ = false;
  os::Mutex mutex_;
  os::CondVar woken_;
  bool interrupted_ = false;
};

}  // namespace farshore::pipeline
