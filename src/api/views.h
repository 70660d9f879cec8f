// Views: what an agent says about itself, as plain values. The daemon fills them, views_json.h and
// metrics.h write them out. An empty optional is "unknown": it is written as null or left out,
// never as 0.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/units.h"

namespace farshore::api {

// The later, the worse: a stream shows the worst of its legs.
enum class State : std::uint8_t {
  stopped,
  draining,
  streaming,
  paused,
  copying,
  starting,
  config_differs,
  degraded,
  failed
};

constexpr State kStates[] = {State::starting, State::copying,  State::streaming,
                             State::paused,   State::degraded, State::config_differs,
                             State::failed,   State::draining, State::stopped};

const char* name_of(State state);  // "config-differs"

struct LegStateView {
  State state = State::starting;
  std::string reason;                // why, when not streaming
  std::string remedy;                // what to do: a line that can be pasted where there is one
  std::optional<Duration> retry_in;  // a transient error: when it is tried again
};

// transit: how long the newest commit took to get here. age: now minus the newest commit that is
// here.
struct LagView {
  std::optional<Duration> transit;
  std::optional<Duration> age;
};

struct BacklogView {
  std::optional<std::uint64_t> bytes;
  std::optional<std::uint64_t> transactions;
  std::optional<std::uint64_t> changes;
};

struct RatesView {  // a second, over the last few seconds
  std::optional<double> transactions;
  std::optional<double> changes;
  std::optional<double> bytes;
};

// Counted over restarts where a region counts what it holds itself; what another region is sent:
// since this agent started. For counters of /metrics.
struct TotalsView {
  std::optional<std::uint64_t> transactions;
  std::optional<std::uint64_t> changes;
  std::optional<std::uint64_t> bytes;
  // The first record that is counted; sequence 1: all since the stream began. Empty: not known.
  std::string from_place;
};

struct HistogramView {  // of times, since the agent started
  struct Bucket {
    Duration upto;
    std::uint64_t count = 0;  // of times up to this one, with those of the buckets before
  };
  std::vector<Bucket> buckets;  // ascending
  std::uint64_t count = 0;
  Duration sum{};
};

struct CaptureView {
  LegStateView leg;
  LagView lag;                                  // engine to near journal
  std::string position;                         // the engine's text form; empty: unknown
  std::optional<std::uint64_t> retained_bytes;  // log that the source keeps for us
  std::optional<std::uint64_t> behind_bytes;    // log written at the source, not yet received
  // Until what of it we have not released reaches source.retain_max or source.wal_max, at the
  // present rate; empty: it does not grow.
  std::optional<double> hours_to_retain_max, hours_to_wal_max;
  std::optional<std::uint64_t> open_transactions;
  std::optional<WallTime> heartbeat_at;  // commit time of the newest heartbeat that was captured
  RatesView rates;
  TotalsView totals;
  // How long commits waited for us; empty: none has ended yet.
  std::optional<HistogramView> near_waits, far_waits;
};

struct CopyTableView {
  std::string table;
  std::uint64_t rows = 0;                   // copied so far
  std::optional<std::uint64_t> rows_total;  // estimate
  std::uint64_t bytes = 0;
  std::optional<std::uint64_t> bytes_total;  // estimate
  std::optional<Duration> eta;
};

struct CopyView {
  std::uint64_t tables_done = 0, tables_total = 0;
  std::vector<CopyTableView> tables;  // those that are being copied now
  std::optional<Duration> eta;        // of all that is left
};

struct LegView {
  std::string site, region;
  LegStateView leg;
  // Engine to near journal; to durable in this target's region (the RPO); to visible in the target.
  // Each counts from the commit at the source, so they grow from left to right.
  LagView capture, durability, apply;
  BacklogView to_ship;                       // durable near, not yet durable far
  BacklogView to_apply;                      // durable far, not yet in the target
  std::string durable_place, applied_place;  // "epoch:sequence"; empty: unknown
  std::optional<WallTime>
      durable_commit_time;  // commit time of the newest durable commit in the target's region
  std::optional<WallTime> applied_commit_time;
  std::optional<WallTime> paused_until;  // `pause --at`: applies up to commits of this time
  RatesView rates;  // applied; bytes: received here, or sent as the source's region shows it
  TotalsView shipped, applied;
  std::optional<CopyView> copy;  // while tables are copied
};

struct JournalView {   // this region's journal of the stream
  std::string health;  // good, full, failed, damaged
  std::string reason;  // when not good: file, offset, place, remedy
  std::uint64_t bytes = 0;
  std::uint64_t bytes_max = 0;
  std::string first_place, durable_place;
  std::optional<double> hours_to_bytes_max, hours_to_disk_full;
};

struct StreamView {
  std::string name, id, engine;
  std::string from, from_region;       // site
  State state = State::starting;       // the worst of its legs
  std::optional<CaptureView> capture;  // empty: runs in another region that has not been heard
  std::vector<LegView> targets;
  std::optional<JournalView> journal;
};

struct BytesView {
  std::uint64_t wire = 0, plain = 0;
};

struct LinkView {
  std::string peer;  // region
  bool connected = false;
  std::string state;                 // "connected", or why not
  std::string version, incarnation;  // of the peer's agent; empty: never met
  std::optional<Duration> rtt, clock_offset, clock_offset_bound;
  std::optional<Duration> heard_ago;
  BytesView sent, received;  // since the agent started
  std::optional<double> sent_wire_per_second, received_wire_per_second;
  int connections = 0;
  int compression_level = 0;  // 0: off
  std::string compression_why;
};

struct AgentView {
  std::string cluster, region, version, incarnation;
  WallTime now{}, started_at{};
  Duration uptime{};
  bool ready = false;
  std::string not_ready_why;
  std::optional<WallTime> certificate_expires_at;
  std::uint64_t events_lost = 0;
  std::vector<LinkView> peers;
  std::vector<StreamView> streams;
};

// site::Finding, with the stream it was found for.
struct FindingView {
  enum class Level : std::uint8_t { note, warning, error };
  Level level = Level::error;
  std::string code, stream, object, message, remedy;
};

const char* name_of(FindingView::Level level);

}  // namespace farshore::api
