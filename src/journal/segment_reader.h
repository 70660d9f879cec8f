// SegmentReader: the frames of one segment file in order, each checked (checksum, sequence, running
// hash). Twin of segment_writer. One thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "journal/segment_format.h"
#include "os/file.h"

namespace farshore::journal {

struct Frame {
  FrameHeader header;
  ByteView encoded;  // the record; valid until the reader's next call
  std::uint64_t offset = 0;
  std::uint64_t size = 0;
  RecordKind kind() const { return static_cast<RecordKind>(encoded[1]); }
};

// What a disk refuses to read at least; a page of the kernel too.
constexpr std::uint64_t kSectorBytes = 4096;

class SegmentReader {
 public:
  SegmentReader(std::shared_ptr<os::File> file, std::string path, Epoch epoch)
      : file_(std::move(file)), path_(std::move(path)), epoch_(epoch) {}
  static Result<SegmentReader> open(os::Files& files, const std::string& path, Epoch epoch);

  SegmentReader for_epoch(Epoch epoch) const {
    return {file_, path_, epoch};
  }  // the epoch is for messages only

  // What the disk refuses to read is damage like any other: `corrupt`.
  //
  // The next frame is that of `expected`, at `offset`. Without `hash_before` its own hash is
  // believed.
  void seek(std::uint64_t offset, Sequence expected, std::optional<std::uint64_t> hash_before);
  // The frame at the position; nullopt at `limit`, behind which nothing is looked at. corrupt names
  // file, offset, place and cause, and the position stays.
  Result<std::optional<Frame>> next(std::uint64_t limit);
  // The first frame at or behind `from` that is whole and bears at least sequence `least`. Does not
  // move the position.
  Result<std::optional<Frame>> find_valid(std::uint64_t from, std::uint64_t limit, Sequence least);
  // The error of next() when the file itself is whole but does not hold what it should.
  Error damaged(std::string why);
  // Forgets what was read ahead: the file's bytes were changed.
  void forget() { buffer_.clear(); }

  // As many bytes as a header may have, fewer of a shorter file or when the disk refuses what lies
  // behind the first sector. io.
  Result<Bytes> head();

  std::uint64_t offset() const { return offset_; }
  Sequence expected() const { return expected_; }
  std::optional<std::uint64_t> hash_before() const { return hash_before_; }
  const std::string& path() const { return path_; }
  const std::string& why() const { return why_; }  // the cause of the last `corrupt`
  bool unreadable() const { return unreadable_; }  // it was the disk that refused
  Epoch epoch() const { return epoch_; }
  os::File& file() { return *file_; }

 private:
  // `count` bytes at `offset`; fewer at the end of the file or at `limit`. io.
  Result<ByteView> bytes(std::uint64_t offset, std::uint64_t count, std::uint64_t limit);
  Result<std::optional<Frame>> refused(const Error& error);
  std::shared_ptr<os::File> file_;
  std::string path_;
  Epoch epoch_;
  std::uint64_t offset_ = 0;
  Sequence expected_;
  std::optional<std::uint64_t> hash_before_;
  std::string why_;
  bool unreadable_ = false;
  std::uint64_t careful_until_ = 0;  // the disk refused something before it: no reading ahead
  Bytes buffer_;
  std::uint64_t buffer_offset_ = 0;
};

}  // namespace farshore::journal
