// Batches over a connection: the handshake's single frames, and the session's reader and writer.
// One thread each.
#pragma once

#include <vector>

#include "link/compression.h"
#include "link/frame.h"
#include "os/world.h"

namespace farshore::link {

// One frame in a stored batch of its own, as the handshake speaks.
Result<void> send_single(os::Connection& connection, FrameType type, ByteView payload,
                         Deadline deadline);

struct SingleFrame {
  FrameType type = FrameType::hello;
  Bytes payload;
};
// Reads exactly that batch and not a byte more. corrupt: not ours, or the payload is over
// `payload_max`.
Result<SingleFrame> receive_single(os::Connection& connection, std::size_t payload_max,
                                   Deadline deadline);

// Reads batches and decompresses them. `patience`: how long no byte may come before the connection
// counts as dead.
class BatchReader {
 public:
  BatchReader(os::World& world, os::Connection& connection, Duration patience);

  // The plain bytes of the next batch, valid until the next call. unavailable: the peer hung up, or
  // was silent.
  Result<ByteView> next();
  std::size_t wire_bytes() const { return wire_bytes_; }  // of the last batch

 private:
  Result<void> need(std::size_t count);

  os::World& world_;
  os::Connection& connection_;
  const Duration patience_;
  Decompressor decompressor_;
  Bytes buffer_;
  std::size_t begin_ = 0, end_ = 0;  // of what was read and not yet used
  Bytes plain_;
  std::size_t wire_bytes_ = 0;
};

// Compresses and writes batches. The wire bytes of one batch at a time lie in it.
class BatchWriter {
 public:
  BatchWriter(os::World& world, os::Connection& connection, int window_log);

  void prepare(ByteView plain, int level);
  // What was prepared. unavailable: the peer took nothing for `patience`.
  Result<void> write(Duration patience);
  std::size_t wire_bytes() const { return wire_.size(); }

 private:
  os::World& world_;
  os::Connection& connection_;
  Compressor compressor_;
  Bytes wire_;
};

}  // namespace farshore::link
