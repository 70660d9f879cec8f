// CaptureSession: one replication connection in COPY both, with what it has received and what it
// has reported. Used by the capture loop's thread (receive, preamble), the acknowledging thread and
// the source's upkeep; every method but preamble may be called from any thread.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "engine/postgres/connection.h"
#include "engine/postgres/feedback.h"
#include "engine/postgres/record_assembler.h"
#include "os/mutex.h"
#include "source/source.h"

namespace farshore::postgres {

// A session in which nothing was heard for so long has ended. TCP's own timeouts notice a dead peer
// within 10 s; a walsender may be busy for longer than that. While it passes over a large
// transaction without a row for us it speaks after half of its wal_sender_timeout.
constexpr Duration kSilenceMax = 60s;
// Lowers that to kSilenceMax in this session, where the server has more, or none. Before
// START_REPLICATION.
Result<void> bound_sender_timeout(Connection& replication, Deadline deadline);

class CaptureSession {
 public:
  struct Options {
    std::string own_origin_prefix;
    std::uint64_t retain_max = 0;
    ResumePlace after;  // where the session goes on
    Lsn begin;          // where the server's messages begin: at or before that
    Lsn confirmed;      // what the slot was released up to
  };

  CaptureSession(os::World& world, std::unique_ptr<Connection> connection, Options options);

  // Records that are here or come before the deadline; empty: none came, or `waker` woke.
  Result<std::vector<Record>> receive(Deadline deadline, os::Waker& waker);
  std::vector<Bytes> preamble() const { return assembler_.preamble(); }

  // Reports at once when it changes what the server may know. Whether the slot had to be released
  // beyond what is durable far.
  std::optional<bool> acknowledge(const Acknowledgement& acknowledgement, os::Waker& waker);
  // Each second: reports, so that the server does not take us for dead while nobody receives.
  void report(os::Waker& waker);
  // From now on receive fails with this.
  void fail(Error error, os::Waker& waker);

  std::optional<Error> failure() const;
  bool log_is_known() const;  // as RecordAssembler's
  Lsn received() const;
  MonotonicTime heard_at() const;

 private:
  struct Wait {
    int fd = -1;
    bool write = false;
    bool ready = false;  // do not wait
  };

  // Lets more of a backlog come before it is taken.
  void gather(Deadline deadline, os::Waker& waker);
  void drain();
  Result<void> read_all();
  Result<void> take(ByteView message);
  Result<void> take_keepalive(ByteView message);
  void tell_emitted();
  void take_acknowledgement(const Acknowledgement& acknowledgement);
  Result<void> send(bool reply_requested);
  Wait next_wait();

  os::World& world_;
  const std::unique_ptr<Connection> connection_;
  // receive's thread only, as what follows; others ask it with the lock whether its log is known
  RecordAssembler assembler_;
  std::uint64_t read_bytes_ = 0;  // of changes, by the last drain
  bool commits_are_old_ = false;
  std::uint64_t unended_bytes_ = 0;  // received since the last commit
  bool in_backlog_ = false;

  mutable os::Mutex mutex_;  // of all below, and of the connection
  Feedback feedback_;
  Reply sent_;
  MonotonicTime sent_at_{}, heard_at_{}, placed_at_{};
  Lsn received_;
  // The newest, while the server may yet be another one: what it then confirmed would be believed.
  std::optional<Acknowledgement> held_;
  bool must_reply_ = false;
  std::optional<Error> failure_;
};

}  // namespace farshore::postgres
