// BoundedCursor: a cursor that ends: it gives no item that ends behind `last`.
#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "change/transaction_cursor.h"

namespace farshore::pipeline {

class BoundedCursor final : public TransactionCursor {
 public:
  BoundedCursor(std::unique_ptr<TransactionCursor> cursor, Sequence last)
      : cursor_(std::move(cursor)), last_(last) {}

  Result<std::optional<CursorItem>> next(Deadline deadline) override {
    if (ended_) return std::optional<CursorItem>();
    FARSHORE_TRY_ASSIGN(auto item, cursor_->next(deadline));
    ended_ = item && item->place.sequence > last_;
    return ended_ ? std::optional<CursorItem>() : std::move(item);
  }
  Result<std::optional<PlacedRecord>> next_record() override { return cursor_->next_record(); }
  Result<void> rewind_item() override { return cursor_->rewind_item(); }
  Sequence restart() const override { return cursor_->restart(); }

 private:
  const std::unique_ptr<TransactionCursor> cursor_;
  const Sequence last_;
  bool ended_ = false;
};

}  // namespace farshore::pipeline
