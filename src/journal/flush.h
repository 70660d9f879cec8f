// Group commit: one thread at a time, a waiter or the syncer, writes all that is pending and syncs
// once for all that wait; what is appended meanwhile is the next batch.
#pragma once

#include "journal/log.h"
#include "os/thread.h"

namespace farshore::journal {

// Caller holds Log::mutex as `lock`; pending is not empty and nobody flushes. The lock is released
// while it writes. A full disk leaves the batch pending and sets write_blocked; any other failure
// is final.
void flush_batch(Log& log, os::Lock& lock);

// Flushes what nobody waits for within kUnwaitedSyncDelay, at once when followers wait, and again
// after a full disk. Ends when the log closes, with everything flushed unless the disk failed or is
// full.
class Syncer {
 public:
  explicit Syncer(LogPtr log);

 private:
  os::Thread thread_;
};

constexpr Duration kUnwaitedSyncDelay = 5ms;
constexpr Duration kDiskFullRetry = 1s;

}  // namespace farshore::journal
