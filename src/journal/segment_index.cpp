#include "journal/segment_index.h"

#include <algorithm>

#include "journal/checked_file.h"

namespace farshore::journal {
namespace {

constexpr CheckedForm kIndexForm{{"FSJIDX\r\n", 8}, 1, "segment index"};

}  // namespace

void SegmentIndex::add(Sequence sequence, std::uint64_t offset) {
  if (entries_.empty() || offset >= entries_.back().offset + kIndexIntervalBytes)
    entries_.push_back({sequence, offset});
}

IndexEntry SegmentIndex::find(Sequence sequence) const {
  const auto after =
      std::upper_bound(entries_.begin(), entries_.end(), sequence,
                       [](Sequence s, const IndexEntry& e) { return s < e.sequence; });
  FARSHORE_CHECK(after != entries_.begin(), "sequence {} lies before the segment", sequence);
  return *(after - 1);
}

Sequence SegmentIndex::preamble_at_or_before(Sequence sequence) const {
  const auto after = std::upper_bound(preambles_.begin(), preambles_.end(), sequence);
  return after == preambles_.begin() ? Sequence{} : *(after - 1);
}

Bytes encode_segment_index(const SegmentIndex& index) {
  Bytes out;
  ByteWriter writer = begin_checked(kIndexForm, out);
  writer.number(static_cast<std::uint32_t>(index.entries().size()));
  for (const IndexEntry& entry : index.entries())
    writer.number(entry.sequence.value()).number(entry.offset);
  writer.number(static_cast<std::uint32_t>(index.preambles().size()));
  for (const Sequence preamble : index.preambles()) writer.number(preamble.value());
  seal_checked(out);
  return out;
}

Result<SegmentIndex> decode_segment_index(ByteView bytes) {
  FARSHORE_TRY_ASSIGN(ByteReader in, open_checked(kIndexForm, bytes));
  std::vector<IndexEntry> entries;
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    const Sequence sequence(in.number<std::uint64_t>());
    entries.push_back({sequence, in.number<std::uint64_t>()});
  }
  std::vector<Sequence> preambles;
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left)
    preambles.emplace_back(in.number<std::uint64_t>());
  FARSHORE_TRY(expect_end(kIndexForm, in));
  if (entries.empty()) return permanent(ErrorKind::corrupt, "segment index has no entry");
  return SegmentIndex(std::move(entries), std::move(preambles));
}

}  // namespace farshore::journal
