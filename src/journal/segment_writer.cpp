#include "journal/segment_writer.h"

#include <algorithm>

namespace farshore::journal {
namespace {

constexpr std::uint64_t kCopyBytes = 1_MiB;

}  // namespace

Result<std::unique_ptr<os::File>> create_segment(os::Files& files, const std::string& folder,
                                                 const SegmentHeader& header) {
  const std::string path = folder + "/" + segment_name(header.first, header.epoch);
  FARSHORE_TRY(os::replace_file(files, path, encode_segment_header(header)));
  return files.open(path, os::OpenMode::write);
}

std::string index_path(const std::string& segment_path) {
  return segment_path.substr(0, segment_path.rfind('.')) + ".index";
}

Result<void> write_index_file(os::Files& files, const std::string& segment_path,
                              const SegmentIndex& index) {
  FARSHORE_TRY_ASSIGN(auto file, files.open(index_path(segment_path), os::OpenMode::create));
  const Bytes bytes = encode_segment_index(index);
  FARSHORE_TRY(file->truncate(0));
  return file->write_at(0, bytes);
}

Result<void> rewrite_range(os::File& file, std::uint64_t begin, std::uint64_t end) {
  Bytes chunk;
  for (std::uint64_t at = begin; at < end; at += chunk.size()) {
    chunk.resize(std::min(kCopyBytes, end - at));
    FARSHORE_TRY_ASSIGN(const std::size_t got, file.read_at(at, chunk.data(), chunk.size()));
    if (got != chunk.size())
      return permanent(ErrorKind::io, "a segment shrank while it was recovered");
    FARSHORE_TRY(file.write_at(at, chunk));
  }
  return file.sync();
}

Result<void> copy_range(os::Files& files, os::File& from, std::uint64_t begin, std::uint64_t end,
                        const std::string& folder, const SegmentHeader& header) {
  FARSHORE_TRY_ASSIGN(auto to, create_segment(files, folder, header));
  Bytes chunk;
  for (std::uint64_t at = begin; at < end; at += chunk.size()) {
    chunk.resize(std::min(kCopyBytes, end - at));
    FARSHORE_TRY_ASSIGN(const std::size_t got, from.read_at(at, chunk.data(), chunk.size()));
    if (got == 0) break;
    chunk.resize(got);
    FARSHORE_TRY(to->write_at(header.bytes() + at - begin, chunk));
  }
  return to->sync();
}

}  // namespace farshore::journal
