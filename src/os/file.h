// Files and File: positional, explicit about durability. What was not synced may be lost or torn by
// a crash; the name of a file (create, rename, remove) is durable only after sync_folder, a
// folder's at once. A failed sync is final for that file: the pages may be gone, so the caller must
// not sync again and believe it (fsync semantics of Linux).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/port.h"
#include "base/result.h"

namespace farshore::os {

// One open file. Different ranges may be written and read by different threads at once.
struct File : Port {
  // Fewer bytes than asked for only at the end of the file.
  virtual Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) = 0;
  // All bytes or an error; after an error any part of the range may have been written (disk_full,
  // io).
  virtual Result<void> write_at(std::uint64_t offset, ByteView bytes) = 0;
  virtual Result<void> sync() = 0;  // fdatasync: contents and size are durable
  virtual Result<std::uint64_t> size() = 0;
  virtual Result<void> truncate(std::uint64_t size) = 0;
};

// Held while it lives, released when it or its process dies.
struct FileLock : Port {};

enum class OpenMode { read, write, create };  // create: made when missing, 0600, contents kept

struct Files : Port {
  virtual Result<std::unique_ptr<File>> open(const std::string& path,
                                             OpenMode mode) = 0;                 // not_found
  virtual Result<std::vector<std::string>> list(const std::string& folder) = 0;  // names, sorted
  virtual Result<void> create_folder(const std::string& path) = 0;  // parents too, 0700; durable
  virtual Result<void> rename(const std::string& from, const std::string& to) = 0;  // replaces `to`
  virtual Result<void> remove(const std::string& path) = 0;  // file or empty folder
  virtual Result<void> sync_folder(const std::string& path) = 0;
  virtual Result<std::uint64_t> free_bytes(const std::string& path) = 0;
  // Exclusive; `holder` is written into the file. conflict: names the text of who holds it.
  virtual Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                                 const std::string& holder) = 0;
};

// The whole of a small file (<= 64 MiB).
Result<Bytes> read_file(Files& files, const std::string& path);
// Replaces a file so that a crash leaves the old or the new contents: temp file, sync, rename, sync
// folder.
Result<void> replace_file(Files& files, const std::string& path, ByteView contents);

}  // namespace farshore::os
