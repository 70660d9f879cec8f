// Frames and batches: what travels on a connection. A connection carries batches, each stored or
// compressed; the plain bytes of a batch are whole frames, each with a checksum. Twins: encode and
// decode. Bytes: docs/formats/link.md.
#pragma once

#include "base/result.h"
#include "link/link.h"

namespace farshore::link {

constexpr std::uint8_t kBatchMagic = 0xfb;
constexpr std::size_t kBatchHeaderBytes = 8;
constexpr std::size_t kFrameHeaderBytes = 24;
constexpr std::size_t kFrameMax = 256_KiB;  // header and payload
constexpr std::size_t kFramePayloadMax = kFrameMax - kFrameHeaderBytes;
constexpr std::size_t kBatchPlainMax = 256_KiB;  // what a peer can make us decompress at once
constexpr std::size_t kBatchWireMax = kBatchPlainMax + 4_KiB;  // incompressible bytes grow a little

enum class Encoding : std::uint8_t {
  stored = 0,
  zstd = 1,        // goes on with the connection's context
  zstd_begin = 2,  // a new context, e.g. at another level
};

struct BatchHeader {
  Encoding encoding = Encoding::stored;
  std::uint32_t wire_bytes = 0;   // that follow
  std::uint32_t plain_bytes = 0;  // after decompression
  friend bool operator==(const BatchHeader&, const BatchHeader&) = default;
};

void encode_batch_header(const BatchHeader& header, Bytes& out);  // appends kBatchHeaderBytes
// corrupt: no batch begins here, or it is over a limit.
Result<BatchHeader> decode_batch_header(ByteView bytes);

enum class FrameType : std::uint8_t {
  hello = 1,      // handshake: dialler -> acceptor
  accept = 2,     //            acceptor -> dialler
  refuse = 3,     //            acceptor -> dialler, then the connection ends
  confirm = 4,    //            dialler -> acceptor: the connection now belongs to the session
  keepalive = 5,  // asks for an answer on the same connection
  keepalive_answer = 6,
  open = 7,     // sequence 0 of a channel
  data = 8,     // a message or a part of it
  close = 9,    // the last of a channel in its direction
  credit = 10,  // the channel may send more bytes
  more = 11,    // please dial one more connection: the sender cannot
  retire = 12,  // the last frame in its direction on this connection
  end = 13,     // the session ends; the payload says why
};

constexpr std::uint8_t kMessageEnd = 1;  // flag of data: the message is complete

struct FrameHeader {
  FrameType type = FrameType::data;
  Class klass = Class::control;
  std::uint8_t flags = 0;
  std::uint32_t channel = 0;  // 0: the connection or the session
  std::uint64_t sequence =
      0;  // of open, data and close within channel and direction: dense, from 0
  std::uint32_t payload_bytes = 0;
  friend bool operator==(const FrameHeader&, const FrameHeader&) = default;
};

struct Frame {
  FrameHeader header;
  ByteView payload;  // borrowed from the bytes it was decoded from
};

// Appends; header.payload_bytes is taken from the payload.
void encode_frame(FrameHeader header, ByteView payload, Bytes& out);
// Takes one frame off the front of `bytes`. corrupt: names the field.
Result<Frame> take_frame(ByteView& bytes);

}  // namespace farshore::link
