// OpenTransactions: which transactions are open as the records of a journal go by, and what becomes
// complete. Pure: it holds places, never payloads.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/result.h"
#include "change/transaction_cursor.h"

namespace farshore::journal {

struct RecordSpot {
  Sequence sequence;
  std::uint64_t offset = 0;  // in its segment
};

constexpr std::size_t kOpenRecordsMax =
    4'000'000;  // 16 bytes each, of all open transactions together

struct CompleteItem {
  CursorItem item;
  std::vector<RecordSpot> spots;
};

class OpenTransactions {
 public:
  struct Start {
    Sequence from;
    Sequence skip_through;  // items that end here or before are not given
    // A transaction that ends beyond this and whose beginning was not seen is an error: the place
    // to start at was wrong. 0: such a transaction is passed over.
    Sequence whole_after;
    Sequence first_preamble;  // transactions that began before it are passed over
  };
  explicit OpenTransactions(const Start& start) : start_(start) {}

  // The next record. What it completes, if anything. Records of the item are in order.
  Result<std::optional<CompleteItem>> take(const PlacedRecord& placed, std::uint64_t offset);

  // The newest run of preambles before the first record of the oldest open transaction; that first
  // record when there was no preamble before it. Without open transactions: the same for the next
  // record.
  Sequence restart() const;

 private:
  struct Open {
    std::vector<RecordSpot> spots;
    std::vector<std::uint64_t> aborted_sub_xids;
    Sequence restart;
    std::uint64_t bytes = 0;
    std::uint64_t changes = 0;
  };
  using Key = std::pair<std::uint32_t, std::uint64_t>;  // session, xid

  Result<std::optional<CompleteItem>> take_data(const PlacedRecord& placed, std::uint64_t offset);
  void take_abort(const Record& record);
  void forget(std::map<Key, Open>::iterator open);
  CompleteItem complete(const PlacedRecord& placed, Open open) const;

  const Start start_;
  std::map<Key, Open> open_;
  std::size_t open_records_ = 0;
  Sequence preamble_;  // first of the newest run; 0: none yet
  bool in_preamble_ = false;
  Sequence next_;
};

}  // namespace farshore::journal
