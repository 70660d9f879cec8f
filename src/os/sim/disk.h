// Disk: the disk of one simulated host. Each file has what programs see and what a power cut would
// leave: the durable image plus whatever part of the pending changes chance keeps. It outlives the
// host's incarnations. The rules are those of POSIX at their worst: any subset of unsynced writes
// may survive, the last one torn at a sector; the names of a folder survive as a prefix of their
// changes in order.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "os/sim/fault.h"
#include "os/sim/options.h"
#include "os/sim/random_stream.h"

namespace farshore::os::sim {

struct Inode {
  struct Change {
    std::uint64_t number;
    std::uint64_t offset;  // truncation: the new size
    Bytes bytes;
    bool truncates;
  };

  Bytes seen, durable;
  std::vector<Change>
      pending;  // seen = durable with all of these applied, and with what a failed sync lost
  std::uint64_t pending_bytes = 0;
  std::uint64_t next_change = 1;
  bool named = true;                  // counts into the disk's used bytes
  const void* lock_holder = nullptr;  // the Life that holds the FileLock
};
using InodePointer = std::shared_ptr<Inode>;

class Disk {
 public:
  Disk(std::uint64_t seed, const std::string& host, const DiskOptions& options,
       FaultCounts& counts);

  // --- names; paths are absolute or are taken as such. not_found, io as the real ones.
  Result<InodePointer> open(const std::string& path, bool create);
  Result<std::vector<std::string>> list(const std::string& folder) const;
  Result<void> create_folder(const std::string& path);
  Result<void> rename(const std::string& from, const std::string& to);
  Result<void> remove(const std::string& path);
  Result<void> sync_folder(const std::string& path, bool fails);

  // --- contents
  // disk_full writes what fits.
  Result<void> write(Inode& inode, const std::string& path, std::uint64_t offset, ByteView bytes);
  void truncate(Inode& inode, std::uint64_t size);
  // Changes numbered below `limit` become durable.
  void sync(Inode& inode, std::uint64_t limit);
  // The sync failed: each of them becomes durable or never will, though programs go on seeing it.
  void fail_sync(Inode& inode, std::uint64_t limit);

  // --- faults
  void power_cut();
  void release_locks();
  void lose_all();
  // What is durable, by folder and name; and a disk that comes back with what it once held.
  using Image = std::map<std::string, std::map<std::string, Bytes>>;
  Image image() const;
  void restore(const Image& image);
  Result<void> flip_bit(const std::string& path, std::uint64_t offset);
  void set_full(bool full) { full_ = full; }
  std::uint64_t free_bytes() const;

  DiskOptions options;  // may be changed at any time
  RandomStream random;

  // Faults that were asked for by name: true once for each.
  void arm(Fault fault, std::uint64_t after_operations);
  bool fires(Fault fault, double chance);

 private:
  struct NameChange {
    std::string removed, added;  // empty: none
    InodePointer inode;
    std::uint64_t twin;  // not 0: the other half of a rename between folders
  };
  struct Folder {
    std::map<std::string, InodePointer> seen, durable;
    std::vector<NameChange> pending;
  };

  Folder* folder_of(const std::string& path, std::string& name);
  void change_name(Folder& folder, NameChange change);
  static void apply(std::map<std::string, InodePointer>& names, const NameChange& change);
  static void apply(Bytes& image, const Inode::Change& change);
  void resize_seen(Inode& inode, std::uint64_t size);
  void drop_name(const InodePointer& inode);
  std::map<std::string, std::size_t> choose_kept_names();
  void cut_contents(Inode& inode);
  void keep_torn(Inode& inode, const Inode::Change& change);
  void recount();

  FaultCounts& counts_;
  std::map<std::string, Folder> folders_;
  std::vector<std::pair<Fault, std::uint64_t>> armed_;
  std::uint64_t used_bytes_ = 0;
  std::uint64_t next_twin_ = 1;
  bool full_ = false;
};

// "/a//b/" -> "/a/b"
std::string normal_path(const std::string& path);

}  // namespace farshore::os::sim
