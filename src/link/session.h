// Session: what stands between two agents while they talk: a pool of connections with a sending and
// a reading thread each, and the channels that run over them. The end of any connection ends it,
// and it never comes back: the link makes a new one. Connections that it does not need any more are
// retired first, so that their end is no cut.
//
// Owned by its RegionLink, whose keeper thread calls tick() and finish(). Channels share its
// mailroom and may outlive it. All calls from any thread but its own; `changed` is called from its
// threads, without a lock held.
#pragma once

#include <map>

#include "link/batch_io.h"
#include "link/clock_filter.h"
#include "link/compression_level.h"
#include "link/handshake.h"
#include "link/pool_growth.h"
#include "link/session_channel.h"
#include "os/thread.h"

namespace farshore::link {

struct Traffic {
  std::uint64_t wire_bytes_sent = 0, plain_bytes_sent = 0;
  std::uint64_t wire_bytes_received = 0, plain_bytes_received = 0;
  Traffic& operator+=(const Traffic& other);
};

struct SessionFacts {
  Traffic traffic;
  LevelState level;
  ClockFilter clock;
  MonotonicTime heard_at{};
  int connections = 0;
};

class Session {
 public:
  struct Identity {
    std::uint64_t number = 0;
    std::string owner;  // incarnation
    bool ours = false;  // we are the owner
    std::string peer_incarnation, peer_version, peer_address;
  };
  enum class Wish { none, ours, peers };  // for one more connection, and whose idea it was

  Session(os::World& world, const Options& options, const Link::Callbacks& callbacks,
          Identity identity, LevelState level, std::function<void()> changed);
  ~Session();

  // Takes a connection whose handshake is done and starts its threads.
  Result<void> attach(std::shared_ptr<os::Connection> connection);
  Result<std::unique_ptr<Channel>> open(const std::string& name, Class klass);

  // Each 100 ms: keepalives, compression level, size of the pool.
  void tick();
  Wish take_wish();
  void ask_peer_for_connection();
  // Whether the peer answers a keepalive within `patience`.
  Liveness ping(Duration patience);

  // Channels fail at once; `words` are sent to the peer as far as it still listens. The first call
  // counts.
  void end(Error error, const std::string& words);
  std::optional<Error> ended() const;
  void finish();  // after end(): closes the connections and waits for the threads

  Standing standing() const;
  const Identity& identity() const { return identity_; }
  SessionFacts facts() const;
  MonotonicTime began_at() const { return began_at_; }

 private:
  struct Sent {
    WallTime wall{};
    MonotonicTime monotonic{};
  };
  struct Pooled {
    int number = 0;
    std::shared_ptr<os::Connection> connection;
    std::map<std::uint64_t, Sent> asked;  // keepalives without an answer, by id; kAskedMax
    std::uint64_t next_id = 1;
    MonotonicTime data_at{};  // last frame of a channel, either way
    bool retiring = false;
    bool sender_done = false, reader_done = false;
    os::Thread sender, reader;
  };

  // session_loops.cpp: the threads.
  void guarded(Pooled& pooled, void (Session::*loop)(Pooled&));
  void send_loop(Pooled& pooled);
  void read_loop(Pooled& pooled);
  Bytes encode_batch(Pooled& pooled, const Batch& batch);
  int level_now() const;
  void count_sent(Pooled& pooled, const Batch& batch, std::size_t plain, std::size_t wire);
  Result<bool> read_batch(Pooled& pooled,
                          BatchReader& reader);  // false: the peer retires the connection
  Result<void> handle(Pooled& pooled, const Frame& frame);
  Result<void> handle_channel_frame(Pooled& pooled, const Frame& frame);
  Result<void> handle_keepalive(Pooled& pooled, const Frame& frame);
  Result<void> handle_answer(Pooled& pooled, const Frame& frame);

  void ask_all(bool with_totals);
  void adapt_level();
  void adapt_pool();
  void retire_idle(MonotonicTime now);
  void remove_retired();

  os::World& world_;
  const Options& options_;
  const Link::Callbacks& callbacks_;
  const Identity identity_;
  const std::function<void()> changed_;
  const MonotonicTime began_at_;
  const std::shared_ptr<Mailroom> mailroom_;

  mutable os::Mutex mutex_;
  os::CondVar answered_, stopped_;
  std::map<int, std::unique_ptr<Pooled>> pool_;
  int next_number_ = 0;
  Traffic traffic_;
  LevelState level_;
  ClockFilter clock_;
  MonotonicTime heard_at_;
  MonotonicTime answered_sent_at_ =
      MonotonicTime::min();  // when the newest answered keepalive was sent
  Wish wish_ = Wish::none;
  std::optional<Error> ended_;

  // tick() only.
  PoolGrowth growth_;
  MonotonicTime keepalive_at_, sample_at_;
};

}  // namespace farshore::link
