// EventFiles: the files of an EventLog: what is in them, and appending to them. Not thread-safe but
// for reading: read_forward and read_newest take the list of files and may run beside append.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "events/event_log.h"

namespace farshore::events {

class EventFiles {
 public:
  EventFiles(os::World& world, const Options& options) : world_(world), options_(options) {}

  struct Recovered {
    std::vector<StoredEvent> newest;  // of the last file
    std::uint64_t newest_id = 0;      // of all files; 0: none
    std::uint64_t cut_bytes = 0;      // of a torn last line
    std::string file;
  };
  Result<Recovered> recover();

  // Durable when it answers. After an error nothing of `batch` counts as written: give it again, it
  // then goes into a new file (a failed sync is final for its file).
  Result<void> append(const std::vector<StoredEvent>& batch);

  std::vector<std::uint64_t> first_ids() const { return first_ids_; }

  // Events of the files that match, oldest first. `first_ids` as first_ids() gave it; a file that
  // has gone since is passed over.
  Result<std::vector<StoredEvent>> read_forward(const std::vector<std::uint64_t>& first_ids,
                                                const EventQuery& query) const;
  Result<std::vector<StoredEvent>> read_newest(const std::vector<std::uint64_t>& first_ids,
                                               const EventQuery& query) const;

 private:
  std::string path_of(std::uint64_t first_id) const;
  Result<void> begin_file(std::uint64_t first_id);
  Result<void> remove_oldest();
  Result<std::vector<StoredEvent>> read_one(std::uint64_t first_id) const;

  os::World& world_;
  const Options options_;
  std::vector<std::uint64_t> first_ids_;  // sorted
  std::unique_ptr<os::File> file_;        // the last one; empty: the next append begins a new one
  std::uint64_t size_ = 0;                // of file_, known good
};

}  // namespace farshore::events
