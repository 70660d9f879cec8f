// SourceStream: the near end of a stream: near journal, capture loop, and for each target a ship
// loop and a copy sender. run() is a supervisor: it finds the stream's identity (its own file, else
// what the targets hold), opens the journal, starts the loops, and after a journal's failure closes
// all and begins anew. A thread of its own bounds what the source keeps for us, whatever the state
// of these.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "journal/journal.h"
#include "pipeline/capture_loop.h"
#include "pipeline/copy_sender.h"
#include "pipeline/log_counts.h"
#include "pipeline/rebuild.h"
#include "pipeline/ship_loop.h"
#include "pipeline/state.h"
#include "pipeline/stream_file.h"

namespace farshore::pipeline {

// The engine's parts of one stream, made once its identity is known.
struct SourceParts {
  std::shared_ptr<Source> source;
  std::unique_ptr<SnapshotSource> snapshot;
};

struct SourceTargetStatus {
  std::string site, region;
  LegState leg;
  FarStatus far;
  Lag durability, apply;
  std::optional<Amount> to_ship,
      to_apply;  // captured, not yet durable far; captured, not yet applied
  std::vector<CopyProgress> copy;
};

struct SourceStatus {
  LegState capture;
  Uuid stream;
  Epoch epoch;
  std::string identity;
  CaptureStats captured;
  std::optional<KeptCounts> captured_ever;  // over restarts; unknown while it starts
  Lag capture_lag;
  CommitWaits::Histogram near_waits, far_waits;  // of commits that this agent captured
  journal::Status journal;
  std::vector<SourceTargetStatus> targets;
};

class SourceStream {
 public:
  // For targets that are not required, before capture begins without knowing what they hold.
  static constexpr Duration kOptionalWait = 15s;
  struct Target {
    std::string site, region;
    Dial dial;
    bool required = true;
    ExistingRows existing = ExistingRows::refuse;
  };
  struct Options {
    std::string name, region;
    std::string folder;  // journal/, stream.file
    journal::Options journal;
    std::string definition;
    std::size_t tables_at_once = 4;
    std::vector<Target> targets;
    Duration optional_wait = kOptionalWait;  // for those that are not required
  };
  // A stream that is nil is not known yet: its source is only asked to bound the log.
  using MakeParts = std::function<Result<SourceParts>(const Uuid& stream)>;

  SourceStream(os::World& world, Options options, MakeParts make_parts, EventSink events);
  ~SourceStream();

  void run(std::stop_token stop);

  // Verbs. `site` empty: every target, or for pause, resume without targets: the capture.
  Result<void> resume(const std::string& site);
  Result<void> forward(const std::string& site, const std::string& verb,
                       const std::string& argument);
  // `table` empty: all. A target that lacks a part of the log begins anew; when the source itself
  // no longer holds it, all do, and capture goes on behind the gap. conflict: capture has failed of
  // something else.
  Result<void> resnapshot(const std::string& site, const std::string& table);

  SourceStatus status() const;
  void keep_counts();  // every few seconds, one thread: they outlive this process

 private:
  struct Leg;
  struct Running;
  // In the stream's folder while the near journal is filled from the far ones.
  static constexpr const char* kRebuilding = "/rebuilding";

  Result<void> run_once(std::stop_token stop);
  void bound_log(std::stop_token stop);
  std::shared_ptr<Source> source_to_bound();
  Result<SourceParts> parts_of(const Uuid& stream);
  Result<StreamFile> identify(const journal::Journal& journal, std::vector<Held>& held,
                              std::stop_token stop);
  Result<std::vector<Held>> ask_targets(std::stop_token stop);
  Result<std::optional<Error>> ask_each(std::vector<const Target*>& open, std::vector<Held>& held);
  void begin_without(const Target& target, const Error& why);
  Result<Welcome> ask_target(const Target& target);
  Result<void> prepare_journal(journal::Journal& journal, const std::vector<Held>& held);
  std::shared_ptr<Running> start(std::unique_ptr<journal::Journal> journal, SourceParts parts,
                                 const StreamFile& file);
  void keep_for_targets(journal::Journal& journal);
  void make_loops(Running& running, Leg& leg, const StreamFile& file);
  void start_leg(Running& running, Leg& leg);
  void copy_loop(Leg& leg, Running& running, std::stop_token stop);
  void far_durable(Running& running, Leg& leg, const CommitPosition& commit);
  Result<void> capture_goes_on() const;  // conflict: it has failed
  Result<void> keep_identity(const std::string& identity);
  Result<void> copy_anew(Running& running, const std::string& site, const std::string& table,
                         bool gap);
  Result<void> copy_leg_anew(Leg& leg, const std::string& table, bool gap);
  void fatal(Error error);
  std::shared_ptr<Running> running() const;

  os::World& world_;
  const Options options_;
  const MakeParts make_parts_;
  const EventSink events_;
  StateBoard board_;
  Stopper stopper_, bound_stopper_;

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  std::shared_ptr<Running> running_;
  StreamFile file_;
  // One for as long as the agent runs: it remembers what had piled up before.
  std::shared_ptr<Source> source_;
  Uuid source_stream_;
  std::optional<Error> fatal_;
};

}  // namespace farshore::pipeline
