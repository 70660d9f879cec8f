#include "os/sim/sim_files.h"

#include <algorithm>
#include <cstring>
#include <optional>

namespace farshore::os::sim {
namespace {

constexpr Duration kSlowMin = 20ms, kSlowMax = 800ms;

std::uint64_t trace_value(std::uint64_t offset, ByteView bytes) {
  return chain_hash(offset, bytes);
}

class SimFile : public File {
 public:
  SimFile(Core& core, Disk& disk, InodePointer inode, std::string path, OpenMode mode)
      : core_(core), disk_(disk), inode_(std::move(inode)), path_(std::move(path)), mode_(mode) {}

  Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) override {
    core_.switch_point_with("file read", offset);
    if (offset >= inode_->seen.size()) return std::size_t{0};
    count = std::min<std::size_t>(count, inode_->seen.size() - offset);
    std::memcpy(into, inode_->seen.data() + offset, count);
    return count;
  }

  Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
    core_.switch_point_with("file write", trace_value(offset, bytes));
    if (mode_ == OpenMode::read) {
      return permanent(ErrorKind::denied, "write to '{}': it was opened for reading", path_);
    }
    if (disk_.fires(Fault::slow_disk, disk_.options.slow)) {
      core_.sleep(disk_.random.duration(kSlowMin, kSlowMax), "slow write");
    }
    if (disk_.fires(Fault::write_error, disk_.options.write_error))
      return input_output_error("write", offset);
    if (bytes.size() > 1 && disk_.fires(Fault::short_write, disk_.options.short_write)) {
      const ByteView part = bytes.substr(0, disk_.random.between(1, bytes.size() - 1));
      FARSHORE_TRY(disk_.write(*inode_, path_, offset, part));
      return input_output_error("write", offset + part.size());
    }
    return disk_.write(*inode_, path_, offset, bytes);
  }

  Result<void> sync() override {
    core_.switch_point("sync");
    if (sync_failure_) return *sync_failure_;
    // What is written while the disk works is not part of this sync.
    const std::uint64_t limit = inode_->next_change;
    Duration takes = disk_.random.duration(disk_.options.sync_min, disk_.options.sync_max);
    if (disk_.fires(Fault::slow_disk, disk_.options.slow))
      takes += disk_.random.duration(kSlowMin, kSlowMax);
    core_.sleep(takes, "sync");
    if (!disk_.fires(Fault::sync_error, disk_.options.sync_error)) {
      disk_.sync(*inode_, limit);
      return {};
    }
    disk_.fail_sync(*inode_, limit);
    sync_failure_ = permanent(
        ErrorKind::io,
        "sync of '{}': Input/output error: what was written since the last sync may be lost; "
        "look at the disk, then open the file anew",
        path_);
    return *sync_failure_;
  }

  Result<std::uint64_t> size() override {
    core_.switch_point("file size");
    return inode_->seen.size();
  }

  Result<void> truncate(std::uint64_t size) override {
    core_.switch_point_with("truncate", size);
    if (mode_ == OpenMode::read) {
      return permanent(ErrorKind::denied, "truncation of '{}': it was opened for reading", path_);
    }
    if (size != inode_->seen.size()) disk_.truncate(*inode_, size);
    return {};
  }

 private:
  Error input_output_error(const char* doing, std::uint64_t offset) const {
    return permanent(ErrorKind::io, "{} of '{}' at offset {}: Input/output error", doing, path_,
                     offset);
  }

  Core& core_;
  Disk& disk_;
  const InodePointer inode_;
  const std::string path_;
  const OpenMode mode_;
  std::optional<Error> sync_failure_;
};

class SimFileLock : public FileLock {
 public:
  SimFileLock(InodePointer inode, const Life& life) : inode_(std::move(inode)), life_(life) {}
  ~SimFileLock() override {
    if (inode_->lock_holder == &life_) inode_->lock_holder = nullptr;
  }

 private:
  const InodePointer inode_;
  const Life& life_;
};

class SimFiles : public Files {
 public:
  SimFiles(Core& core, Disk& disk, const Life& life) : core_(core), disk_(disk), life_(life) {}

  Result<std::unique_ptr<File>> open(const std::string& path, OpenMode mode) override {
    note("open", path);
    FARSHORE_TRY_ASSIGN(InodePointer inode, disk_.open(path, mode == OpenMode::create));
    return std::unique_ptr<File>(
        std::make_unique<SimFile>(core_, disk_, std::move(inode), path, mode));
  }

  Result<std::vector<std::string>> list(const std::string& folder) override {
    note("list", folder);
    return disk_.list(folder);
  }

  Result<void> create_folder(const std::string& path) override {
    note("create folder", path);
    return disk_.create_folder(path);
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    note("rename", to);
    return disk_.rename(from, to);
  }

  Result<void> remove(const std::string& path) override {
    note("remove", path);
    return disk_.remove(path);
  }

  Result<void> sync_folder(const std::string& path) override {
    note("sync folder", path);
    core_.sleep(disk_.random.duration(disk_.options.sync_min, disk_.options.sync_max),
                "sync folder");
    return disk_.sync_folder(path, disk_.fires(Fault::sync_error, disk_.options.sync_error));
  }

  Result<std::uint64_t> free_bytes(const std::string& path) override {
    note("free bytes", path);
    return disk_.free_bytes();
  }

  Result<std::unique_ptr<FileLock>> lock(const std::string& path,
                                         const std::string& holder) override {
    note("lock file", path);
    FARSHORE_TRY_ASSIGN(InodePointer inode, disk_.open(path, true));
    if (inode->lock_holder != nullptr) {
      return permanent(ErrorKind::conflict, "'{}' is held by {}: stop that one first", path,
                       inode->seen);
    }
    inode->lock_holder = &life_;
    disk_.truncate(*inode, 0);
    [[maybe_unused]] const Result<void> ignored = disk_.write(*inode, path, 0, holder);
    return std::unique_ptr<FileLock>(std::make_unique<SimFileLock>(std::move(inode), life_));
  }

 private:
  void note(const char* what, const std::string& path) {
    core_.switch_point_with(what, trace_value(0, path));
  }

  Core& core_;
  Disk& disk_;
  const Life& life_;
};

}  // namespace

std::unique_ptr<Files> make_sim_files(Core& core, Disk& disk, const Life& life) {
  return std::make_unique<SimFiles>(core, disk, life);
}

}  // namespace farshore::os::sim
