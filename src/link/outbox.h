// Outbox: all that a session wants to send, handed out in batches to the sending threads of its
// connections. Channels wait in send() for room; connections wait in next() for work. The first
// connection takes what there is; the others take part when more waits than it can carry, so that
// small traffic stays in one compression context. Any thread.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <vector>

#include "link/payload.h"
#include "link/send_meter.h"
#include "link/send_queue.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::link {

constexpr std::uint64_t kChannelQueueMax = 4_MiB;  // of one channel; one message always fits
constexpr std::uint64_t kSessionQueueMax =
    64_MiB;                                 // of all; each channel still gets one message in
constexpr std::size_t kBatchFill = 64_KiB;  // a batch is closed when it holds so much
constexpr std::size_t kAnswersMax = 8;      // keepalives not yet answered; older ones are dropped

struct KeepaliveHeard {
  std::uint64_t id = 0;
  WallTime received_at{};
  MonotonicTime received{};
};

// What one sending thread writes at once, in this order.
struct Batch {
  std::vector<KeepaliveHeard> answers;
  std::optional<Keepalive> keepalive;
  std::vector<std::pair<std::uint32_t, std::uint64_t>> credits;  // channel, bytes
  bool more = false;
  std::vector<OutgoingFrame> frames;
  bool retire = false;             // nothing follows on this connection
  std::optional<std::string> end;  // nothing follows in this session
};

class Outbox {
 public:
  explicit Outbox(os::World& world) : world_(world) {}

  // Connections: a lower number goes first.
  void add_connection(int connection);
  void remove_connection(int connection);
  Result<Batch> next(int connection);  // waits; closed: the last batch was handed out
  void write_begins(int connection, Duration compressed_for);
  void write_ends(int connection, const Batch& batch, std::uint64_t plain_bytes,
                  std::uint64_t wire_bytes);
  void ask(int connection, Keepalive keepalive);
  void answer(int connection, const KeepaliveHeard& keepalive);
  void retire(int connection);

  // Channels.
  void open(std::uint32_t channel, const Open& open);                     // ours
  void accept(std::uint32_t channel, Class klass, std::uint64_t credit);  // the peer's
  Result<void> send(std::uint32_t channel, ByteView message, Deadline deadline);
  void close(std::uint32_t channel, std::string_view reason);  // after what is queued
  void peer_closed(std::uint32_t channel);  // drops what is queued, and closes too
  void set_class(std::uint32_t channel, Class klass);
  std::uint64_t queued_bytes(std::uint32_t channel) const;
  Result<void> take_credit(std::uint32_t channel, std::uint64_t bytes);  // from the peer
  void give_credit(std::uint32_t channel, std::uint64_t bytes);          // to the peer
  void ask_more();

  // Every connection sends `words` as its last; send() answers `error` from now on.
  void end(std::string words, Error error);

  std::uint64_t waiting_bytes() const;  // may be sent now and is not yet
  SendSample take_sample();
  void look();  // regularly, for the sample

 private:
  struct Connection {
    os::CondVar woken;
    bool waiting = false;  // in next(), for work
    MonotonicTime busy_since{};
    std::optional<Keepalive> keepalive;
    std::deque<KeepaliveHeard> answers;
    bool retire = false, retired = false, said_end = false;
    bool has_own() const { return keepalive || !answers.empty() || retire; }
  };

  bool has_shared() const { return queue_.ready() || !credits_.empty() || more_; }
  bool may_take_shared(int number, MonotonicTime now, Deadline& ask_again) const;
  void wake_for_shared();
  void wake(int number);
  Batch fill(Connection& connection, bool shared);
  bool has_room(std::uint32_t channel, std::uint64_t bytes) const;

  os::World& world_;
  mutable os::Mutex mutex_;
  os::CondVar room_;
  int waiting_for_room_ = 0;
  SendQueue queue_;
  std::set<std::uint32_t> closing_;
  std::map<std::uint32_t, std::uint64_t> credits_;
  bool more_ = false;
  std::map<int, Connection> connections_;
  SendMeter meter_;
  std::optional<Error> ended_;
  std::string end_words_;
};

}  // namespace farshore::link
