// Where something is. A Sequence numbers the records of one stream's journal densely from 1; an
// Epoch is the fencing generation of the stream's primary. After a failover numbers alone are
// ambiguous, a Place is not.
#pragma once

#include <compare>

#include "base/bytes.h"
#include "base/ordinal.h"

namespace farshore {

using Epoch = Ordinal<struct EpochTag>;        // starts at 1
using Sequence = Ordinal<struct SequenceTag>;  // starts at 1; 0: before the first record

struct Place {
  Epoch epoch;
  Sequence sequence;
  friend auto operator<=>(const Place&, const Place&) = default;
};

// A place in a source's own terms: an LSN, a GTID set, offsets. Opaque outside the engine that made
// it; empty: none.
struct Position {
  Bytes bytes;
  bool empty() const { return bytes.empty(); }
  friend bool operator==(const Position&, const Position&) = default;
};

}  // namespace farshore

template <>
struct fmt::formatter<farshore::Place> : fmt::formatter<std::string> {
  auto format(const farshore::Place& place, fmt::format_context& context) const {
    return fmt::format_to(context.out(), "{}:{}", place.epoch.value(), place.sequence.value());
  }
};
