// The payload of a PostgreSQL `data`, `preamble` or `schema` record: pgoutput messages, each `u32
// length` and its bytes. A message that does not fit one record is cut; the record is then flagged
// `continued` and the transaction's next record begins with the rest. See
// docs/formats/postgres-payload.md. Twins: PayloadWriter and PayloadReader. Pure; one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <utility>

#include "base/bytes.h"
#include "base/result.h"
#include "change/record.h"

namespace farshore::postgres {

// PostgreSQL cannot build a larger one (MaxAllocSize).
constexpr std::uint64_t kMessageMax = 1_GiB;

class PayloadWriter {
 public:
  explicit PayloadWriter(std::uint64_t payload_max = kRecordPayloadMax) : max_(payload_max) {}

  // Appends a message. Each payload that becomes full is handed to
  // `full(Bytes payload, std::uint32_t changes, bool continued)`; what is not full stays here.
  // `changes`: 1 for a row change. It is counted in the payload where the message ends.
  template <class Full>
  void add(ByteView message, std::uint32_t changes, Full&& full) {
    if (fits(message.size())) return append_whole(message, changes);
    if (kLengthBytes + message.size() <= max_) {
      full(take_payload(), take_changes(), false);
      return append_whole(message, changes);
    }
    if (max_ - payload_.size() <= kLengthBytes) full(take_payload(), take_changes(), false);
    append_length(message.size());
    while (message.size() > max_ - payload_.size()) {
      message.remove_prefix(append_part(message));
      full(take_payload(), take_changes(), true);
    }
    append_part(message);
    changes_ += changes;
  }

  bool empty() const { return payload_.empty(); }
  std::uint64_t size() const { return payload_.size(); }
  std::uint32_t changes() const { return changes_; }
  Bytes take_payload() { return std::exchange(payload_, {}); }
  std::uint32_t take_changes() { return std::exchange(changes_, 0); }
  void clear() { payload_.clear(), changes_ = 0; }

 private:
  static constexpr std::uint64_t kLengthBytes = 4;
  bool fits(std::uint64_t size) const { return payload_.size() + kLengthBytes + size <= max_; }
  void append_length(std::uint64_t size) {
    ByteWriter(payload_).number(static_cast<std::uint32_t>(size));
  }
  void append_whole(ByteView message, std::uint32_t changes) {
    append_length(message.size());
    payload_.append(message);
    changes_ += changes;
  }
  std::size_t append_part(ByteView message) {
    const std::size_t count = std::min<std::uint64_t>(message.size(), max_ - payload_.size());
    payload_.append(message.substr(0, count));
    return count;
  }

  const std::uint64_t max_;
  Bytes payload_;
  std::uint32_t changes_ = 0;
};

// Gives the messages of a transaction's records, one record after the other. Holds at most one
// message (the one that is cut). Errors are `corrupt`; then reset().
class PayloadReader {
 public:
  // The payload must live until its messages were read; all of the payload before must have been
  // read. `continued`: the record's flag.
  Result<void> feed(ByteView payload, bool continued);
  // The next whole message; nullopt: feed the transaction's next record, or all was read. The view
  // lives until the next call of feed, next or reset.
  Result<std::optional<ByteView>> next();
  // Between two transactions: true unless a message is still incomplete.
  bool at_message_end() const { return missing_ == 0; }
  void reset();

 private:
  Result<std::optional<ByteView>> next_part();

  ByteView payload_;
  bool continued_ = false;
  Bytes cut_;                  // what came so far of a message that was cut
  std::uint64_t missing_ = 0;  // bytes of it to come
  bool cut_given_ = false;
};

}  // namespace farshore::postgres
