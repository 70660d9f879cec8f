#include "journal/first_header.h"

namespace farshore::journal {
namespace {

std::string first_header_path(const std::string& folder) {
  return folder + "/first";
}

}  // namespace

std::optional<SegmentHeader> load_first_header(os::Files& files, const std::string& folder) {
  const auto bytes = os::read_file(files, first_header_path(folder));
  if (!bytes) return std::nullopt;
  auto header = decode_segment_header(*bytes);
  return header ? std::optional(*std::move(header)) : std::nullopt;
}

Result<void> save_first_header(os::Files& files, const std::string& folder,
                               const SegmentHeader& header) {
  auto saved = os::replace_file(files, first_header_path(folder), encode_segment_header(header));
  if (saved || saved.error().kind != ErrorKind::disk_full) return saved;
  return remove_first_header(files, folder);
}

Result<void> remove_first_header(os::Files& files, const std::string& folder) {
  auto removed = files.remove(first_header_path(folder));
  if (!removed && removed.error().kind != ErrorKind::not_found) return removed;
  return files.sync_folder(folder);
}

}  // namespace farshore::journal
