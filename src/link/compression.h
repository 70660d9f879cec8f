// Compressor and Decompressor: one connection and direction each, a zstd context that lives across
// batches and is flushed after each. Memory of both is bounded by the window: kWindowLogMax at
// most. One thread.
#pragma once

#include <memory>

#include "link/frame.h"

namespace farshore::link {

constexpr int kWindowLogMax = 22;    // 4 MiB, of a session's first connection
constexpr int kWindowLogExtra = 20;  // 1 MiB, of the others

class Compressor {
 public:
  explicit Compressor(int window_log);
  ~Compressor();
  // Appends to `out` what is to follow the batch header. Level 0 stores; another level than the
  // last begins a new context.
  Encoding compress(ByteView plain, int level, Bytes& out);

 private:
  struct Context;
  const int window_log_;
  std::unique_ptr<Context> context_;
  int level_ = 0;
};

class Decompressor {
 public:
  Decompressor();
  ~Decompressor();
  // Replaces `out` by the plain bytes. corrupt: damaged, more or less than header.plain_bytes, or
  // over the window.
  Result<void> decompress(const BatchHeader& header, ByteView wire, Bytes& out);

 private:
  struct Context;
  std::unique_ptr<Context> context_;
  bool begun_ = false;
};

}  // namespace farshore::link
