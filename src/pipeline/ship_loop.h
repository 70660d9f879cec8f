// ShipLoop: near journal -> link, for one target. run() connects, finds the common place, ships
// what is durable; while a channel stands a second thread of its own receives the target's
// acknowledgements. In flight: the channel's window. Verbs go by channels of their own. Stops
// within 200 ms of its token.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <stop_token>

#include "journal/journal.h"
#include "link/link.h"
#include "pipeline/backoff.h"
#include "pipeline/commit_positions.h"
#include "pipeline/lag_gauge.h"
#include "pipeline/messages.h"
#include "pipeline/state.h"
#include "pipeline/stopper.h"

namespace farshore::pipeline {

// Opens a channel to the target's region, without waiting; unavailable while no session stands.
using Dial = std::function<Result<std::unique_ptr<link::Channel>>(const std::string& name,
                                                                  link::Class klass)>;

// Sends one message and receives the answer; a Refuse comes back as its error.
Result<Message> ask(link::Channel& channel, const Message& question, Deadline deadline);

// What the target last said, as the source's side keeps it.
struct FarStatus {
  bool connected = false;
  MonotonicTime heard_at{};
  Ack ack;
  Sequence shipped;
  std::uint64_t shipped_transactions = 0, shipped_changes = 0, shipped_bytes = 0;
};

class ShipLoop {
 public:
  struct Options {
    Uuid stream;
    std::string stream_name, site;
    std::string definition;
    Epoch epoch{1};
    bool required = true;  // for retention
  };
  struct Callbacks {
    std::function<void(const CommitPosition&)> far_durable;
    std::function<bool()> commits_wait;  // for this stream's acknowledgements
    // The target may lack tables: it has welcomed us, or an operator said so at its side.
    std::function<void()> copy_wanted;
    // The target joins, and the journal holds no preamble where it could begin.
    std::function<void()> preamble_wanted;
    std::function<void(Error)> journal_failed;
  };

  // After a message with less payload than kLittle, while no commit waits for the far region: what
  // comes meanwhile goes together, and compresses together.
  static constexpr Duration kGather = 3ms;
  static constexpr std::uint64_t kLittle = 16_KiB;

  ShipLoop(os::World& world, Dial dial, journal::Journal& journal, StateBoard& board,
           Options options, Callbacks callbacks);

  void run(std::stop_token stop);
  void poke() { stopper_.poke(); }
  // A verb for the target's leg; waits for its answer, at most until run() ends. Any thread.
  Result<void> verb(const std::string& name, const std::string& argument, Deadline deadline);

  // The target lacks what is no longer held here: it must begin anew.
  bool overtaken() const;
  // Connected, and the target is not overtaken: what is copied to it can become current.
  bool shipping() const;
  FarStatus status() const;
  Lag durability(WallTime now) const { return durability_.read(now); }
  Lag apply(WallTime now) const { return apply_.read(now); }

 private:
  Result<void> session(std::stop_token stop);
  Result<Welcome> greet(link::Channel& channel);
  Error with_remedy(Error error) const;
  Result<void> start(link::Channel& channel, const Welcome& welcome, const Begin& begin);
  Result<void> wait_for_resnapshot(link::Channel& channel, std::stop_token stop,
                                   const Result<void>& receiving);
  Result<void> ship(link::Channel& channel, const Begin& begin, std::stop_token stop,
                    const Result<void>& receiving);
  // How many bytes of payload.
  Result<std::uint64_t> send(link::Channel& channel, std::vector<PlacedRecord> records);
  Result<void> answer_fetches(link::Channel& channel);
  Result<void> receive(link::Channel& channel, std::stop_token stop);
  void take(const Ack& ack);
  Result<Message> ask_verb(const Verb& verb, Deadline deadline);
  void wait_paused(const std::string& at);
  void disconnected();
  Result<void> repair(link::Channel& channel, Sequence at);
  Result<void> mend(link::Channel& channel);
  Result<std::vector<PlacedRecord>> fetch(link::Channel& channel, Fetch wanted);

  os::World& world_;
  const Dial dial_;
  journal::Journal& journal_;
  StateBoard& board_;
  const Options options_;
  const Callbacks callbacks_;
  Stopper stopper_;
  Backoff backoff_;
  LagGauge durability_, apply_;
  std::optional<Sequence> not_held_;  // damage that the target could not repair; owned by run()

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  CommitPositions shipped_;
  FarStatus far_;
  bool overtaken_ = false;  // the target lacks what was trimmed here: no records are sent
  bool stopped_ = false;
  std::deque<Fetch> fetches_;       // asked by the target, answered by the sending thread
  std::optional<Fetched> fetched_;  // answer to ours
};

}  // namespace farshore::pipeline
