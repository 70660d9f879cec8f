// Whatever a peer sends in a session: batches, decompression, frames, payloads, reassembly. Nothing
// may crash, hold more than the credit given, or answer with more bytes than the limits.
#include "link/compression.h"
#include "link/inbox.h"
#include "os/real/real_world.h"

namespace {

using namespace farshore;
using namespace farshore::link;

void take_payload(const Frame& frame, Outbox& outbox, Inbox& inbox) {
  switch (frame.header.type) {
    case FrameType::open:
    case FrameType::data:
    case FrameType::close:
      (void)inbox.take(frame);
      break;
    case FrameType::credit:
      if (const auto bytes = decode_credit(frame.payload); bytes.ok())
        (void)outbox.take_credit(frame.header.channel, *bytes);
      break;
    case FrameType::keepalive:
      (void)decode_keepalive(frame.payload);
      break;
    case FrameType::keepalive_answer:
      (void)decode_keepalive_answer(frame.payload);
      break;
    default:
      (void)decode_reason(frame.payload);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const auto world = os::make_real_world(std::nullopt);
  ByteView left(reinterpret_cast<const char*>(data), size);
  Decompressor decompressor;
  Outbox outbox(*world);
  Inbox inbox(outbox, kWindowMin, 1);
  (void)inbox.open("ours", Class::stream);
  Bytes plain;
  while (left.size() >= kBatchHeaderBytes) {
    const auto header = decode_batch_header(left.substr(0, kBatchHeaderBytes));
    if (!header.ok()) break;
    left.remove_prefix(kBatchHeaderBytes);
    const ByteView wire = left.substr(0, header->wire_bytes);
    left.remove_prefix(wire.size());
    if (!decompressor.decompress(*header, wire, plain).ok()) break;
    FARSHORE_CHECK(plain.size() <= kBatchPlainMax, "{} bytes", plain.size());
    for (ByteView frames(plain); !frames.empty();) {
      const auto frame = take_frame(frames);
      if (!frame.ok()) break;
      take_payload(*frame, outbox, inbox);
    }
  }
  // Frames alone too: their checksums seldom survive a batch that was changed.
  ByteView frames(reinterpret_cast<const char*>(data), size);
  while (true) {
    const auto frame = take_frame(frames);
    if (!frame.ok()) break;
    Bytes again;
    encode_frame(frame->header, frame->payload, again);
    FARSHORE_CHECK(again.size() == kFrameHeaderBytes + frame->payload.size(), "twins differ");
  }
  return 0;
}
