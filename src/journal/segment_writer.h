// SegmentWriter: makes segment files and rewrites parts of them. Twin of segment_reader. Appending
// to the newest segment is the syncer's.
#pragma once

#include <memory>
#include <string>

#include "journal/segment_format.h"
#include "journal/segment_index.h"
#include "os/file.h"

namespace farshore::journal {

// A new segment in `folder` with its header, durable under its name; opened for writing.
Result<std::unique_ptr<os::File>> create_segment(os::Files& files, const std::string& folder,
                                                 const SegmentHeader& header);

// The index file beside a closed segment. Not synced: it is a cache.
Result<void> write_index_file(os::Files& files, const std::string& segment_path,
                              const SegmentIndex& index);
std::string index_path(const std::string& segment_path);

// Writes [begin, end) of the file anew and syncs: after a failed sync the kernel may hold pages as
// clean that the disk never got, and reading them proves nothing.
Result<void> rewrite_range(os::File& file, std::uint64_t begin, std::uint64_t end);

// Puts a new file in the place of one of which the disk refuses parts, or that is missing:
// `header`, then what can be read of the first `size` bytes, zeros for the rest; durable.
Result<void> rewrite_readable(os::Files& files, const std::string& path,
                              const SegmentHeader& header, std::uint64_t size);

// A segment file of its own that holds [begin, end) of `from` behind `header`; durable.
Result<void> copy_range(os::Files& files, os::File& from, std::uint64_t begin, std::uint64_t end,
                        const std::string& folder, const SegmentHeader& header);

}  // namespace farshore::journal
