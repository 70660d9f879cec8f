#include "events/event_files.h"

#include <algorithm>
#include <charconv>
#include <optional>

namespace farshore::events {
namespace {

constexpr std::string_view kPrefix = "events-";
constexpr std::string_view kSuffix = ".jsonl";

std::optional<std::uint64_t> first_id_of(std::string_view name) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return std::nullopt;
  if (name.size() <= kPrefix.size() + kSuffix.size()) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(kSuffix.size());
  std::uint64_t id = 0;
  const auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), id);
  if (failure != std::errc() || end != name.data() + name.size() || id == 0) return std::nullopt;
  return id;
}

// Lines that cannot be read, and such that were written a second time after a failed sync, are
// passed over.
std::vector<StoredEvent> parse_lines(std::string_view text) {
  std::vector<StoredEvent> events;
  while (!text.empty()) {
    const auto end = text.find('\n');
    if (end == std::string_view::npos) break;
    auto event = parse_event_line(text.substr(0, end));
    text.remove_prefix(end + 1);
    if (event.ok() && (events.empty() || event->id > events.back().id))
      events.push_back(*std::move(event));
  }
  return events;
}

}  // namespace

std::string EventFiles::path_of(std::uint64_t first_id) const {
  return fmt::format("{}/{}{:020}{}", options_.folder, kPrefix, first_id, kSuffix);
}

Result<EventFiles::Recovered> EventFiles::recover() {
  FARSHORE_TRY(world_.files().create_folder(options_.folder));
  FARSHORE_TRY_ASSIGN(const auto names, world_.files().list(options_.folder));
  for (const std::string& name : names)
    if (const auto id = first_id_of(name)) first_ids_.push_back(*id);
  std::sort(first_ids_.begin(), first_ids_.end());
  Recovered recovered;
  if (first_ids_.empty()) return recovered;

  recovered.file = path_of(first_ids_.back());
  FARSHORE_TRY_ASSIGN(const Bytes text, os::read_file(world_.files(), recovered.file));
  const auto last_end = text.rfind('\n');
  size_ = last_end == Bytes::npos ? 0 : last_end + 1;
  recovered.cut_bytes = text.size() - size_;
  FARSHORE_TRY_ASSIGN(file_, world_.files().open(recovered.file, os::OpenMode::write));
  if (recovered.cut_bytes > 0) {
    FARSHORE_TRY(file_->truncate(size_));
    FARSHORE_TRY(file_->sync());
  }
  recovered.newest = parse_lines(text);
  recovered.newest_id =
      recovered.newest.empty() ? first_ids_.back() - 1 : recovered.newest.back().id;
  return recovered;
}

Result<void> EventFiles::append(const std::vector<StoredEvent>& batch) {
  if (batch.empty()) return {};
  Bytes lines;
  for (const StoredEvent& stored : batch) lines += event_line(stored) + "\n";
  const bool full = size_ > 0 && size_ + lines.size() > options_.file_bytes_max;
  if (file_ == nullptr || full) FARSHORE_TRY(begin_file(batch.front().id));
  auto written = file_->write_at(size_, lines);
  if (written.ok()) written = file_->sync();
  if (!written.ok()) {
    (void)file_->truncate(size_);  // what stays all the same is passed over when read
    file_.reset();
    return written;
  }
  size_ += lines.size();
  return {};
}

Result<void> EventFiles::begin_file(std::uint64_t first_id) {
  file_.reset();
  const std::string path = path_of(first_id);
  if (!first_ids_.empty() && first_ids_.back() == first_id) {
    FARSHORE_TRY(world_.files().remove(path));  // a new file that failed at its first batch
    first_ids_.pop_back();
  }
  FARSHORE_TRY_ASSIGN(auto file, world_.files().open(path, os::OpenMode::create));
  first_ids_.push_back(first_id);
  FARSHORE_TRY(world_.files().sync_folder(options_.folder));
  file_ = std::move(file);
  size_ = 0;
  return remove_oldest();
}

Result<void> EventFiles::remove_oldest() {
  while (first_ids_.size() > std::max<std::size_t>(options_.files_max, 1)) {
    const auto removed = world_.files().remove(path_of(first_ids_.front()));
    if (!removed.ok() && removed.error().kind != ErrorKind::not_found) return removed;
    first_ids_.erase(first_ids_.begin());
  }
  return {};
}

Result<std::vector<StoredEvent>> EventFiles::read_one(std::uint64_t first_id) const {
  auto text = os::read_file(world_.files(), path_of(first_id));
  if (text.ok()) return parse_lines(*text);
  if (text.error().kind == ErrorKind::not_found) return std::vector<StoredEvent>{};
  return std::move(text).error();
}

Result<std::vector<StoredEvent>> EventFiles::read_forward(
    const std::vector<std::uint64_t>& first_ids, const EventQuery& query) const {
  std::vector<StoredEvent> found;
  for (std::size_t i = 0; i < first_ids.size(); ++i) {
    const bool all_before =
        query.after && i + 1 < first_ids.size() && first_ids[i + 1] <= *query.after + 1;
    if (all_before) continue;
    FARSHORE_TRY_ASSIGN(auto events, read_one(first_ids[i]));
    for (StoredEvent& stored : events) {
      const bool twice = !found.empty() && stored.id <= found.back().id;
      if (twice || !matches(stored, query)) continue;
      found.push_back(std::move(stored));
      if (found.size() == query.limit) return found;
    }
  }
  return found;
}

Result<std::vector<StoredEvent>> EventFiles::read_newest(
    const std::vector<std::uint64_t>& first_ids, const EventQuery& query) const {
  std::vector<StoredEvent> found;  // newest first
  for (auto file = first_ids.rbegin(); file != first_ids.rend() && found.size() < query.limit;
       ++file) {
    FARSHORE_TRY_ASSIGN(auto events, read_one(*file));
    for (auto stored = events.rbegin(); stored != events.rend() && found.size() < query.limit;
         ++stored) {
      const bool twice = !found.empty() && stored->id >= found.back().id;
      if (!twice && matches(*stored, query)) found.push_back(std::move(*stored));
    }
  }
  std::reverse(found.begin(), found.end());
  return found;
}

}  // namespace farshore::events
