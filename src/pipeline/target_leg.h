// TargetLeg: the far end of a stream for one target: far journal, receive and apply loops, the
// receiving side of its copies. Its run() is a supervisor: it opens the journal, starts the loops,
// and after a journal's failure closes all and begins anew. Channels come from the link by
// accept(); verbs from the API.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "journal/journal.h"
#include "link/link.h"
#include "pipeline/apply_loop.h"
#include "pipeline/channel_server.h"
#include "pipeline/copy_receiver.h"
#include "pipeline/log_counts.h"
#include "pipeline/receive_loop.h"
#include "pipeline/state.h"
#include "pipeline/stream_file.h"
#include "sink/copy_sink.h"

namespace farshore::pipeline {

struct TargetStatus {
  LegState leg;
  Uuid stream;
  Epoch epoch;
  bool source_connected = false;
  ReceiveStats received;
  KeptCounts received_ever;  // over restarts
  ApplyStats applied;
  Lag durability, apply;           // by the source's clock; unknown while its offset is
  std::optional<Amount> to_apply;  // received, not yet applied
  journal::Status journal;
  std::optional<WallTime> pause_at;
};

class TargetLeg {
 public:
  struct Options {
    std::string stream_name, site, region;
    std::string folder;  // of this leg: journal/, stream.file, skipped/
    journal::Options journal;
    // By the definition as the source's region told it; empty: it has not yet.
    std::function<TargetTerms(const std::string& definition)> terms = [](const std::string&) {
      return TargetTerms{};
    };
    SourceClockOffset clock_offset = [] { return Duration::zero(); };
  };

  // The sinks are used by one thread each and must outlive the leg; `aside` is that of tables set
  // aside (pipeline/copy_receiver.h).
  TargetLeg(os::World& world, Options options, Sink& sink, Sink& aside, CopySink& copy_sink,
            EventSink events);

  void run(std::stop_token stop);
  // kind: "ship", "copy", "table" or "verb".
  void accept(const std::string& kind, std::unique_ptr<link::Channel> channel);

  Result<void> pause(std::optional<WallTime> at);
  Result<void> resume();
  Result<void> skip(Place place, Deadline deadline);
  Result<void> resnapshot(const std::string& table);
  Result<void> verb(const std::string& name, const std::string& argument);  // one of the above

  TargetStatus status() const;
  void keep_counts();  // every few seconds, one thread: they outlive this process

 private:
  struct Running;  // what lives between two openings of the journal

  Result<void> run_once(std::stop_token stop);
  void start_apply(Running& running);
  Result<void> load_file();   // under mutex_
  TargetTerms terms() const;  // under mutex_
  static KeptCounts received_ever(const Running& running, const ReceiveStats& stats);
  void serve_ship(link::Channel& channel, std::stop_token stop);
  void serve_verb(link::Channel& channel);
  Result<void> verb_of_source(const Verb& verb);
  Result<void> begin_anew();
  void want_copy();
  Result<void> keep_resumed();
  Result<void> expect_source(const Uuid& stream, Epoch epoch) const;  // under mutex_
  Result<CopyReceiver::Leg> leg_for_copy() const;
  Result<Welcome> welcome(const Hello& hello);
  Result<void> adopt(const Hello& hello);
  LegState shown_state(const Running* running) const;
  void fill(Ack& ack);
  Result<void> edit_file(const std::function<void(StreamFile&)>& edit);
  void fatal(Error error);
  std::shared_ptr<Running> running() const;

  os::World& world_;
  const Options options_;
  Sink& sink_;
  StateBoard board_;
  Stopper stopper_;
  CopyReceiver copies_;

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  std::shared_ptr<Running> running_;
  std::optional<StreamFile> file_;
  std::optional<Error> fatal_;
  std::uint32_t resumes_ = 0;  // how often the source was told to ask what is missing
  LagGauge applied_lag_;
  ChannelServer verb_channels_;  // also while no journal is open
};

}  // namespace farshore::pipeline
