#define ZSTD_STATIC_LINKING_ONLY  // ZSTD_getCParams: the tables of a level, to bound them
#include "link/compression.h"

#include <zstd.h>

#include <algorithm>

namespace farshore::link {
namespace {

// Tables beside the window: a match farther back than they reach is lost, memory is not. 2 MiB
// each.
constexpr unsigned kTableLogMax = 19;
constexpr unsigned kTableLogMin = 17;

void check(std::size_t result, const char* what) {
  FARSHORE_CHECK(ZSTD_isError(result) == 0, "zstd {}: {}", what, ZSTD_getErrorName(result));
}

void begin_level(ZSTD_CCtx* context, int level, int window_log) {
  const ZSTD_compressionParameters usual = ZSTD_getCParams(level, 0, 0);
  const auto log = [](unsigned usual_log) {
    return static_cast<int>(std::clamp(usual_log, kTableLogMin, kTableLogMax));
  };
  check(ZSTD_CCtx_reset(context, ZSTD_reset_session_and_parameters), "reset");
  check(ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level), "level");
  check(ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window_log), "window");
  check(ZSTD_CCtx_setParameter(context, ZSTD_c_hashLog, log(usual.hashLog)), "hash table");
  check(ZSTD_CCtx_setParameter(context, ZSTD_c_chainLog, log(usual.chainLog)), "chain table");
  check(ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 0),
        "checksum");  // frames have their own
}

}  // namespace

struct Compressor::Context {
  ZSTD_CCtx* zstd = ZSTD_createCCtx();
  ~Context() { ZSTD_freeCCtx(zstd); }
};

Compressor::Compressor(int window_log) : window_log_(window_log) {}
Compressor::~Compressor() = default;

Encoding Compressor::compress(ByteView plain, int level, Bytes& out) {
  if (level == 0) {
    level_ = 0;
    context_.reset();
    out.append(plain);
    return Encoding::stored;
  }
  Encoding encoding = Encoding::zstd;
  if (level != level_) {
    if (!context_) context_ = std::make_unique<Context>();
    begin_level(context_->zstd, level, window_log_);
    level_ = level;
    encoding = Encoding::zstd_begin;
  }
  const std::size_t begin = out.size();
  out.resize(begin + ZSTD_compressBound(plain.size()) + 64);
  ZSTD_inBuffer in{plain.data(), plain.size(), 0};
  ZSTD_outBuffer to{out.data() + begin, out.size() - begin, 0};
  const std::size_t left = ZSTD_compressStream2(context_->zstd, &to, &in, ZSTD_e_flush);
  check(left, "compress");
  FARSHORE_CHECK(left == 0 && in.pos == in.size, "{} bytes did not fit their bound", plain.size());
  out.resize(begin + to.pos);
  return encoding;
}

struct Decompressor::Context {
  ZSTD_DCtx* zstd = ZSTD_createDCtx();
  ~Context() { ZSTD_freeDCtx(zstd); }
};

Decompressor::Decompressor() = default;
Decompressor::~Decompressor() = default;

Result<void> Decompressor::decompress(const BatchHeader& header, ByteView wire, Bytes& out) {
  if (header.encoding == Encoding::stored) {
    begun_ = false;
    context_.reset();
    out.assign(wire);
    return {};
  }
  if (header.encoding == Encoding::zstd_begin) {
    if (!context_) context_ = std::make_unique<Context>();
    check(ZSTD_DCtx_reset(context_->zstd, ZSTD_reset_session_and_parameters), "reset");
    check(ZSTD_DCtx_setParameter(context_->zstd, ZSTD_d_windowLogMax, kWindowLogMax), "window");
    begun_ = true;
  }
  if (!begun_) return permanent(ErrorKind::corrupt, "compressed batch before a context was begun");
  out.resize(header.plain_bytes + 1);  // one more shows a batch that is larger than it says
  ZSTD_inBuffer in{wire.data(), wire.size(), 0};
  ZSTD_outBuffer to{out.data(), out.size(), 0};
  while (in.pos < in.size && to.pos < to.size) {
    const std::size_t result = ZSTD_decompressStream(context_->zstd, &to, &in);
    if (ZSTD_isError(result) != 0)
      return permanent(ErrorKind::corrupt, "compressed batch of {} bytes: {}", wire.size(),
                       ZSTD_getErrorName(result));
  }
  if (to.pos != header.plain_bytes)
    return permanent(ErrorKind::corrupt, "batch says it holds {} bytes, it holds {}",
                     header.plain_bytes,
                     to.pos > header.plain_bytes ? "more" : std::to_string(to.pos));
  out.resize(header.plain_bytes);
  return {};
}

}  // namespace farshore::link
