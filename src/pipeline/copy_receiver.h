// CopyReceiver: the receiving side of a leg's copies. The first copy holds back the leg as a whole.
// A later one (a table that was added, or is copied again) sets its tables aside: the others go on,
// and when the copy is done its changes are applied by a sink of their own until that has come as
// far as the leg's; then they are joined (sink/copy_sink.h).
//
// serve_* run on the threads of their channels, resnapshot on any.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "journal/journal.h"
#include "link/link.h"
#include "pipeline/apply_loop.h"
#include "pipeline/messages.h"
#include "pipeline/state.h"
#include "sink/copy_sink.h"
#include "sink/sink.h"

namespace farshore::pipeline {

class CopyReceiver {
 public:
  // The leg as it stands now.
  struct Leg {
    std::shared_ptr<void> alive;  // keeps journal and loop
    journal::Journal* journal = nullptr;
    ApplyLoop* loop = nullptr;
    Uuid stream;
    Epoch epoch;
    bool copied = false;  // the first copy is complete
    bool required = true;
  };
  struct Callbacks {
    std::function<Result<Leg>()> leg;          // unavailable: its journal is not open
    std::function<Result<void>(bool)> copied;  // kept: whether the first copy is complete
    std::function<void()> copy_wanted;         // the source shall ask what is missing
  };

  // `sink` is the leg's, which is told what the source lists; `aside` that of tables that are set
  // aside. All outlive this.
  CopyReceiver(os::World& world, CopySink& copy_sink, Sink& sink, Sink& aside, StateBoard& board,
               Callbacks callbacks);

  void serve_copy(link::Channel& channel, std::stop_token stop);
  void serve_table(link::Channel& channel, std::stop_token stop);
  // The journal no longer holds changes that are to be applied: begin_anew() is what helps.
  static bool overtaken(const journal::Journal& journal);
  // Copies a table again; empty: all. conflict: a copy is under way.
  Result<void> resnapshot(const std::string& table);
  // All tables are copied as if for the first time, and the journal is emptied: nothing may be
  // received meanwhile.
  Result<void> begin_anew();
  // Any thread: what waits for the target ends, for good.
  void interrupt() { copy_sink_.interrupt(); }

 private:
  Result<void> copy(link::Channel& channel, std::stop_token stop);
  Result<void> answer(link::Channel& channel, const CopyAsk& question, const Leg& leg);
  Result<void> prepare(link::Channel& channel, const Prepare& prepare, const Leg& leg);
  Result<void> complete(const Leg& leg, bool prepared, std::stop_token stop);
  Result<void> receive_table(link::Channel& channel, std::uint64_t run, std::stop_token stop);
  Result<std::unique_ptr<TableWriter>> claim(const TableBegin& begin, std::uint64_t run);
  Result<void> end_claims();
  Result<void> set_aside(const Leg& leg, const std::string& table);
  Result<void> keep_from_here(const Leg& leg);
  Result<void> keep_no_longer(const Leg& leg);
  Result<void> catch_up(const Leg& leg, std::stop_token stop);
  Result<std::optional<Sequence>> follow(const Leg& leg, std::stop_token stop);
  Result<std::optional<Sequence>> lose_aside(const Leg& leg);
  Result<void> wait_for_leg(const Leg& leg, Sequence through, std::stop_token stop);
  Result<void> expect_kept(const Leg& leg);
  Result<void> wait_idle();
  Result<void> hold(const Leg& leg);
  void release(const Leg& leg);
  void refuse(link::Channel& channel, const Error& error);

  os::World& world_;
  CopySink& copy_sink_;
  Sink& sink_;
  Sink& aside_;
  StateBoard& board_;
  const Callbacks callbacks_;
  os::Mutex turn_;  // one copy at a time
  os::Mutex mutex_;
  os::CondVar idle_;
  bool copying_ = false;
  std::uint64_t run_ = 0;  // channels of tables that were opened before belong to another run
  int claiming_ = 0;       // tables whose copy is beginning
};

}  // namespace farshore::pipeline
