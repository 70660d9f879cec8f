#include "events/event_log.h"

#include <algorithm>
#include <deque>

#include "events/event_files.h"
#include "os/mutex.h"
#include "os/thread.h"

namespace farshore::events {
namespace {

constexpr Duration kRetryEvery = 5s;  // while the disk refuses

class FileEventLog final : public EventLog {
 public:
  FileEventLog(os::World& world, const Options& options)
      : world_(world), options_(options), files_(world, options) {}

  ~FileEventLog() override {
    {
      os::Lock lock(mutex_);
      stopping_ = true;
      queued_.notify_all();
      shown_.notify_all();
    }
    writer_ = {};
  }

  Result<void> start() {
    FARSHORE_TRY_ASSIGN(auto recovered, files_.recover());
    newest_id_ = recovered.newest_id;
    first_ids_ = files_.first_ids();
    for (StoredEvent& stored : recovered.newest) show(std::move(stored));
    if (recovered.cut_bytes > 0)
      append({.severity = Severity::warning,
              .name = "events.tail_cut",
              .message = fmt::format("{}: the last line was torn ({} bytes) and was cut off",
                                     recovered.file, recovered.cut_bytes)});
    writer_ = os::Thread("events", [this](std::stop_token) { write_loop(); });
    return {};
  }

  void append(Event event) override {
    event.at = world_.clock().wall();
    os::Lock lock(mutex_);
    if (queue_.size() >= options_.queue_max) {
      ++lost_;
      return;
    }
    queue_.push_back(std::move(event));
    queued_.notify_one();
  }

  Result<std::vector<StoredEvent>> read(const EventQuery& asked, Deadline deadline) override {
    EventQuery query = asked;
    query.limit = std::clamp<std::size_t>(query.limit, 1, kQueryLimitMax);
    os::Lock lock(mutex_);
    if (!memory_suffices(query)) {
      FARSHORE_TRY_ASSIGN(auto found, read_files(lock, query));
      if (!found.empty()) return found;
    }
    auto found = read_memory(query);
    while (found.empty() && !stopping_ && !deadline.reached(world_.now())) {
      shown_.wait(lock, deadline);
      found = read_memory(query);
    }
    return found;
  }

  LogHealth health() const override {
    os::Lock lock(mutex_);
    return {.lost = lost_, .unwritten = unwritten_, .error = error_};
  }

 private:
  // The writer thread: takes what is queued, makes it durable, shows it. In flight: queue_max
  // events and as many that the disk refused. Ends when stopping_ is set and the queue is empty.
  void write_loop() {
    std::vector<StoredEvent> batch;
    while (true) {
      const bool more = take(batch);
      if (!batch.empty()) write(batch);
      if (!more) return;
    }
  }

  bool take(std::vector<StoredEvent>& batch) {
    os::Lock lock(mutex_);
    const Deadline deadline = batch.empty() ? Deadline::never() : world_.after(kRetryEvery);
    queued_.wait(lock, deadline, [&] { return stopping_ || !queue_.empty(); });
    for (Event& event : queue_) batch.push_back({.id = ++newest_id_, .event = std::move(event)});
    queue_.clear();
    if (lost_ > lost_told_)
      batch.push_back({.id = ++newest_id_, .event = lost_event(lost_ - lost_told_)});
    lost_told_ = lost_;
    return !stopping_;
  }

  Event lost_event(std::uint64_t count) {
    return {.severity = Severity::warning,
            .name = "events.lost",
            .message = fmt::format(
                "{} events came faster than the disk took them and were not kept", count),
            .at = world_.clock().wall()};
  }

  void write(std::vector<StoredEvent>& batch) {
    const auto written = files_.append(batch);
    os::Lock lock(mutex_);
    error_ = written.ok() ? std::string() : written.error().what;
    unwritten_ = written.ok() ? 0 : batch.size();
    first_ids_ = files_.first_ids();
    for (const StoredEvent& stored : batch)
      if (recent_.empty() || stored.id > recent_.back().id) show(stored);
    shown_.notify_all();
    if (written.ok()) batch.clear();
    if (batch.size() > options_.queue_max) {
      const std::size_t excess = batch.size() - options_.queue_max;
      batch.erase(batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(excess));
      lost_ += excess;
    }
  }

  void show(StoredEvent stored) {
    recent_.push_back(std::move(stored));
    if (recent_.size() > options_.recent_max) recent_.pop_front();
  }

  bool memory_suffices(const EventQuery& query) const {
    if (first_ids_.empty() || (!recent_.empty() && recent_.front().id <= first_ids_.front()))
      return true;
    if (recent_.empty()) return false;
    if (query.after) return *query.after + 1 >= recent_.front().id;
    if (query.since) return false;  // the wall clock may have gone back: only the files are sure
    return read_memory(query).size() == query.limit;
  }

  std::vector<StoredEvent> read_memory(const EventQuery& query) const {
    std::vector<StoredEvent> found;
    for (const StoredEvent& stored : recent_)
      if (matches(stored, query)) found.push_back(stored);
    if (found.size() > query.limit) {
      const bool newest = !query.after && !query.since;
      const auto excess = static_cast<std::ptrdiff_t>(found.size() - query.limit);
      newest ? found.erase(found.begin(), found.begin() + excess)
             : found.erase(found.end() - excess, found.end());
    }
    return found;
  }

  // Unlocks while it reads. Events that the disk refused are only in memory and follow those of the
  // files.
  Result<std::vector<StoredEvent>> read_files(os::Lock& lock, const EventQuery& query) {
    const auto first_ids = first_ids_;
    lock.unlock();
    const bool newest = !query.after && !query.since;
    auto read =
        newest ? files_.read_newest(first_ids, query) : files_.read_forward(first_ids, query);
    lock.lock();
    FARSHORE_TRY_ASSIGN(auto found, std::move(read));
    for (StoredEvent& stored : read_memory(query))
      if (found.empty() || stored.id > found.back().id) found.push_back(std::move(stored));
    if (found.size() > query.limit) {
      const auto excess = static_cast<std::ptrdiff_t>(found.size() - query.limit);
      newest ? found.erase(found.begin(), found.begin() + excess)
             : found.erase(found.end() - excess, found.end());
    }
    return found;
  }

  os::World& world_;
  const Options options_;
  EventFiles files_;  // changed by the writer thread only, once it runs

  mutable os::Mutex mutex_;
  os::CondVar queued_, shown_;
  std::deque<Event> queue_;
  std::deque<StoredEvent> recent_;        // what readers see
  std::vector<std::uint64_t> first_ids_;  // files_.first_ids(), for readers
  std::uint64_t newest_id_ = 0;
  std::uint64_t lost_ = 0, lost_told_ = 0, unwritten_ = 0;
  std::string error_;
  bool stopping_ = false;
  os::Thread writer_;
};

}  // namespace

bool matches(const StoredEvent& stored, const EventQuery& query) {
  if (query.after && stored.id <= *query.after) return false;
  if (query.since && stored.event.at < *query.since) return false;
  if (!query.stream.empty() && stored.event.stream != query.stream) return false;
  return stored.event.severity >= query.at_least;
}

Result<std::unique_ptr<EventLog>> EventLog::open(os::World& world, const Options& options) {
  auto log = std::make_unique<FileEventLog>(world, options);
  FARSHORE_TRY(log->start());
  return std::unique_ptr<EventLog>(std::move(log));
}

}  // namespace farshore::events
