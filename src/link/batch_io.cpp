#include "link/batch_io.h"

#include <algorithm>
#include <cstring>

namespace farshore::link {
namespace {

constexpr std::size_t kReadBytes = 128_KiB;
constexpr std::size_t kWriteBytes =
    64_KiB;  // each slice has the whole patience: a slow WAN is not a dead one

Result<void> read_exactly(os::Connection& connection, char* into, std::size_t count,
                          Deadline deadline) {
  while (count > 0) {
    FARSHORE_TRY_ASSIGN(const std::size_t got, connection.read(into, count, deadline));
    into += got;
    count -= got;
  }
  return {};
}

Error silent(Error error, const char* what, Duration patience) {
  if (error.kind != ErrorKind::timeout) return error;
  return transient(ErrorKind::unavailable, "the peer {} for {}", what, format_duration(patience));
}

}  // namespace

Result<void> send_single(os::Connection& connection, FrameType type, ByteView payload,
                         Deadline deadline) {
  Bytes wire;
  const auto size = static_cast<std::uint32_t>(kFrameHeaderBytes + payload.size());
  encode_batch_header({Encoding::stored, size, size}, wire);
  encode_frame({.type = type}, payload, wire);
  return connection.write(wire, deadline);
}

Result<SingleFrame> receive_single(os::Connection& connection, std::size_t payload_max,
                                   Deadline deadline) {
  Bytes bytes(kBatchHeaderBytes, '\0');
  FARSHORE_TRY(read_exactly(connection, bytes.data(), bytes.size(), deadline));
  FARSHORE_TRY_ASSIGN(const BatchHeader header, decode_batch_header(bytes));
  if (header.encoding != Encoding::stored || header.wire_bytes > kFrameHeaderBytes + payload_max)
    return permanent(ErrorKind::corrupt, "handshake batch of {} bytes: the limit is {}",
                     header.wire_bytes, kFrameHeaderBytes + payload_max);
  bytes.resize(header.wire_bytes);
  FARSHORE_TRY(read_exactly(connection, bytes.data(), bytes.size(), deadline));
  ByteView left(bytes);
  FARSHORE_TRY_ASSIGN(const Frame frame, take_frame(left));
  if (!left.empty())
    return permanent(ErrorKind::corrupt, "handshake batch holds more than one frame");
  return SingleFrame{frame.header.type, Bytes(frame.payload)};
}

BatchReader::BatchReader(os::World& world, os::Connection& connection, Duration patience)
    : world_(world), connection_(connection), patience_(patience), buffer_(kReadBytes, '\0') {}

Result<void> BatchReader::need(std::size_t count) {
  if (buffer_.size() - begin_ < count || begin_ == end_) {
    std::memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    if (buffer_.size() < count) buffer_.resize(count + kReadBytes);
  }
  while (end_ - begin_ < count) {
    auto got =
        connection_.read(buffer_.data() + end_, buffer_.size() - end_, world_.after(patience_));
    if (!got.ok()) return silent(std::move(got).error(), "sent nothing", patience_);
    end_ += *got;
  }
  return {};
}

Result<ByteView> BatchReader::next() {
  FARSHORE_TRY(need(kBatchHeaderBytes));
  FARSHORE_TRY_ASSIGN(const BatchHeader header,
                      decode_batch_header(ByteView(buffer_).substr(begin_, kBatchHeaderBytes)));
  FARSHORE_TRY(need(kBatchHeaderBytes + header.wire_bytes));
  const ByteView wire = ByteView(buffer_).substr(begin_ + kBatchHeaderBytes, header.wire_bytes);
  begin_ += kBatchHeaderBytes + header.wire_bytes;
  wire_bytes_ = kBatchHeaderBytes + header.wire_bytes;
  FARSHORE_TRY(decompressor_.decompress(header, wire, plain_));
  return ByteView(plain_);
}

BatchWriter::BatchWriter(os::World& world, os::Connection& connection, int window_log)
    : world_(world), connection_(connection), compressor_(window_log) {}

void BatchWriter::prepare(ByteView plain, int level) {
  wire_.assign(kBatchHeaderBytes, '\0');
  const Encoding encoding = compressor_.compress(plain, level, wire_);
  Bytes header;
  encode_batch_header({.encoding = encoding,
                       .wire_bytes = static_cast<std::uint32_t>(wire_.size() - kBatchHeaderBytes),
                       .plain_bytes = static_cast<std::uint32_t>(plain.size())},
                      header);
  wire_.replace(0, kBatchHeaderBytes, header);
}

Result<void> BatchWriter::write(Duration patience) {
  for (ByteView left(wire_); !left.empty();
       left.remove_prefix(std::min(left.size(), kWriteBytes))) {
    auto written = connection_.write(left.substr(0, kWriteBytes), world_.after(patience));
    if (!written.ok()) return silent(std::move(written).error(), "took nothing", patience);
  }
  return {};
}

}  // namespace farshore::link
