// FakeAgent: an Agent in memory for tests of the API and the command line, which keeps the contract
// of agent_contract.h. Its streams and sites are those of the view that the test sets; the test
// reads what it was asked.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/agent.h"
#include "os/mutex.h"
#include "os/world.h"

namespace farshore::api {

class FakeAgent final : public Agent {
 public:
  explicit FakeAgent(os::World& world) : world_(world) {}

  AgentView view() override {
    os::Lock lock(mutex_);
    return view_;
  }
  Result<Outcome> act(const StreamAction& action) override {
    os::Lock lock(mutex_);
    actions_.push_back(action);
    if (act_answer_) return *act_answer_;
    FARSHORE_TRY_ASSIGN(const StreamView stream, stream_locked(action.stream));
    if (!action.to.empty() && !has_target(stream, action.to))
      return permanent(ErrorKind::not_found, "stream '{}' has no target '{}'", action.stream,
                       action.to);
    const bool removes = action.verb == Verb::remove, removed = removed_.contains(action.stream);
    if (removed && removes) return Outcome::already;
    if (removed)
      return permanent(ErrorKind::conflict, "stream '{}' was removed here", action.stream);
    if (removes) removed_.insert(action.stream);
    add_locked({.name = removes ? "stream.removed" : std::string("stream.") + name_of(action.verb),
                .stream = action.stream,
                .target = action.to,
                .message = "by " + action.by});
    return Outcome::done;
  }
  Result<std::vector<FindingView>> check(const std::string& stream) override {
    os::Lock lock(mutex_);
    if (!stream.empty()) FARSHORE_TRY(stream_locked(stream));
    return findings_;
  }
  Result<std::string> grants(const std::string& site, GrantRole role) override {
    os::Lock lock(mutex_);
    const bool known = std::any_of(
        view_.streams.begin(), view_.streams.end(),
        [&](const StreamView& stream) { return stream.from == site || has_target(stream, site); });
    if (!known) return permanent(ErrorKind::not_found, "no site '{}' here", site);
    return fmt::format("GRANT {} ON DATABASE app TO farshore;\n",
                       role == GrantRole::source ? "CONNECT" : "CREATE");
  }
  Result<std::vector<events::StoredEvent>> events(const events::EventQuery& query,
                                                  Deadline deadline) override {
    os::Lock lock(mutex_);
    while (true) {
      std::vector<events::StoredEvent> found;
      for (const events::StoredEvent& stored : events_)
        if (events::matches(stored, query)) found.push_back(stored);
      if (found.size() > query.limit) {
        const auto surplus = static_cast<std::ptrdiff_t>(found.size() - query.limit);
        if (query.after || query.since)
          found.erase(found.end() - surplus, found.end());
        else
          found.erase(found.begin(), found.begin() + surplus);
      }
      if (!found.empty() || deadline.reached(world_.now())) return found;
      changed_.wait(lock, deadline);
    }
  }

  void set_view(AgentView view) {
    os::Lock lock(mutex_);
    view_ = std::move(view);
  }
  void set_findings(std::vector<FindingView> findings) {
    os::Lock lock(mutex_);
    findings_ = std::move(findings);
  }
  void set_act_answer(Result<Outcome> answer) {  // of every verb from now on
    os::Lock lock(mutex_);
    act_answer_ = std::move(answer);
  }
  void add_event(Event event) {
    os::Lock lock(mutex_);
    add_locked(std::move(event));
  }
  std::vector<StreamAction> actions() {
    os::Lock lock(mutex_);
    return actions_;
  }

 private:
  Result<StreamView> stream_locked(const std::string& name) const {
    for (const StreamView& stream : view_.streams)
      if (stream.name == name) return stream;
    return permanent(ErrorKind::not_found, "no stream '{}' here", name);
  }
  static bool has_target(const StreamView& stream, const std::string& site) {
    return std::any_of(stream.targets.begin(), stream.targets.end(),
                       [&](const LegView& leg) { return leg.site == site; });
  }
  void add_locked(Event event) {
    events_.push_back({.id = events_.size() + 1, .event = std::move(event)});
    changed_.notify_all();
  }

  os::World& world_;
  os::Mutex mutex_;
  os::CondVar changed_;
  AgentView view_;
  std::vector<FindingView> findings_;
  std::vector<events::StoredEvent> events_;
  std::vector<StreamAction> actions_;
  std::optional<Result<Outcome>> act_answer_;
  std::set<std::string> removed_;  // streams
};

// A region with one healthy target, one that is being copied, a stream that failed and a peer that
// is away.
inline LinkView sample_link() {
  return {.peer = "eu-west-1",
          .connected = true,
          .state = "connected",
          .version = "0.1.0",
          .incarnation = "b1",
          .rtt = 80200us,
          .clock_offset = 1300us,
          .clock_offset_bound = 40ms,
          .heard_ago = 400ms,
          .sent = {.wire = 10_MiB, .plain = 58_MiB},
          .received = {.wire = 1_MiB, .plain = 2_MiB},
          .sent_wire_per_second = 1153434,
          .received_wire_per_second = 12288,
          .connections = 2,
          .compression_level = 3,
          .compression_why = "WAN is scarce: 10 Mbit/s"};
}

inline CaptureView sample_capture() {
  return {
      .leg = {.state = State::streaming},
      .lag = {.transit = 9ms, .age = 12ms},
      .position = "0/16B3748",
      .retained_bytes = 12_MiB,
      .behind_bytes = 0,
      .hours_to_wal_max = 7.5,
      .open_transactions = 3,
      .heartbeat_at = parse_time("2026-11-24T16:17:11.900Z").value(),
      .rates = {.transactions = 1020, .changes = 4080, .bytes = 812000},
      .totals = {.transactions = 120000, .changes = 480000, .bytes = 99000000, .from_place = "1:1"},
      .near_waits =
          HistogramView{.buckets = {{2ms, 90000}, {100ms, 120000}}, .count = 120000, .sum = 180s},
      .far_waits =
          HistogramView{.buckets = {{2ms, 0}, {100ms, 119000}}, .count = 119990, .sum = 9990s}};
}

inline LegView sample_target() {
  return {.site = "orders-eu",
          .region = "eu-west-1",
          .leg = {.state = State::streaming},
          .capture = {.transit = 9ms, .age = 12ms},
          .durability = {.transit = 84ms, .age = 130ms},
          .apply = {.transit = 101ms, .age = 160ms},
          .to_ship = {.bytes = 65536, .transactions = 30, .changes = 120},
          .to_apply = {.bytes = 0, .transactions = 0, .changes = 0},
          .durable_place = "1:991230",
          .applied_place = "1:991200",
          .durable_commit_time = parse_time("2026-11-24T16:17:12.215Z").value(),
          .applied_commit_time = parse_time("2026-11-24T16:17:12.185Z").value(),
          .rates = {.transactions = 990, .changes = 3960, .bytes = 790000},
          .shipped = {.transactions = 119970, .changes = 479880, .bytes = 98900000},
          .applied = {.transactions = 119970, .changes = 479880, .bytes = 98900000}};
}

inline LegView sample_copying_target() {
  return {.site = "orders-ap",
          .region = "ap-south-1",
          .leg = {.state = State::copying},
          .capture = {.transit = 9ms, .age = 12ms},
          .durability = {.transit = 190ms, .age = 230ms},
          .to_ship = {.bytes = 0, .transactions = 0, .changes = 0},
          .durable_place = "1:991230",
          .copy = CopyView{.tables_done = 12,
                           .tables_total = 20,
                           .tables = {{.table = "public.ledger",
                                       .rows = 4100000,
                                       .rows_total = 10000000,
                                       .bytes = 380_MiB,
                                       .bytes_total = 920_MiB,
                                       .eta = 130s}},
                           .eta = 185s}};
}

inline AgentView sample_view() {
  const JournalView journal{.health = "good",
                            .bytes = 1288490189,
                            .bytes_max = 50_GiB,
                            .first_place = "1:1",
                            .durable_place = "1:991260",
                            .hours_to_bytes_max = 31.5};
  const StreamView orders{.name = "orders",
                          .id = "f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
                          .engine = "postgres",
                          .from = "orders-us",
                          .from_region = "us-east-1",
                          .state = State::copying,
                          .capture = sample_capture(),
                          .targets = {sample_target(), sample_copying_target()},
                          .journal = journal};
  const StreamView audit{
      .name = "audit",
      .id = "0c8d3f5e-22c1-4e1b-9f4f-3a2b1c0d9e8f",
      .engine = "postgres",
      .from = "audit-us",
      .from_region = "us-east-1",
      .state = State::failed,
      .targets = {{.site = "audit-eu",
                   .region = "eu-west-1",
                   .leg = {.state = State::failed,
                           .reason = "table public.trail has no column \"note\", which transaction "
                                     "1:4711 (xid 99120) "
                                     "writes",
                           .remedy = "ALTER TABLE public.trail ADD COLUMN note text;\nfarshore "
                                     "stream resume audit"}}}};
  return {.cluster = "shop",
          .region = "us-east-1",
          .version = "0.1.0",
          .incarnation = "a1",
          .now = parse_time("2026-11-24T16:17:12.345Z").value(),
          .started_at = parse_time("2026-11-24T13:05:00Z").value(),
          .uptime = 11532s,
          .ready = true,
          .certificate_expires_at = parse_time("2027-11-24T00:00:00Z").value(),
          .peers = {sample_link(),
                    {.peer = "ap-south-1", .state = "connection refused", .heard_ago = 95s}},
          .streams = {orders, audit}};
}

}  // namespace farshore::api
