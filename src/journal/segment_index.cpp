#include "journal/segment_index.h"

#include <algorithm>

#include "base/checksum.h"

namespace farshore::journal {
namespace {

constexpr ByteView kMagic{"FSJIDX\r\n", 8};
constexpr std::uint32_t kVersion = 1;

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
  ByteWriter writer(out);
  writer.raw(kMagic).number(kVersion);
  writer.number(static_cast<std::uint32_t>(index.entries().size()));
  for (const IndexEntry& entry : index.entries())
    writer.number(entry.sequence.value()).number(entry.offset);
  writer.number(static_cast<std::uint32_t>(index.preambles().size()));
  for (const Sequence preamble : index.preambles()) writer.number(preamble.value());
  writer.number(crc32c(out));
  return out;
}

Result<SegmentIndex> decode_segment_index(ByteView bytes) {
  std::uint32_t crc = 0;
  if (bytes.size() < sizeof crc) return permanent(ErrorKind::corrupt, "segment index is too short");
  std::memcpy(&crc, bytes.data() + bytes.size() - sizeof crc, sizeof crc);
  bytes.remove_suffix(sizeof crc);
  if (crc != crc32c(bytes))
    return permanent(ErrorKind::corrupt, "segment index does not match its checksum");
  ByteReader in(bytes);
  if (in.raw(kMagic.size()) != kMagic || in.number<std::uint32_t>() != kVersion)
    return permanent(ErrorKind::corrupt, "segment index has another magic or version");
  std::vector<IndexEntry> entries;
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left) {
    const Sequence sequence(in.number<std::uint64_t>());
    entries.push_back({sequence, in.number<std::uint64_t>()});
  }
  std::vector<Sequence> preambles;
  for (auto left = in.number<std::uint32_t>(); left > 0 && !in.failed(); --left)
    preambles.emplace_back(in.number<std::uint64_t>());
  if (!in.finished() || entries.empty())
    return permanent(ErrorKind::corrupt, "segment index does not end where it says");
  return SegmentIndex(std::move(entries), std::move(preambles));
}

}  // namespace farshore::journal
