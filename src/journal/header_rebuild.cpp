#include "journal/header_rebuild.h"

#include "base/checksum.h"
#include "journal/segment_scan.h"

namespace farshore::journal {
namespace {

// The copy, or what follows from the segment before, when its last record can be read.
Result<std::optional<SegmentHeader>> from_before(os::Files& files, const SegmentFile& file) {
  if (file.before == nullptr) return file.copy;
  const SegmentHeader& before = file.before->header;
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, file.before->path, before.epoch));
  const Sequence last = file.name.first.previous();
  const ScanBounds bounds{.limit = file.before->size, .last = last, .durable = last};
  FARSHORE_TRY_ASSIGN(const SegmentScan scan, scan_segment(reader, before, bounds));
  if (scan.last != last) return std::optional<SegmentHeader>();
  return std::optional(SegmentHeader{file.name.epoch, file.name.first, scan.hash, scan.newest,
                                     scan.preamble.first, scan.preamble.running, scan.tail});
}

// CRC-32C tells apart all changes of one byte.
std::optional<SegmentHeader> with_one_byte_corrected(Bytes head, const SegmentName& name) {
  for (char& byte : head) {
    const char found = byte;
    for (int other = 0; other < 256; ++other) {
      byte = static_cast<char>(other);
      const auto header = decode_segment_header(head);
      if (header && header->first == name.first && header->epoch == name.epoch) return *header;
    }
    byte = found;
  }
  return std::nullopt;
}

bool continues(const SegmentHeader& header, const Frame& frame) {
  return header.bytes() == frame.offset &&
         chain_hash(header.hash_before, frame.encoded) == frame.header.hash;
}

}  // namespace

Result<SegmentHeader> rebuild_header(os::Files& files, const SegmentFile& file) {
  FARSHORE_TRY_ASSIGN(auto reader, SegmentReader::open(files, file.path, file.name.epoch));
  reader.seek(0, file.name.first, std::nullopt);
  const std::uint64_t limit = kSegmentHeaderMax + 8 + frame_bytes(kEncodedRecordMax);
  FARSHORE_TRY_ASSIGN(const auto frame,
                      reader.find_valid(kSegmentHeaderMin, limit, file.name.first));
  const bool first_is_good = frame && frame->header.sequence == file.name.first;
  FARSHORE_TRY_ASSIGN(const auto before, from_before(files, file));
  const bool proven =
      first_is_good ? before && continues(*before, *frame) : before && (file.copy || !file.newest);
  if (proven) return *before;
  if (const auto head = reader.head(); head && first_is_good)
    if (const auto header = with_one_byte_corrected(head->substr(0, frame->offset), file.name);
        header && continues(*header, *frame))
      return *header;
  return permanent(ErrorKind::corrupt,
                   "neither the journal file before it, nor the copy in `first`, nor its own first "
                   "record tell what it was");
}

}  // namespace farshore::journal
