#include "os/sim/disk.h"

#include <algorithm>
#include <set>

namespace farshore::os::sim {
namespace {

constexpr std::uint64_t kSectorBytes = 512;
constexpr std::uint64_t kPendingBytesMax =
    64_MiB;  // beyond it the oldest change is written back, as a kernel would

Error not_found(const char* doing, const std::string& path) {
  return permanent(ErrorKind::not_found, "{} '{}': No such file or directory", doing, path);
}

void put(Bytes& image, std::uint64_t offset, ByteView bytes) {
  if (image.size() < offset + bytes.size()) image.resize(offset + bytes.size(), '\0');
  image.replace(offset, bytes.size(), bytes);
}

}  // namespace

std::string normal_path(const std::string& path) {
  std::string normal;
  for (std::size_t at = 0; at < path.size();) {
    const std::size_t end = std::min(path.find('/', at), path.size());
    const std::string_view part(path.data() + at, end - at);
    if (!part.empty() && part != ".") normal.append("/").append(part);
    at = end + 1;
  }
  return normal.empty() ? "/" : normal;
}

Disk::Disk(std::uint64_t seed, const std::string& host, const DiskOptions& disk_options,
           FaultCounts& counts)
    : options(disk_options), random(seed, "disk of " + host), counts_(counts) {
  folders_["/"];
}

// --- names

Disk::Folder* Disk::folder_of(const std::string& path, std::string& name) {
  const std::string normal = normal_path(path);
  const std::size_t slash = normal.rfind('/');
  name = normal.substr(slash + 1);
  const auto found = folders_.find(slash == 0 ? "/" : normal.substr(0, slash));
  return found == folders_.end() ? nullptr : &found->second;
}

void Disk::apply(std::map<std::string, InodePointer>& names, const NameChange& change) {
  if (!change.removed.empty()) names.erase(change.removed);
  if (!change.added.empty()) names[change.added] = change.inode;
}

void Disk::change_name(Folder& folder, NameChange change) {
  apply(folder.seen, change);
  folder.pending.push_back(std::move(change));
}

Result<InodePointer> Disk::open(const std::string& path, bool create) {
  std::string name;
  Folder* folder = folder_of(path, name);
  if (folder == nullptr) return not_found("open of", path);
  if (const auto found = folder->seen.find(name); found != folder->seen.end()) return found->second;
  if (folders_.contains(normal_path(path))) {
    return permanent(ErrorKind::io, "open of '{}': Is a directory", path);
  }
  if (!create) return not_found("open of", path);
  auto inode = std::make_shared<Inode>();
  change_name(*folder, {"", name, inode, 0});
  return inode;
}

Result<std::vector<std::string>> Disk::list(const std::string& path) const {
  const std::string folder = normal_path(path);
  const auto found = folders_.find(folder);
  if (found == folders_.end()) return not_found("listing of", path);
  std::vector<std::string> names;
  for (const auto& [name, inode] : found->second.seen) names.push_back(name);
  const std::string prefix = folder == "/" ? "/" : folder + "/";
  for (const auto& [other, ignored] : folders_) {
    if (other.size() <= prefix.size() || !other.starts_with(prefix)) continue;
    if (other.find('/', prefix.size()) == std::string::npos)
      names.push_back(other.substr(prefix.size()));
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> Disk::create_folder(const std::string& path) {
  const std::string normal = normal_path(path);
  for (std::size_t end = 1; end <= normal.size(); ++end) {
    if (end != normal.size() && normal[end] != '/') continue;
    const std::string part = normal.substr(0, end);
    std::string name;
    if (folder_of(part, name)->seen.contains(name)) {
      return permanent(ErrorKind::io, "making the folder '{}': File exists", part);
    }
    folders_[part];
  }
  return {};
}

Result<void> Disk::rename(const std::string& from, const std::string& to) {
  std::string from_name, to_name;
  Folder* from_folder = folder_of(from, from_name);
  Folder* to_folder = folder_of(to, to_name);
  if (from_folder == nullptr || to_folder == nullptr || !from_folder->seen.contains(from_name)) {
    return not_found("rename of", from);
  }
  const InodePointer inode = from_folder->seen[from_name];
  const auto replaced = to_folder->seen.find(to_name);
  if (replaced != to_folder->seen.end() && replaced->second != inode) drop_name(replaced->second);
  if (from_folder == to_folder) {
    change_name(*from_folder, {from_name, to_name, inode, 0});
  } else {
    const std::uint64_t twin = next_twin_++;
    change_name(*to_folder, {"", to_name, inode, twin});
    change_name(*from_folder, {from_name, "", nullptr, twin});
  }
  return {};
}

Result<void> Disk::remove(const std::string& path) {
  std::string name;
  Folder* folder = folder_of(path, name);
  if (folder != nullptr && folder->seen.contains(name)) {
    drop_name(folder->seen[name]);
    change_name(*folder, {name, "", nullptr, 0});
    return {};
  }
  const auto itself = folders_.find(normal_path(path));
  if (itself == folders_.end()) return not_found("removal of", path);
  if (!list(path)->empty())
    return permanent(ErrorKind::io, "removal of the folder '{}': Directory not empty", path);
  folders_.erase(itself);
  return {};
}

Result<void> Disk::sync_folder(const std::string& path, bool fails) {
  const auto found = folders_.find(normal_path(path));
  if (found == folders_.end()) return not_found("sync of the folder", path);
  if (fails) return permanent(ErrorKind::io, "sync of the folder '{}': Input/output error", path);
  Folder& folder = found->second;
  // A rename between folders is one transaction of the file system.
  for (const NameChange& change : folder.pending) {
    if (change.twin == 0) continue;
    for (auto& [ignored, other] : folders_) {
      if (&other == &folder) continue;
      const auto half = std::find_if(other.pending.begin(), other.pending.end(),
                                     [&](const NameChange& c) { return c.twin == change.twin; });
      if (half == other.pending.end()) continue;
      for (auto it = other.pending.begin(); it != half + 1; ++it) apply(other.durable, *it);
      other.pending.erase(other.pending.begin(), half + 1);
    }
  }
  folder.durable = folder.seen;
  folder.pending.clear();
  return {};
}

void Disk::drop_name(const InodePointer& inode) {
  inode->named = false;
  used_bytes_ -= inode->seen.size();
}

// --- contents

void Disk::resize_seen(Inode& inode, std::uint64_t size) {
  if (inode.named) used_bytes_ += size - inode.seen.size();
  inode.seen.resize(size, '\0');
}

void Disk::apply(Bytes& image, const Inode::Change& change) {
  if (change.truncates) {
    image.resize(change.offset, '\0');
  } else {
    put(image, change.offset, change.bytes);
  }
}

Result<void> Disk::write(Inode& inode, const std::string& path, std::uint64_t offset,
                         ByteView bytes) {
  const std::uint64_t room = inode.seen.size() + free_bytes();
  const bool fits = offset + bytes.size() <= std::max<std::uint64_t>(room, inode.seen.size());
  const std::size_t whole = bytes.size();
  if (!fits) bytes = bytes.substr(0, room > offset ? room - offset : 0);
  if (!bytes.empty()) {
    if (inode.seen.size() < offset + bytes.size()) resize_seen(inode, offset + bytes.size());
    put(inode.seen, offset, bytes);
    inode.pending.push_back({inode.next_change++, offset, Bytes(bytes), false});
    inode.pending_bytes += bytes.size();
    while (inode.pending_bytes > kPendingBytesMax) sync(inode, inode.pending.front().number + 1);
  }
  if (fits) return {};
  counts_.count(Fault::disk_full);
  return transient(
      ErrorKind::disk_full,
      "write of {} bytes to '{}' at offset {}: No space left on device: free space on that disk",
      whole, path, offset);
}

void Disk::truncate(Inode& inode, std::uint64_t size) {
  resize_seen(inode, size);
  inode.pending.push_back({inode.next_change++, size, {}, true});
}

void Disk::sync(Inode& inode, std::uint64_t limit) {
  auto end = inode.pending.begin();
  for (; end != inode.pending.end() && end->number < limit; ++end) {
    apply(inode.durable, *end);
    inode.pending_bytes -= end->bytes.size();
  }
  inode.pending.erase(inode.pending.begin(), end);
}

void Disk::fail_sync(Inode& inode, std::uint64_t limit) {
  auto end = inode.pending.begin();
  for (; end != inode.pending.end() && end->number < limit; ++end) {
    if (random.chance(0.5)) apply(inode.durable, *end);
    inode.pending_bytes -= end->bytes.size();
  }
  inode.pending.erase(inode.pending.begin(), end);
}

std::uint64_t Disk::free_bytes() const {
  return full_ || used_bytes_ >= options.capacity_bytes ? 0 : options.capacity_bytes - used_bytes_;
}

// --- faults

void Disk::arm(Fault fault, std::uint64_t after_operations) {
  armed_.emplace_back(fault, after_operations);
}

bool Disk::fires(Fault fault, double chance) {
  const auto armed =
      std::find_if(armed_.begin(), armed_.end(), [&](const auto& a) { return a.first == fault; });
  if (armed != armed_.end() && armed->second-- == 0) {
    armed_.erase(armed);
  } else if (!random.chance(chance)) {
    return false;
  }
  counts_.count(fault);
  return true;
}

// How many pending changes of names survive, by folder.
std::map<std::string, std::size_t> Disk::choose_kept_names() {
  std::map<std::string, std::size_t> kept;
  for (const auto& [path, folder] : folders_) {
    const std::size_t all = folder.pending.size();
    const std::uint64_t how = random.below(3);
    kept[path] = how == 0 ? 0 : how == 1 ? all : random.below(all + 1);
  }
  // Both halves of a rename between folders survive or none; keeping more settles it.
  for (bool settled = false; !settled;) {
    settled = true;
    std::set<std::uint64_t> twins;
    for (const auto& [path, count] : kept)
      for (std::size_t i = 0; i < count; ++i) twins.insert(folders_[path].pending[i].twin);
    for (auto& [path, count] : kept) {
      const std::vector<NameChange>& pending = folders_[path].pending;
      for (std::size_t i = count; i < pending.size(); ++i) {
        if (pending[i].twin != 0 && twins.contains(pending[i].twin)) count = i + 1, settled = false;
      }
    }
  }
  return kept;
}

void Disk::power_cut() {
  const std::map<std::string, std::size_t> kept = choose_kept_names();
  for (auto& [path, folder] : folders_) {
    const std::size_t count = kept.at(path);
    for (std::size_t i = 0; i < count; ++i) apply(folder.durable, folder.pending[i]);
    for (std::size_t i = count; i < folder.pending.size(); ++i) counts_.count(Fault::lost_name);
    folder.pending.clear();
    folder.seen = folder.durable;
  }
  for (auto& [ignored, folder] : folders_)
    for (auto& [name, inode] : folder.seen) cut_contents(*inode);
  release_locks();
  recount();
}

// All, none, a prefix or any subset of the pending changes; the last that is kept may be torn.
void Disk::cut_contents(Inode& inode) {
  const std::size_t all = inode.pending.size();
  const std::uint64_t how = random.below(4);
  const std::size_t prefix = how == 0 ? 0 : how == 1 ? all : random.below(all + 1);
  std::vector<const Inode::Change*> kept;
  for (std::size_t i = 0; i < all; ++i) {
    const bool keep = how == 3 ? random.chance(0.5) : i < prefix;
    if (keep) kept.push_back(&inode.pending[i]);
    if (!keep) counts_.count(Fault::lost_write);
  }
  const bool torn = !kept.empty() && random.chance(0.5);
  for (const Inode::Change* change : kept) {
    if (torn && change == kept.back() && !change->truncates) {
      keep_torn(inode, *change);
    } else {
      apply(inode.durable, *change);
    }
  }
  inode.pending.clear();
  inode.pending_bytes = 0;
  inode.seen = inode.durable;
}

void Disk::keep_torn(Inode& inode, const Inode::Change& change) {
  const std::uint64_t first = change.offset / kSectorBytes;
  const std::uint64_t sectors =
      (change.offset + change.bytes.size() - 1) / kSectorBytes - first + 1;
  const std::uint64_t end = (first + random.below(sectors)) * kSectorBytes;
  const std::uint64_t size = end > change.offset ? end - change.offset : 0;
  if (size > 0) put(inode.durable, change.offset, ByteView(change.bytes).substr(0, size));
  counts_.count(Fault::torn_write);
}

void Disk::release_locks() {
  for (auto& [ignored, folder] : folders_)
    for (auto& [name, inode] : folder.seen) inode->lock_holder = nullptr;
}

void Disk::recount() {
  used_bytes_ = 0;
  for (auto& [ignored, folder] : folders_) {
    for (auto& [name, inode] : folder.seen) {
      inode->named = true;
      used_bytes_ += inode->seen.size();
    }
  }
}

void Disk::lose_all() {
  folders_.clear();
  folders_["/"];
  used_bytes_ = 0;
  full_ = false;
  counts_.count(Fault::lost_disk);
}

Disk::Image Disk::image() const {
  Image image;
  for (const auto& [path, folder] : folders_) {
    image[path];
    for (const auto& [name, inode] : folder.durable) image[path][name] = inode->durable;
  }
  return image;
}

void Disk::restore(const Image& image) {
  folders_.clear();
  for (const auto& [path, files] : image) {
    Folder& folder = folders_[path];
    for (const auto& [name, bytes] : files) {
      auto inode = std::make_shared<Inode>();
      inode->seen = inode->durable = bytes;
      folder.seen[name] = folder.durable[name] = inode;
    }
  }
  recount();
}

Result<void> Disk::flip_bit(const std::string& path, std::uint64_t offset) {
  FARSHORE_TRY_ASSIGN(const InodePointer inode, open(path, false));
  if (offset >= inode->durable.size()) {
    return permanent(ErrorKind::invalid, "'{}' has {} durable bytes, none at {}", path,
                     inode->durable.size(), offset);
  }
  const char mask = static_cast<char>(1U << random.below(8));
  inode->durable[offset] = static_cast<char>(inode->durable[offset] ^ mask);
  if (offset < inode->seen.size())
    inode->seen[offset] = static_cast<char>(inode->seen[offset] ^ mask);
  counts_.count(Fault::bit_flip);
  return {};
}

}  // namespace farshore::os::sim
