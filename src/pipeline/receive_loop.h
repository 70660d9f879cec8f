// ReceiveLoop: link -> far journal, for one target. serve() handles one ship channel in its
// caller's thread; a second thread sends what has become durable and applied. In flight: one
// message plus the journal's buffer.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>

#include "journal/journal.h"
#include "link/link.h"
#include "pipeline/backlog_meter.h"
#include "pipeline/lag_gauge.h"
#include "pipeline/messages.h"
#include "pipeline/state.h"
#include "pipeline/stream_file.h"

namespace farshore::pipeline {

// The amount is that since the agent's start.
struct ReceiveStats : Amount {
  bool connected = false;
  Place written;
  Place durable;           // this and the next: as the leg has them of the journal
  WallTime commit_time{};  // newest durable; zero: none yet
  const Amount& amount() const { return *this; }
  // An empty journal was begun at `began`, when `before` had been received: what is counted of it.
  std::optional<Place> began;
  Amount before;
  std::string source_lacks;  // why the source cannot go on without a new copy; empty: it can
};

class ReceiveLoop {
 public:
  struct Callbacks {
    std::function<Result<Welcome>(const Hello&)> hello;  // the leg knows who it is
    std::function<void(Ack&)> fill;  // what the leg adds to an Ack: applied, state
    std::function<void(Error)> journal_failed;
  };

  ReceiveLoop(os::World& world, journal::Journal& journal, StateBoard& board, Callbacks callbacks);

  void serve(link::Channel& channel, std::stop_token stop);
  ReceiveStats stats() const;
  std::optional<Amount> backlog(Sequence from) const {
    return meter_.after(from);
  }  // received after it
  Lag lag(WallTime now, Duration source_clock_offset) const {
    return lag_.read(now, source_clock_offset);
  }

 private:
  Result<void> session(link::Channel& channel, std::stop_token stop);
  Result<void> begin(const Begin& begin);
  Result<void> take(Message message, std::stop_token stop);
  Result<void> write(const std::vector<PlacedRecord>& records, std::stop_token stop);
  void serve_acks(link::Channel& channel, std::stop_token stop);
  void acknowledge(link::Channel& channel, std::stop_token stop);
  Result<void> queue_answer(Message message);
  bool ended() const;
  Result<void> send_answers(link::Channel& channel);
  Result<void> ask_for_damaged(link::Channel& channel);
  Result<void> repair(const Fetched& fetched);

  os::World& world_;
  journal::Journal& journal_;
  StateBoard& board_;
  const Callbacks callbacks_;
  LagGauge lag_;
  BacklogMeter meter_;

  mutable os::Mutex mutex_;
  std::vector<Message>
      answers_;  // to be sent by the acknowledging thread, the channel's one sender
  ReceiveStats stats_;
  bool ended_ = false;             // the session's channel takes no acknowledgements any more
  bool begun_ = false;             // by a Begin, in this session
  std::optional<Sequence> asked_;  // damage that the source's region was asked to repair
};

}  // namespace farshore::pipeline
