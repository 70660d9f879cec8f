// ApplyLoop: far journal -> sink, for one target. run() is its thread. In flight: what the sink
// groups (its limits). Stops when the sink's running group is done.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <stop_token>

#include "journal/journal.h"
#include "pipeline/backoff.h"
#include "pipeline/held_cursor.h"
#include "pipeline/lag_gauge.h"
#include "pipeline/log_counts.h"
#include "pipeline/state.h"
#include "pipeline/stopper.h"
#include "sink/sink.h"

namespace farshore::pipeline {

// What the source's region decides of a target.
struct TargetTerms {
  Duration apply_delay{};
  bool required = true;    // for retention
  std::string difference;  // how this region's own file differs from it; empty: not at all
};

struct ApplyStats {
  Sequence applied, durable;
  KeptCounts counted;      // over restarts; without bytes
  WallTime commit_time{};  // newest applied; zero: none yet
};

class ApplyLoop {
 public:
  struct Options {
    std::string stream_name, site;  // for texts
    Uuid stream;
    Epoch epoch{1};
    std::string skip_folder;             // where skipped transactions are saved
    std::string counts_file;             // how much was applied
    std::function<TargetTerms()> terms;  // asked at each session
    SourceClockOffset clock_offset = [] { return Duration::zero(); };
    // The sink waits for what is to be copied: the source shall say what it lists. Once for each,
    // and again while it still waits.
    std::function<void()> table_wanted = [] {};
  };

  ApplyLoop(os::World& world, Sink& sink, journal::Journal& journal, StateBoard& board,
            Options options, std::function<void(Error)> journal_failed);

  void run(std::stop_token stop);

  // Verbs; any thread.
  void pause(std::optional<WallTime> at);
  // Until it rests after pause(), and its state says so; or the deadline.
  void wait_shown(Deadline deadline);
  void resume();
  void new_session();  // a new session soon: the terms have changed
  // Held back while tables are copied: returns when no group is in the making, or at the deadline
  // (false).
  bool hold_for_copy(bool held, Deadline deadline);
  // What the state says beside `streaming` from the next session on.
  void announce(std::string what);
  static constexpr const char* kConsumer = "apply";  // its name in the far journal
  static constexpr const char* kHeldForCopy =
      "tables are being copied; changes wait in the journal";
  // Skips the transaction that ends at `place` and is next; its content is saved first. Only while
  // this leg is paused or has failed, else conflict: what waits for nobody cannot be named in time.
  // timeout: it was not begun, and is not any more; unavailable: it is being done.
  Result<void> skip(Place place, Deadline deadline);

  // It rests: the journal does not hold what the target needs next.
  bool overtaken() const;
  ApplyStats stats() const;
  void keep_counts();  // every few seconds, one thread: they outlive this process

 private:
  struct SkipRequest {
    Place place;
    bool begun = false;  // it is past being called off
    std::optional<Result<void>> result;
  };

  Result<void> session(std::stop_token stop);
  Result<Sequence> restart_place(Sequence through);
  Result<void> apply_until_told(std::stop_token stop, HeldCursor& cursor);
  Result<CursorItem> item_to_skip(HeldCursor& cursor, Place place);
  Result<void> skip_item(HeldCursor& cursor, SkipRequest& request);
  Result<void> skippable() const;  // under mutex_
  Result<void> save_item(TransactionCursor& cursor, const CursorItem& item,
                         const std::string& path);
  void note(const Applied& applied, Sequence restart);
  bool told() const;        // a verb wants the loop's attention
  Duration show_waiting();  // the state while paused or held; when to look again
  Duration show_rest(bool copying, const std::optional<WallTime>& at);
  std::string next_transaction();
  bool damaged() const;
  Error overtaken_error() const;
  std::string copy_anew() const;
  bool interrupted(const Error& error) const;
  void rest(std::stop_token stop, const Error& error);
  void want_table(const std::string& why);
  void set_failed(bool failed, bool overtaken = false);

  os::World& world_;
  Sink& sink_;
  journal::Journal& journal_;
  StateBoard& board_;
  const Options options_;
  const std::function<void(Error)> journal_failed_;
  Stopper stopper_;
  Backoff backoff_;
  std::string wanted_for_;  // owned by run(), as is
  MonotonicTime wanted_at_{};

  AppliedCounts counts_;
  TargetTerms terms_;  // of the session; owned by run()
  // Restart places of what is applied but not yet durable in the target; owned by run().
  std::deque<std::pair<Sequence, Sequence>> undurable_;  // (through, restart)
  // Newest that was skipped since the loop began: it waits no more, although what the sink has
  // recorded as applied ends before it. Owned by run().
  Sequence skipped_;
  // While paused, and owned by run(): what looks for the next transaction.
  std::unique_ptr<TransactionCursor> ahead_;
  std::string next_;

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  bool paused_ = false;
  bool failed_ = false;  // rests until an operator's verb
  bool overtaken_ = false;
  std::optional<WallTime> pause_at_;
  bool session_outdated_ = false;  // pause or definition changed: it must be opened anew
  bool held_for_copy_ = false;
  std::string announced_;
  bool in_session_ = false;
  bool rest_shown_ = false;  // the state tells that a verb holds it
  std::shared_ptr<SkipRequest> skip_;
  HeldCursor* cursor_ = nullptr;
  ApplyStats stats_;
};

}  // namespace farshore::pipeline
