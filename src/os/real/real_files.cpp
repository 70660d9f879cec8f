#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>

#include "os/mutex.h"
#include "os/real/descriptor.h"
#include "os/real/real_parts.h"

namespace farshore::os {
namespace {

constexpr std::size_t kHolderTextMax = 512;

Error file_error(const std::string& doing, int code) {
  const char* reason = std::strerror(code);
  switch (code) {
    case ENOSPC:
      return transient(ErrorKind::disk_full, "{}: {}: free space on that disk", doing, reason);
    case EDQUOT:
      return transient(ErrorKind::disk_full, "{}: {}: raise the disk quota", doing, reason);
    case ENOENT:
      return permanent(ErrorKind::not_found, "{}: {}", doing, reason);
    case EACCES:
    case EPERM:
    case EROFS:
      return permanent(ErrorKind::denied,
                       "{}: {}: run as the owner of that path or change its mode", doing, reason);
    case EMFILE:
    case ENFILE:
      return transient(ErrorKind::io, "{}: {}: raise the limit of open files (LimitNOFILE)", doing,
                       reason);
    default:
      return permanent(ErrorKind::io, "{}: {}", doing, reason);
  }
}

class RealFile : public File {
 public:
  RealFile(Descriptor fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) override {
    std::size_t done = 0;
    while (done < count) {
      const ssize_t n =
          pread(fd_.get(), into + done, count - done, static_cast<off_t>(offset + done));
      if (n == 0) break;
      if (n > 0) {
        done += static_cast<std::size_t>(n);
      } else if (errno != EINTR) {
        return file_error(fmt::format("read of '{}' at offset {}", path_, offset + done), errno);
      }
    }
    return done;
  }

  Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
    while (!bytes.empty()) {
      const ssize_t n = pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (n > 0) {
        bytes.remove_prefix(static_cast<std::size_t>(n));
        offset += static_cast<std::uint64_t>(n);
      } else if (n == 0 || errno != EINTR) {
        return file_error(
            fmt::format("write of {} bytes to '{}' at offset {}", bytes.size(), path_, offset),
            n == 0 ? EIO : errno);
      }
    }
    return {};
  }

  Result<void> sync() override {
    if (Lock lock(mutex_); sync_failure_) return *sync_failure_;
    if (fdatasync(fd_.get()) == 0) return {};
    Lock lock(mutex_);
    sync_failure_ = permanent(
        ErrorKind::io,
        "sync of '{}': {}: what was written since the last sync may be lost; look at the disk, "
        "then open the file anew",
        path_, std::strerror(errno));
    return *sync_failure_;
  }

  Result<std::uint64_t> size() override {
    struct stat info{};
    if (fstat(fd_.get(), &info) != 0) return file_error(fmt::format("size of '{}'", path_), errno);
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<void> truncate(std::uint64_t size) override {
    while (ftruncate(fd_.get(), static_cast<off_t>(size)) != 0) {
      if (errno != EINTR)
        return file_error(fmt::format("truncation of '{}' to {} bytes", path_, size), errno);
    }
    return {};
  }

 private:
  const Descriptor fd_;
  const std::string path_;
  Mutex mutex_;
  std::optional<Error> sync_failure_;
};

class RealFileLock : public FileLock {
 public:
  explicit RealFileLock(Descriptor fd) : fd_(std::move(fd)) {}

 private:
  const Descriptor fd_;  // the kernel drops the lock when it is closed, also by kill -9
};

Result<Descriptor> open_path(const std::string& path, int flags) {
  while (true) {
    const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
    if (fd >= 0) return Descriptor(fd);
    if (errno != EINTR) return file_error(fmt::format("open of '{}'", path), errno);
  }
}

Error lock_conflict(const std::string& path, int fd) {
  char text[kHolderTextMax] = {};
  const ssize_t n = pread(fd, text, sizeof text, 0);
  const std::string holder(text, n > 0 ? static_cast<std::size_t>(n) : 0);
  return permanent(ErrorKind::conflict, "'{}' is held by {}: stop that one first", path,
                   holder.empty() ? "another process" : holder);
}

class RealFiles : public Files {
 public:
  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    int flags = mode == OpenMode::read ? O_RDONLY : O_RDWR;
    if (mode == OpenMode::create) flags |= O_CREAT;
    FARSHORE_TRY_ASSIGN(Descriptor fd, open_path(path, flags));
    return std::unique_ptr<File>(std::make_unique<RealFile>(std::move(fd), path));
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    const std::unique_ptr<DIR, int (*)(DIR*)> open_folder(opendir(folder.c_str()), closedir);
    if (!open_folder) return file_error(fmt::format("listing of '{}'", folder), errno);
    std::vector<std::string> names;
    while (true) {
      errno = 0;
      const dirent* entry = readdir(open_folder.get());
      if (entry == nullptr) break;
      const std::string_view name = entry->d_name;
      if (name != "." && name != "..") names.emplace_back(name);
    }
    if (errno != 0) return file_error(fmt::format("listing of '{}'", folder), errno);
    std::sort(names.begin(), names.end());
    return names;
  }

  Result<void> create_folder(const std::string& path) override {
    for (std::size_t end = 1; end <= path.size(); ++end) {
      if (end != path.size() && path[end] != '/') continue;
      FARSHORE_TRY(create_one_folder(path.substr(0, end)));
    }
    return {};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) == 0) return {};
    return file_error(fmt::format("rename of '{}' to '{}'", from, to), errno);
  }

  Result<void> remove(const std::string& path) override {
    if (unlink(path.c_str()) == 0) return {};
    if (errno != EISDIR && errno != EPERM)
      return file_error(fmt::format("removal of '{}'", path), errno);
    if (rmdir(path.c_str()) == 0) return {};
    return file_error(fmt::format("removal of the folder '{}'", path), errno);
  }

  Result<void> sync_folder(const std::string& path) override {
    FARSHORE_TRY_ASSIGN(const Descriptor fd, open_path(path, O_RDONLY | O_DIRECTORY));
    if (fsync(fd.get()) == 0) return {};
    return file_error(fmt::format("sync of the folder '{}'", path), errno);
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    struct statvfs info{};
    if (statvfs(path.c_str(), &info) != 0)
      return file_error(fmt::format("free space of '{}'", path), errno);
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                         const std::string& holder) override {
    FARSHORE_TRY_ASSIGN(Descriptor fd, open_path(path, O_RDWR | O_CREAT));
    while (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
      if (errno == EWOULDBLOCK) return lock_conflict(path, fd.get());
      if (errno != EINTR) return file_error(fmt::format("lock of '{}'", path), errno);
    }
    // The text is for people only: a full disk must not keep the agent from starting.
    [[maybe_unused]] const int cut = ftruncate(fd.get(), 0);
    [[maybe_unused]] const ssize_t written =
        pwrite(fd.get(), holder.data(), std::min(holder.size(), kHolderTextMax), 0);
    return std::unique_ptr<FileLock>(std::make_unique<RealFileLock>(std::move(fd)));
  }

 private:
  Result<void> create_one_folder(const std::string& path) {
    if (mkdir(path.c_str(), 0700) == 0) return sync_folder(path + "/..");
    const int code = errno;
    struct stat info{};
    if (code == EEXIST && stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode)) return {};
    return file_error(fmt::format("making the folder '{}'", path), code);
  }
};

}  // namespace

std::unique_ptr<Files> make_real_files() {
  return std::make_unique<RealFiles>();
}

}  // namespace farshore::os
