#include "journal/segment_reader.h"

#include "base/checksum.h"

namespace farshore::journal {
namespace {

constexpr std::uint64_t kReadAheadBytes = 256_KiB;

bool plausible_size(std::uint32_t encoded) {
  return encoded >= kEncodedRecordMin && encoded <= kEncodedRecordMax;
}

}  // namespace

Result<SegmentReader> SegmentReader::open(os::Files& files, const std::string& path, Epoch epoch) {
  FARSHORE_TRY_ASSIGN(std::shared_ptr<os::File> file, files.open(path, os::OpenMode::read));
  return SegmentReader(std::move(file), path, epoch);
}

void SegmentReader::seek(std::uint64_t offset, Sequence expected,
                         std::optional<std::uint64_t> hash_before) {
  offset_ = offset;
  expected_ = expected;
  hash_before_ = hash_before;
}

Result<std::optional<Frame>> SegmentReader::next(std::uint64_t limit) {
  if (offset_ >= limit) return std::optional<Frame>();
  FARSHORE_TRY_ASSIGN(const ByteView head, bytes(offset_, kFrameHeaderBytes, limit));
  if (head.size() < kFrameHeaderBytes) return damaged("the file ends inside a frame's header");
  Frame frame{.header = decode_frame_header(head), .offset = offset_};
  if (!plausible_size(frame.header.encoded))
    return damaged(fmt::format("a frame says it is {} bytes long", frame.header.encoded));
  frame.size = frame_bytes(frame.header.encoded);
  FARSHORE_TRY_ASSIGN(const ByteView whole, bytes(offset_, frame.size, limit));
  if (whole.size() < frame.size) return damaged("the file ends inside a frame");
  if (!frame_fits(whole)) return damaged("a frame does not match its checksum");
  if (frame.header.sequence != expected_)
    return damaged(fmt::format("the frame there is that of sequence {}", frame.header.sequence));
  frame.encoded = whole.substr(kFrameHeaderBytes, frame.header.encoded);
  if (hash_before_ && chain_hash(*hash_before_, frame.encoded) != frame.header.hash)
    return damaged("the running hash does not continue that of the record before");
  offset_ += frame.size;
  expected_ = expected_.next();
  hash_before_ = frame.header.hash;
  return std::optional<Frame>(frame);
}

Result<std::optional<Frame>> SegmentReader::find_valid(std::uint64_t from, std::uint64_t limit,
                                                       Sequence least) {
  for (std::uint64_t at = (from + 7) / 8 * 8; at + kFrameHeaderBytes + kEncodedRecordMin <= limit;
       at += 8) {
    FARSHORE_TRY_ASSIGN(const ByteView head, bytes(at, kFrameHeaderBytes, limit));
    if (head.size() < kFrameHeaderBytes) break;
    Frame frame{.header = decode_frame_header(head), .offset = at};
    const Sequence most = least.plus((at - offset_) / (kFrameHeaderBytes + kEncodedRecordMin));
    if (!plausible_size(frame.header.encoded) || frame.header.sequence < least ||
        frame.header.sequence > most)
      continue;
    frame.size = frame_bytes(frame.header.encoded);
    FARSHORE_TRY_ASSIGN(const ByteView whole, bytes(at, frame.size, limit));
    if (whole.size() < frame.size || !frame_fits(whole)) continue;
    frame.encoded = whole.substr(kFrameHeaderBytes, frame.header.encoded);
    return std::optional<Frame>(frame);
  }
  return std::optional<Frame>();
}

Result<Bytes> SegmentReader::head() {
  Bytes head(kSegmentHeaderMax, '\0');
  FARSHORE_TRY_ASSIGN(const std::size_t got, file_->read_at(0, head.data(), head.size()));
  head.resize(got);
  return head;
}

Result<ByteView> SegmentReader::bytes(std::uint64_t offset, std::uint64_t count,
                                      std::uint64_t limit) {
  if (offset >= limit) return ByteView();
  count = std::min(count, limit - offset);
  if (offset < buffer_offset_ || offset + count > buffer_offset_ + buffer_.size()) {
    const std::uint64_t ask = std::min(std::max(count, kReadAheadBytes), limit - offset);
    buffer_.resize(ask);
    buffer_offset_ = offset;
    const auto got = file_->read_at(offset, buffer_.data(), ask);
    if (!got) {
      buffer_.clear();
      return within(fmt::format("reading {} at offset {}", path_, offset), got.error());
    }
    buffer_.resize(*got);
  }
  return ByteView(buffer_).substr(offset - buffer_offset_, count);
}

Error SegmentReader::damaged(std::string why) {
  buffer_.clear();  // it may have been repaired when it is read again
  why_ = std::move(why);
  return permanent(ErrorKind::corrupt,
                   "journal file {} is damaged at offset {} (place {}): {}; it is repaired from "
                   "the other region's "
                   "journal when the link is up",
                   path_, offset_, Place{epoch_, expected_}, why_);
}

}  // namespace farshore::journal
