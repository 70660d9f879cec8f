// SegmentIndex: where records of one segment lie, about one entry in 256 KiB, and where runs of
// preambles begin. A closed segment's index is a file beside it; it is a cache, made anew from the
// segment when missing or damaged. Not synchronised: the log's lock guards it.
#pragma once

#include <vector>

#include "base/result.h"
#include "change/place.h"

namespace farshore::journal {

constexpr std::uint64_t kIndexIntervalBytes = 256_KiB;

struct IndexEntry {
  Sequence sequence;
  std::uint64_t offset = 0;
  friend bool operator==(const IndexEntry&, const IndexEntry&) = default;
};

class SegmentIndex {
 public:
  SegmentIndex() = default;
  SegmentIndex(std::vector<IndexEntry> entries, std::vector<Sequence> preambles)
      : entries_(std::move(entries)), preambles_(std::move(preambles)) {}

  // In rising order. Keeps what is an interval behind the entry before.
  void add(Sequence sequence, std::uint64_t offset);
  void add_preamble(Sequence first_of_run) { preambles_.push_back(first_of_run); }

  // The entry at or before `sequence`; the segment must hold it.
  IndexEntry find(Sequence sequence) const;
  // The newest run of preambles that begins at or before `sequence`; 0: none in this segment.
  Sequence preamble_at_or_before(Sequence sequence) const;

  bool empty() const { return entries_.empty(); }
  const std::vector<IndexEntry>& entries() const { return entries_; }
  const std::vector<Sequence>& preambles() const { return preambles_; }
  friend bool operator==(const SegmentIndex&, const SegmentIndex&) = default;

 private:
  std::vector<IndexEntry> entries_;
  std::vector<Sequence> preambles_;
};

Bytes encode_segment_index(const SegmentIndex& index);
Result<SegmentIndex> decode_segment_index(ByteView bytes);

}  // namespace farshore::journal
