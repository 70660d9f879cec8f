// MemoryDisk: os::Files in memory for tests, with what real disks do: what was not synced may be
// lost or torn by a crash, in blocks and in any order; after a failed sync the kernel calls the
// pages clean although they are not on disk. It passes files_contract (disk_contract_test.cpp).
// Beyond those rules it is laxer than a disk: a file may be opened in a folder that nobody made, an
// open mode forbids nothing, a lock leaves no file, and a folder never goes by a crash.
#pragma once

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <set>
#include <string>

#include "os/file.h"
#include "os/mutex.h"
#include "os/real/real_parts.h"
#include "os/world.h"

namespace farshore::journal {

class MemoryDisk : public os::Files {
 public:
  static constexpr std::size_t kBlock = 512;

  // Guarded by mutex; set them while nothing runs, or through with_lock.
  struct Faults {
    std::uint64_t capacity =
        UINT64_MAX;  // of all files together: writes beyond are cut short with disk_full
    int writes_until_failure = -1;  // 0: the next write fails with io, after half of it
    int syncs_until_failure = -1;   // 0: the next sync fails
    std::string failing_path;       // only files whose path contains this
    Duration sync_takes{};
    // Called at the start of "open", "rename" and "remove" with the (new) path, no lock held.
    std::function<void(std::string_view, const std::string&)> seen = {};
  };
  static constexpr std::uint64_t kSector = 4096;
  struct Counts {
    std::uint64_t syncs = 0, writes = 0, bytes_read = 0;
  };

  void set(const Faults& faults) {
    const os::Lock lock(mutex_);
    faults_ = faults;
  }
  Counts counts() {
    const os::Lock lock(mutex_);
    return counts_;
  }
  // Everything not synced is kept, lost or torn block by block. Open files stay usable but
  // detached.
  void crash(std::uint64_t seed) {
    const os::Lock lock(mutex_);
    std::mt19937_64 random(seed);
    for (const auto& [path, inode] : current_) {
      const auto durable = durable_.find(path);
      const bool synced_name = durable != durable_.end() && durable->second == inode;
      if (!synced_name && random() % 2 == 0) durable_[path] = inode;
    }
    for (auto entry = durable_.begin(); entry != durable_.end();) {
      const bool removed = !current_.contains(entry->first);
      entry = removed && random() % 2 == 0 ? durable_.erase(entry) : std::next(entry);
    }
    std::map<std::string, InodePtr> after;
    std::map<Inode*, InodePtr> copies;
    for (const auto& [path, inode] : durable_) {
      InodePtr& copy = copies[inode.get()];
      if (copy == nullptr) copy = torn(*inode, random);
      after[path] = copy;
    }
    current_ = durable_ = std::move(after);
    locked_.clear();
  }
  Bytes read(const std::string& path) {
    const os::Lock lock(mutex_);
    return current_.at(path)->content;
  }
  // These sectors of the file cannot be read, nor written in part.
  void spoil(const std::string& path, std::set<std::uint64_t> sectors) {
    const os::Lock lock(mutex_);
    current_.at(path)->bad = std::move(sectors);
  }
  // As damage on the platter: also in what is synced.
  void change(const std::string& path, const std::function<void(Bytes&)>& edit) {
    const os::Lock lock(mutex_);
    Inode& inode = *current_.at(path);
    edit(inode.content);
    inode.synced = inode.content;
    inode.dirty.clear();
  }
  std::vector<std::string> paths() {
    const os::Lock lock(mutex_);
    std::vector<std::string> all;
    all.reserve(current_.size());
    for (const auto& [path, inode] : current_) all.push_back(path);
    return all;
  }

  Result<std::unique_ptr<os::File>> open(const std::string& path, os::OpenMode mode) override {
    show("open", path);
    const os::Lock lock(mutex_);
    auto found = current_.find(path);
    if (found == current_.end()) {
      if (mode != os::OpenMode::create)
        return permanent(ErrorKind::not_found, "'{}' does not exist", path);
      found = current_.emplace(path, std::make_shared<Inode>()).first;
    }
    return std::unique_ptr<os::File>(std::make_unique<MemoryFile>(*this, found->second, path));
  }
  Result<std::vector<std::string>> list(const std::string& folder) override {
    const os::Lock lock(mutex_);
    std::set<std::string> names;
    for (const auto& [path, inode] : current_)
      if (folder_of(path) == folder) names.insert(path.substr(folder.size() + 1));
    for (const std::string& path : folders_)
      if (folder_of(path) == folder) names.insert(path.substr(folder.size() + 1));
    if (names.empty() && !folders_.contains(folder))
      return permanent(ErrorKind::not_found, "'{}' does not exist", folder);
    return std::vector<std::string>(names.begin(), names.end());
  }
  Result<void> create_folder(const std::string& path) override {
    const os::Lock lock(mutex_);
    for (std::string folder = path; !folder.empty(); folder = folder_of(folder))
      folders_.insert(folder);
    return {};
  }
  Result<void> rename(const std::string& from, const std::string& to) override {
    show("rename", to);
    const os::Lock lock(mutex_);
    const auto found = current_.find(from);
    if (found == current_.end())
      return permanent(ErrorKind::not_found, "'{}' does not exist", from);
    current_[to] = found->second;
    current_.erase(from);
    return {};
  }
  Result<void> remove(const std::string& path) override {
    show("remove", path);
    const os::Lock lock(mutex_);
    if (current_.erase(path) > 0) return {};
    if (!folders_.contains(path))
      return permanent(ErrorKind::not_found, "'{}' does not exist", path);
    const auto within = [&](const std::string& other) { return other.starts_with(path + "/"); };
    if (std::any_of(folders_.begin(), folders_.end(), within) ||
        std::any_of(current_.begin(), current_.end(),
                    [&](const auto& f) { return within(f.first); }))
      return permanent(ErrorKind::io, "'{}' is not empty", path);
    folders_.erase(path);
    return {};
  }
  Result<void> sync_folder(const std::string& folder) override {
    const os::Lock lock(mutex_);
    std::erase_if(durable_, [&](const auto& entry) { return folder_of(entry.first) == folder; });
    for (const auto& [path, inode] : current_)
      if (folder_of(path) == folder) durable_[path] = inode;
    return {};
  }
  Result<std::uint64_t> free_bytes(const std::string&) override {
    const os::Lock lock(mutex_);
    const std::uint64_t used = used_bytes();
    return used >= faults_.capacity ? 0 : faults_.capacity - used;
  }
  Result<std::unique_ptr<os::FileLock>> lock(const std::string& path,
                                             const std::string& holder) override {
    const os::Lock lock(mutex_);
    const auto [held, taken] = locked_.try_emplace(path, holder);
    if (!taken) return permanent(ErrorKind::conflict, "'{}' is held by {}", path, held->second);
    return std::unique_ptr<os::FileLock>(std::make_unique<MemoryLock>(*this, path));
  }

 private:
  struct Inode {
    Bytes content, synced;
    std::set<std::size_t> dirty;  // blocks of content that the disk has not got
    std::set<std::uint64_t> bad;  // sectors
  };
  using InodePtr = std::shared_ptr<Inode>;

  class MemoryFile : public os::File {
   public:
    MemoryFile(MemoryDisk& disk, InodePtr inode, std::string path)
        : disk_(disk), inode_(std::move(inode)), path_(std::move(path)) {}
    Result<std::size_t> read_at(std::uint64_t offset, char* into, std::size_t count) override {
      const os::Lock lock(disk_.mutex_);
      const Bytes& content = inode_->content;
      if (touches_bad(offset, count, false)) return bad("reading");
      if (offset >= content.size()) return std::size_t{0};
      const std::size_t got = std::min<std::size_t>(count, content.size() - offset);
      content.copy(into, got, offset);
      disk_.counts_.bytes_read += got;
      return got;
    }
    Result<void> write_at(std::uint64_t offset, ByteView bytes) override {
      const os::Lock lock(disk_.mutex_);
      ++disk_.counts_.writes;
      if (touches_bad(offset, bytes.size(), true)) return bad("writing");
      if (disk_.is_due(disk_.faults_.writes_until_failure, path_)) {
        put(offset, bytes.substr(0, bytes.size() / 2));
        return permanent(ErrorKind::io, "writing '{}' failed", path_);
      }
      const std::uint64_t grows = offset + bytes.size() > inode_->content.size()
                                      ? offset + bytes.size() - inode_->content.size()
                                      : 0;
      const std::uint64_t used = disk_.used_bytes();
      const std::uint64_t room = used >= disk_.faults_.capacity ? 0 : disk_.faults_.capacity - used;
      if (grows > room) {
        put(offset,
            bytes.substr(0, bytes.size() - std::min<std::uint64_t>(grows - room, bytes.size())));
        return transient(ErrorKind::disk_full, "no space left for '{}'", path_);
      }
      put(offset, bytes);
      return {};
    }
    Result<void> sync() override {
      Duration takes{};
      {
        const os::Lock lock(disk_.mutex_);
        takes = disk_.faults_.sync_takes;
      }
      if (takes > Duration::zero()) {
        os::Mutex mutex;
        os::CondVar never;
        os::Lock lock(mutex);
        const Deadline end = Deadline::after(os::real_monotonic_now(), takes);
        never.wait(lock, end, [&] { return end.reached(os::real_monotonic_now()); });
      }
      const os::Lock lock(disk_.mutex_);
      ++disk_.counts_.syncs;
      if (disk_.is_due(disk_.faults_.syncs_until_failure, path_)) {
        inode_->dirty.clear();  // the kernel forgets that they never reached the disk
        return permanent(ErrorKind::io, "syncing '{}' failed", path_);
      }
      inode_->synced.resize(inode_->content.size(), '\0');
      for (const std::size_t block : inode_->dirty) copy_block(*inode_, inode_->synced, block);
      inode_->dirty.clear();
      return {};
    }
    Result<std::uint64_t> size() override {
      const os::Lock lock(disk_.mutex_);
      return std::uint64_t{inode_->content.size()};
    }
    Result<void> truncate(std::uint64_t size) override {
      const os::Lock lock(disk_.mutex_);
      inode_->content.resize(size, '\0');
      return {};
    }

   private:
    Error bad(std::string_view doing) const {
      return permanent(ErrorKind::io, "{} '{}': Input/output error", doing, path_);
    }
    // A sector that is written whole is good again: the disk gives it another place.
    bool touches_bad(std::uint64_t offset, std::uint64_t count, bool writes) {
      for (auto at = inode_->bad.begin(); at != inode_->bad.end();) {
        const std::uint64_t begin = *at * kSector, end = begin + kSector;
        const bool touches = offset < end && begin < offset + count;
        const bool whole = offset <= begin && end <= offset + count;
        if (touches && !(writes && whole)) return true;
        at = touches ? inode_->bad.erase(at) : std::next(at);
      }
      return false;
    }
    void put(std::uint64_t offset, ByteView bytes) {
      Bytes& content = inode_->content;
      if (bytes.empty()) return;
      if (offset + bytes.size() > content.size()) content.resize(offset + bytes.size(), '\0');
      std::memcpy(content.data() + offset, bytes.data(), bytes.size());
      for (std::size_t block = offset / kBlock; block <= (offset + bytes.size() - 1) / kBlock;
           ++block)
        inode_->dirty.insert(block);
    }
    MemoryDisk& disk_;
    const InodePtr inode_;
    const std::string path_;
  };

  class MemoryLock : public os::FileLock {
   public:
    MemoryLock(MemoryDisk& disk, std::string path) : disk_(disk), path_(std::move(path)) {}
    ~MemoryLock() override {
      const os::Lock lock(disk_.mutex_);
      disk_.locked_.erase(path_);
    }

   private:
    MemoryDisk& disk_;
    const std::string path_;
  };

  static std::string folder_of(const std::string& path) {
    const std::size_t at = path.rfind('/');
    return at == std::string::npos ? std::string() : path.substr(0, at);
  }
  static void copy_block(const Inode& inode, Bytes& into, std::size_t block) {
    const std::size_t at = block * kBlock;
    const std::size_t end = std::min({at + kBlock, inode.content.size(), into.size()});
    if (at < end) std::memcpy(into.data() + at, inode.content.data() + at, end - at);
  }
  static InodePtr torn(const Inode& inode, std::mt19937_64& random) {
    auto copy = std::make_shared<Inode>();
    copy->synced = inode.synced;
    if (random() % 2 == 0) copy->synced.resize(inode.content.size(), '\0');
    for (const std::size_t block : inode.dirty)
      if (random() % 2 == 0) copy_block(inode, copy->synced, block);
    copy->content = copy->synced;
    copy->bad = inode.bad;
    return copy;
  }
  void show(std::string_view what, const std::string& path) {
    std::function<void(std::string_view, const std::string&)> seen;
    {
      const os::Lock lock(mutex_);
      seen = faults_.seen;
    }
    if (seen) seen(what, path);
  }
  std::uint64_t used_bytes() const {
    std::uint64_t used = 0;
    for (const auto& [path, inode] : current_) used += inode->content.size();
    return used;
  }
  bool is_due(int& countdown, const std::string& path) const {
    if (countdown < 0 || path.find(faults_.failing_path) == std::string::npos) return false;
    return countdown-- == 0;
  }

  os::Mutex mutex_;
  std::map<std::string, InodePtr> current_, durable_;
  std::set<std::string> folders_;
  std::map<std::string, std::string> locked_;  // holders by path
  Faults faults_;
  Counts counts_;
};

// Real monotonic time (waits are real), wall time that a test moves.
class MemoryWorld : public os::World, public os::Clock, public os::Random {
 public:
  os::Clock& clock() override { return *this; }
  os::Random& random() override { return *this; }
  os::Files& files() override { return disk; }
  os::Network& network() override {
    fail_check(__FILE__, __LINE__, "network", "a journal has no network");
  }
  MonotonicTime monotonic() override { return os::real_monotonic_now(); }
  WallTime wall() override { return os::real_wall_now() + wall_offset; }
  std::uint64_t next() override { return generator_(); }

  MemoryDisk disk;
  Duration wall_offset{};

 private:
  std::mt19937_64 generator_{1};
};

}  // namespace farshore::journal
