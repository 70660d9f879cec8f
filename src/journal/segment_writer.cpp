#include "journal/segment_writer.h"

#include <algorithm>

#include "journal/segment_reader.h"

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

namespace {

// Sector by sector where the disk refuses.
Result<void> copy_readable(os::File& from, os::File& to, std::uint64_t begin, std::uint64_t end) {
  Bytes chunk;
  std::uint64_t careful_until = 0;
  for (std::uint64_t at = begin; at < end;) {
    const std::uint64_t step = at < careful_until ? kSectorBytes : kCopyBytes;
    const std::uint64_t upto = std::min(end, at / step * step + step);
    chunk.resize(upto - at);
    const auto got = from.read_at(at, chunk.data(), chunk.size());
    if (!got && got.error().kind != ErrorKind::io) return got.error();
    if (!got && at >= careful_until) {
      careful_until = upto;
      continue;
    }
    if (got) {
      chunk.resize(*got);
      FARSHORE_TRY(to.write_at(at, chunk));
      if (*got < upto - at) return {};  // the file's end
    }
    at = upto;
  }
  return {};
}

}  // namespace

Result<void> rewrite_readable(os::Files& files, const std::string& path,
                              const SegmentHeader& header, std::uint64_t size) {
  const std::string fresh = path + ".new";
  FARSHORE_TRY_ASSIGN(auto to, files.open(fresh, os::OpenMode::create));
  FARSHORE_TRY(to->truncate(0));
  FARSHORE_TRY(to->write_at(0, encode_segment_header(header)));
  if (auto from = files.open(path, os::OpenMode::read); from)
    FARSHORE_TRY(copy_readable(**from, *to, header.bytes(), size));
  else if (from.error().kind != ErrorKind::not_found)
    return from.error();
  FARSHORE_TRY(to->sync());
  FARSHORE_TRY(files.rename(fresh, path));
  return files.sync_folder(path.substr(0, path.rfind('/')));
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
