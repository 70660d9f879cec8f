#include "os/file.h"

#include "base/units.h"

namespace farshore::os {
namespace {

constexpr std::uint64_t kSmallFileMax = 64_MiB;

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  if (slash == std::string::npos) return ".";
  return slash == 0 ? "/" : path.substr(0, slash);
}

Result<void> write_whole(Files& files, const std::string& path, ByteView contents) {
  FARSHORE_TRY_ASSIGN(std::unique_ptr<File> file, files.open(path, OpenMode::create));
  FARSHORE_TRY(file->truncate(0));
  FARSHORE_TRY(file->write_at(0, contents));
  return file->sync();
}

}  // namespace

Result<Bytes> read_file(Files& files, const std::string& path) {
  FARSHORE_TRY_ASSIGN(std::unique_ptr<File> file, files.open(path, OpenMode::read));
  FARSHORE_TRY_ASSIGN(const std::uint64_t size, file->size());
  if (size > kSmallFileMax) {
    return permanent(ErrorKind::invalid,
                     "'{}' holds {}, at most {} is read at once: is it the right file?", path,
                     format_bytes(size), format_bytes(kSmallFileMax));
  }
  Bytes contents(size, '\0');
  FARSHORE_TRY_ASSIGN(const std::size_t count, file->read_at(0, contents.data(), contents.size()));
  contents.resize(count);
  return contents;
}

Result<void> replace_file(Files& files, const std::string& path, ByteView contents) {
  const std::string fresh = path + ".new";
  if (Result<void> written = write_whole(files, fresh, contents); !written.ok()) {
    [[maybe_unused]] const Result<void> ignored =
        files.remove(fresh);  // gives back the space of a full disk
    return written;
  }
  FARSHORE_TRY(files.rename(fresh, path));
  return files.sync_folder(folder_of(path));
}

}  // namespace farshore::os
