// BoundedCursor: gives no item that ends behind `last`, until it is moved on.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "change/transaction_cursor.h"

namespace farshore::pipeline {

class BoundedCursor final : public TransactionCursor {
 public:
  explicit BoundedCursor(std::unique_ptr<TransactionCursor> cursor) : cursor_(std::move(cursor)) {}

  void move_on(Sequence last) { last_ = last; }

  Result<std::optional<CursorItem>> next(Deadline deadline) override {
    if (!beyond_) {
      FARSHORE_TRY_ASSIGN(beyond_, cursor_->next(deadline));
    }
    if (!beyond_ || beyond_->place.sequence > last_) return std::optional<CursorItem>();
    return std::exchange(beyond_, std::nullopt);
  }
  Result<std::optional<PlacedRecord>> next_record() override { return cursor_->next_record(); }
  Result<void> rewind_item() override { return cursor_->rewind_item(); }
  Sequence restart() const override { return cursor_->restart(); }

 private:
  const std::unique_ptr<TransactionCursor> cursor_;
  Sequence last_;
  std::optional<CursorItem> beyond_;  // read, not given yet
};

}  // namespace farshore::pipeline
