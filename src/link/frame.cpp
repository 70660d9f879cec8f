#include "link/frame.h"

#include "base/checksum.h"

namespace farshore::link {
namespace {

constexpr std::uint32_t kTwentyFourBits = 0xffffff;
constexpr std::size_t kCheckedHeaderBytes =
    kFrameHeaderBytes - 4;  // the checksum is the header's last field

}  // namespace

void encode_batch_header(const BatchHeader& header, Bytes& out) {
  FARSHORE_CHECK(header.wire_bytes <= kBatchWireMax && header.plain_bytes <= kBatchPlainMax,
                 "batch of {} bytes, {} on the wire", header.plain_bytes, header.wire_bytes);
  ByteWriter(out).number(
      std::uint64_t{kBatchMagic} | std::uint64_t{static_cast<std::uint8_t>(header.encoding)} << 8 |
      std::uint64_t{header.wire_bytes} << 16 | std::uint64_t{header.plain_bytes} << 40);
}

Result<BatchHeader> decode_batch_header(ByteView bytes) {
  ByteReader in(bytes);
  const auto word = in.number<std::uint64_t>();
  if (!in.finished())
    return permanent(ErrorKind::corrupt, "batch header of {} bytes", bytes.size());
  if ((word & 0xff) != kBatchMagic)
    return permanent(ErrorKind::corrupt, "no batch begins with byte {:#04x}: not our protocol",
                     word & 0xff);
  const auto encoding = static_cast<std::uint8_t>(word >> 8 & 0xff);
  if (encoding > static_cast<std::uint8_t>(Encoding::zstd_begin))
    return permanent(ErrorKind::corrupt, "batch has the unknown encoding {}", encoding);
  const BatchHeader header{.encoding = static_cast<Encoding>(encoding),
                           .wire_bytes = static_cast<std::uint32_t>(word >> 16) & kTwentyFourBits,
                           .plain_bytes = static_cast<std::uint32_t>(word >> 40)};
  if (header.wire_bytes > kBatchWireMax || header.plain_bytes > kBatchPlainMax)
    return permanent(ErrorKind::corrupt,
                     "batch of {} bytes, {} on the wire: the limits are {} and {}",
                     header.plain_bytes, header.wire_bytes, kBatchPlainMax, kBatchWireMax);
  if (header.encoding == Encoding::stored && header.wire_bytes != header.plain_bytes)
    return permanent(ErrorKind::corrupt, "stored batch of {} bytes says it is {} on the wire",
                     header.plain_bytes, header.wire_bytes);
  return header;
}

void encode_frame(FrameHeader header, ByteView payload, Bytes& out) {
  FARSHORE_CHECK(payload.size() <= kFramePayloadMax, "frame with a payload of {} bytes",
                 payload.size());
  const std::size_t begin = out.size();
  ByteWriter(out)
      .number(static_cast<std::uint32_t>(payload.size()))
      .number(header.type)
      .number(header.klass)
      .number(header.flags)
      .number(std::uint8_t{0})
      .number(header.channel)
      .number(header.sequence);
  const ByteView checked = ByteView(out).substr(begin, kCheckedHeaderBytes);
  const std::uint32_t checksum = crc32c(payload, crc32c(checked));
  ByteWriter(out).number(checksum).raw(payload);
}

Result<Frame> take_frame(ByteView& bytes) {
  ByteReader in(bytes);
  Frame frame;
  frame.header.payload_bytes = in.number<std::uint32_t>();
  const auto type = in.number<std::uint8_t>();
  const auto klass = in.number<std::uint8_t>();
  frame.header.flags = in.number<std::uint8_t>();
  const auto reserved = in.number<std::uint8_t>();
  frame.header.channel = in.number<std::uint32_t>();
  frame.header.sequence = in.number<std::uint64_t>();
  const auto checksum = in.number<std::uint32_t>();
  if (in.failed())
    return permanent(ErrorKind::corrupt, "frame cut off after {} bytes", bytes.size());
  if (frame.header.payload_bytes > kFramePayloadMax)
    return permanent(ErrorKind::corrupt, "frame with a payload of {} bytes: the limit is {}",
                     frame.header.payload_bytes, kFramePayloadMax);
  frame.payload = in.raw(frame.header.payload_bytes);
  if (in.failed())
    return permanent(ErrorKind::corrupt,
                     "frame with a payload of {} bytes passes the end of its batch",
                     frame.header.payload_bytes);
  if (crc32c(frame.payload, crc32c(bytes.substr(0, kCheckedHeaderBytes))) != checksum)
    return permanent(ErrorKind::corrupt, "frame of {} bytes contradicts its checksum",
                     kFrameHeaderBytes + frame.payload.size());
  if (type < static_cast<std::uint8_t>(FrameType::hello) ||
      type > static_cast<std::uint8_t>(FrameType::end))
    return permanent(ErrorKind::corrupt, "frame has the unknown type {}", type);
  if (klass > static_cast<std::uint8_t>(Class::copy))
    return permanent(ErrorKind::corrupt, "frame has the unknown class {}", klass);
  if (frame.header.flags > kMessageEnd || reserved != 0)
    return permanent(ErrorKind::corrupt, "frame has unknown flags {:#x}", frame.header.flags);
  frame.header.type = static_cast<FrameType>(type);
  frame.header.klass = static_cast<Class>(klass);
  bytes.remove_prefix(kFrameHeaderBytes + frame.payload.size());
  return frame;
}

}  // namespace farshore::link
