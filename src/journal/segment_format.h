// The bytes of a segment file: a header, then frames, each one record; sizes are multiples of 8. A
// segment never mixes epochs. Format: docs/formats/journal.md.
#pragma once

#include <optional>
#include <string>

#include "base/result.h"
#include "change/record.h"
#include "journal/journal.h"

namespace farshore::journal {

constexpr ByteView kSegmentMagic{"FSJSEG\r\n", 8};
constexpr std::uint32_t kSegmentVersion = 1;
constexpr std::uint64_t kSegmentHeaderMin = 80;  // without a position
constexpr std::uint64_t kSegmentHeaderMax = kSegmentHeaderMin + kPositionMax;
constexpr std::uint64_t kFrameHeaderBytes = 40;
constexpr std::uint64_t kEncodedRecordMin = 42;
constexpr std::uint64_t kEncodedRecordMax = kEncodedRecordMin + kPositionMax + kRecordPayloadMax;

// A frame of this many bytes carries a record of `encoded` bytes.
constexpr std::uint64_t frame_bytes(std::uint64_t encoded) {
  return (kFrameHeaderBytes + encoded + 7) / 8 * 8;
}

struct SegmentHeader {
  Epoch epoch;
  Sequence first;                 // of the first frame
  std::uint64_t hash_before = 0;  // running hash at `first` - 1
  WallTime created{};
  Sequence preamble_before;  // first record of the newest run of preambles before `first`; 0: none
  bool follows_preamble = false;  // the record before `first` is a preamble
  Tail tail_before;               // what the records before `first` say of the source
  std::uint64_t bytes() const {
    return (kSegmentHeaderMin + tail_before.position.bytes.size() + 7) / 8 * 8;
  }
};

struct FrameHeader {
  std::uint32_t crc = 0;      // crc32c of all that follows it in the frame, padding included
  std::uint32_t encoded = 0;  // bytes of the record
  Sequence sequence;
  std::uint64_t hash = 0;  // running hash up to and with this record
  WallTime appended{};
  std::uint32_t unsynced = 0;  // sequence - unsynced was known durable when this frame was made
  Sequence durable_before() const { return Sequence(sequence.value() - unsynced); }
};

Bytes encode_segment_header(const SegmentHeader& header);
Result<SegmentHeader> decode_segment_header(
    ByteView bytes);  // corrupt: names the field; may be followed by frames
// What a record says of the source is newer than `tail`.
void note_tail(ByteView encoded, Tail& tail);

// A frame is made in place: begin_frame, then the record is appended, then finish_frame, which
// computes header.crc and header.encoded. begin_frame returns where the frame begins in `out`.
std::size_t begin_frame(Bytes& out, std::uint64_t encoded_size);
void finish_frame(const FrameHeader& header, Bytes& out, std::size_t at);
void append_frame(const FrameHeader& header, ByteView encoded, Bytes& out);
FrameHeader decode_frame_header(
    ByteView bytes);              // of kFrameHeaderBytes; believe nothing before frame_fits
bool frame_fits(ByteView frame);  // the crc of a whole frame

// "00000000000000000991-0000000002.segment": sorts by sequence.
std::string segment_name(Sequence first, Epoch epoch);
struct SegmentName {
  Sequence first;
  Epoch epoch;
};
std::optional<SegmentName> parse_segment_name(std::string_view name);

}  // namespace farshore::journal
