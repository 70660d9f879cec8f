#include "journal/segment_format.h"

#include <charconv>

#include "base/checksum.h"

namespace farshore::journal {
namespace {

constexpr std::uint32_t kFollowsPreamble = 1;
constexpr std::string_view kSuffix = ".segment";
constexpr std::size_t kSequenceDigits = 20, kEpochDigits = 10;

WallTime time_of(std::int64_t nanoseconds) {
  return WallTime(Duration(nanoseconds));
}
std::int64_t number_of(WallTime t) {
  return t.time_since_epoch().count();
}

std::optional<std::uint64_t> parse_digits(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

}  // namespace

Bytes encode_segment_header(const SegmentHeader& header) {
  FARSHORE_CHECK(header.tail_before.position.bytes.size() <= kPositionMax, "position of {} bytes",
                 header.tail_before.position.bytes.size());
  Bytes out;
  ByteWriter writer(out);
  writer.raw(kSegmentMagic)
      .number(kSegmentVersion)
      .number(static_cast<std::uint32_t>(header.bytes()))
      .number(header.epoch.value())
      .number(header.first.value())
      .number(header.hash_before)
      .number(number_of(header.created))
      .number(header.preamble_before.value())
      .number(header.follows_preamble ? kFollowsPreamble : 0U)
      .number(header.tail_before.session)
      .number(number_of(header.tail_before.commit_time))
      .string32(header.tail_before.position.bytes);
  out.resize(header.bytes() - sizeof(std::uint32_t), '\0');
  writer.number(crc32c(out));
  return out;
}

Result<SegmentHeader> decode_segment_header(ByteView bytes) {
  ByteReader in(bytes);
  if (in.raw(kSegmentMagic.size()) != kSegmentMagic)
    return permanent(ErrorKind::corrupt,
                     "segment header does not begin with the magic of a journal");
  const auto version = in.number<std::uint32_t>();
  if (version != kSegmentVersion)
    return permanent(ErrorKind::corrupt, "segment has format version {}, this build reads {}",
                     version, kSegmentVersion);
  const auto size = in.number<std::uint32_t>();
  if (size < kSegmentHeaderMin || size > kSegmentHeaderMax || size % 8 != 0 || size > bytes.size())
    return permanent(ErrorKind::corrupt, "segment header says it is {} bytes long", size);
  std::uint32_t crc = 0;
  std::memcpy(&crc, bytes.data() + size - sizeof crc, sizeof crc);
  if (crc != crc32c(bytes.substr(0, size - sizeof crc)))
    return permanent(ErrorKind::corrupt, "segment header does not match its checksum");
  SegmentHeader header;
  header.epoch = Epoch(in.number<std::uint64_t>());
  header.first = Sequence(in.number<std::uint64_t>());
  header.hash_before = in.number<std::uint64_t>();
  header.created = time_of(in.number<std::int64_t>());
  header.preamble_before = Sequence(in.number<std::uint64_t>());
  const auto flags = in.number<std::uint32_t>();
  header.follows_preamble = (flags & kFollowsPreamble) != 0;
  header.tail_before.session = in.number<std::uint32_t>();
  header.tail_before.commit_time = time_of(in.number<std::int64_t>());
  header.tail_before.position.bytes = in.string32();
  if (in.failed() || header.bytes() != size || (flags & ~kFollowsPreamble) != 0 ||
      header.first.value() == 0)
    return permanent(ErrorKind::corrupt,
                     "segment header holds values that this build does not know");
  return header;
}

// Reads only the fields that matter of what record_codec writes: a payload is not copied for it.
void note_tail(ByteView encoded, Tail& tail) {
  ByteReader in(encoded);
  in.raw(4);  // version, kind, flags, reserved
  const auto session = in.number<std::uint32_t>();
  in.raw(8 + 8 + 4);  // xid, sub_xid, changes
  const auto commit_time = in.number<std::int64_t>();
  const ByteView position = in.string16();
  if (in.failed()) return;
  if (session != 0) tail.session = session;
  if (position.empty()) return;
  tail.position.bytes = position;
  tail.commit_time = time_of(commit_time);
}

std::size_t begin_frame(Bytes& out, std::uint64_t encoded_size) {
  const std::size_t at = out.size();
  out.reserve(at + frame_bytes(encoded_size));
  out.resize(at + kFrameHeaderBytes, '\0');
  return at;
}

void finish_frame(const FrameHeader& header, Bytes& out, std::size_t at) {
  const std::size_t encoded = out.size() - at - kFrameHeaderBytes;
  FARSHORE_CHECK(encoded >= kEncodedRecordMin && encoded <= kEncodedRecordMax, "record of {} bytes",
                 encoded);
  const std::size_t size = frame_bytes(encoded);
  out.resize(at + size, '\0');
  char raw[kFrameHeaderBytes] = {};
  const auto put = [&raw](std::size_t offset, auto value) {
    std::memcpy(raw + offset, &value, sizeof value);
  };
  put(4, static_cast<std::uint32_t>(encoded));
  put(8, header.sequence.value());
  put(16, header.hash);
  put(24, number_of(header.appended));
  put(32, header.unsynced);
  std::memcpy(out.data() + at, raw, sizeof raw);
  const std::uint32_t crc = crc32c(ByteView(out).substr(at + sizeof crc, size - sizeof crc));
  std::memcpy(out.data() + at, &crc, sizeof crc);
}

void append_frame(const FrameHeader& header, ByteView encoded, Bytes& out) {
  const std::size_t at = begin_frame(out, encoded.size());
  out += encoded;
  finish_frame(header, out, at);
}

FrameHeader decode_frame_header(ByteView bytes) {
  ByteReader in(bytes);
  FrameHeader header;
  header.crc = in.number<std::uint32_t>();
  header.encoded = in.number<std::uint32_t>();
  header.sequence = Sequence(in.number<std::uint64_t>());
  header.hash = in.number<std::uint64_t>();
  header.appended = time_of(in.number<std::int64_t>());
  header.unsynced = in.number<std::uint32_t>();
  return header;
}

bool frame_fits(ByteView frame) {
  std::uint32_t crc = 0;
  if (frame.size() < kFrameHeaderBytes) return false;
  std::memcpy(&crc, frame.data(), sizeof crc);
  return crc == crc32c(frame.substr(sizeof crc));
}

std::string segment_name(Sequence first, Epoch epoch) {
  return fmt::format("{:020}-{:010}{}", first.value(), epoch.value(), kSuffix);
}

std::optional<SegmentName> parse_segment_name(std::string_view name) {
  if (name.size() < kSequenceDigits + 1 + kEpochDigits + kSuffix.size() || !name.ends_with(kSuffix))
    return std::nullopt;
  name.remove_suffix(kSuffix.size());
  if (name[kSequenceDigits] != '-') return std::nullopt;
  const auto first = parse_digits(name.substr(0, kSequenceDigits));
  const auto epoch = parse_digits(name.substr(kSequenceDigits + 1));
  if (!first || !epoch) return std::nullopt;
  return SegmentName{Sequence(*first), Epoch(*epoch)};
}

}  // namespace farshore::journal
