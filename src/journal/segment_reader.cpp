#include "journal/segment_reader.h"

#include <algorithm>

#include "base/checksum.h"
#include "journal/segment_index.h"

namespace farshore::journal {
namespace {

constexpr std::uint64_t kReadAheadBytes = 256_KiB;
constexpr int kRefusalsMax = 16;  // then the search for a good frame takes larger steps

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
  const auto head = bytes(offset_, kFrameHeaderBytes, limit);
  if (!head) return refused(head.error());
  if (head->size() < kFrameHeaderBytes) return damaged("the file ends inside a frame's header");
  Frame frame{.header = decode_frame_header(*head), .offset = offset_};
  if (!plausible_size(frame.header.encoded))
    return damaged(fmt::format("a frame says it is {} bytes long", frame.header.encoded));
  frame.size = frame_bytes(frame.header.encoded);
  const auto got = bytes(offset_, frame.size, limit);
  if (!got) return refused(got.error());
  const ByteView whole = *got;
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
  int refused = 0;
  for (std::uint64_t at = (from + 7) / 8 * 8; at + kFrameHeaderBytes + kEncodedRecordMin <= limit;
       at += 8) {
    const auto head = bytes(at, kFrameHeaderBytes, limit);
    if (!head) {
      const std::uint64_t leap = ++refused < kRefusalsMax ? kSectorBytes : kIndexIntervalBytes;
      at = at / kSectorBytes * kSectorBytes + leap - 8;
      continue;
    }
    if (head->size() < kFrameHeaderBytes) break;
    Frame frame{.header = decode_frame_header(*head), .offset = at};
    const Sequence most = least.plus((at - offset_) / (kFrameHeaderBytes + kEncodedRecordMin));
    if (!plausible_size(frame.header.encoded) || frame.header.sequence < least ||
        frame.header.sequence > most)
      continue;
    frame.size = frame_bytes(frame.header.encoded);
    const auto whole = bytes(at, frame.size, limit);
    if (!whole || whole->size() < frame.size || !frame_fits(*whole)) continue;
    frame.encoded = whole->substr(kFrameHeaderBytes, frame.header.encoded);
    return std::optional<Frame>(frame);
  }
  return std::optional<Frame>();
}

Result<Bytes> SegmentReader::head() {
  Bytes head(kSegmentHeaderMax, '\0');
  auto got = file_->read_at(0, head.data(), head.size());
  if (!got && got.error().kind == ErrorKind::io) {  // perhaps only what lies behind the header
    head.resize(kSectorBytes);
    got = file_->read_at(0, head.data(), head.size());
  }
  if (!got) return std::move(got).error();
  head.resize(*got);
  return head;
}

Result<ByteView> SegmentReader::bytes(std::uint64_t offset, std::uint64_t count,
                                      std::uint64_t limit) {
  if (offset >= limit) return ByteView();
  count = std::min(count, limit - offset);
  if (offset < buffer_offset_ || offset + count > buffer_offset_ + buffer_.size()) {
    const bool careful = offset < careful_until_;
    const std::uint64_t ahead =
        careful ? (offset + count + kSectorBytes - 1) / kSectorBytes * kSectorBytes - offset
                : kReadAheadBytes;
    const std::uint64_t ask = std::min(std::max(count, ahead), limit - offset);
    buffer_.resize(ask);
    buffer_offset_ = offset;
    const auto got = file_->read_at(offset, buffer_.data(), ask);
    if (!got) {
      buffer_.clear();
      if (careful || got.error().kind != ErrorKind::io)
        return within(fmt::format("reading {} at offset {}", path_, offset), got.error());
      careful_until_ = offset + ask;
      return bytes(offset, count, limit);
    }
    buffer_.resize(*got);
  }
  return ByteView(buffer_).substr(offset - buffer_offset_, count);
}

Result<std::optional<Frame>> SegmentReader::refused(const Error& error) {
  if (error.kind != ErrorKind::io) return error;
  Error corrupt = damaged(error.what);
  unreadable_ = true;
  return corrupt;
}

Error SegmentReader::damaged(std::string why) {
  buffer_.clear();  // it may have been repaired when it is read again
  unreadable_ = false;
  why_ = std::move(why);
  return permanent(ErrorKind::corrupt,
                   "journal file {} is damaged at offset {} (place {}): {}; it is repaired from "
                   "the other region's "
                   "journal when the link is up",
                   path_, offset_, Place{epoch_, expected_}, why_);
}

}  // namespace farshore::journal
