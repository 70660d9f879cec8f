// What the agent says of itself: statuses of the pipeline as the API's views.
#include "daemon/agent.h"
#include "daemon/readiness.h"

namespace farshore::daemon {
namespace {

constexpr Duration kRateWindow = 5s;

api::State state_of(pipeline::State state) {
  // Both lists are in the same order, the later the worse.
  static_assert(static_cast<int>(pipeline::State::failed) == static_cast<int>(api::State::failed));
  return static_cast<api::State>(state);
}

api::LegStateView leg_view(const pipeline::LegState& leg, MonotonicTime now) {
  api::LegStateView view{.state = state_of(leg.state),
                         .reason = pipeline::shown_reason(leg),
                         .remedy = pipeline::shown_remedy(leg),
                         .retry_in = {}};
  if (leg.retry_at) view.retry_in = std::max(*leg.retry_at - now, Duration::zero());
  return view;
}

api::LagView lag_view(const pipeline::Lag& lag) {
  return {.transit = lag.transit, .age = lag.age};
}

api::BacklogView backlog_view(const std::optional<pipeline::Amount>& amount) {
  if (!amount) return {};
  return {.bytes = amount->bytes, .transactions = amount->transactions, .changes = amount->changes};
}

std::string place_text(Place place) {
  return place.sequence == Sequence(0) ? "" : fmt::format("{}", place);
}

api::TotalsView totals_view(const pipeline::Amount& amount) {
  return {.transactions = amount.transactions,
          .changes = amount.changes,
          .bytes = amount.bytes,
          .from_place = {}};
}

api::TotalsView totals_view(const pipeline::KeptCounts& counts) {
  if (counts.from.epoch == Epoch(0)) return {};
  api::TotalsView view = totals_view(counts.amount);
  view.from_place = place_text(counts.from);
  return view;
}

api::TotalsView without_bytes(api::TotalsView view) {
  view.bytes.reset();
  return view;
}

std::optional<api::HistogramView> histogram_view(const pipeline::CommitWaits::Histogram& waits) {
  if (waits.count() == 0) return std::nullopt;
  api::HistogramView view{.count = waits.count(), .sum = waits.sum};
  std::uint64_t upto = 0;
  for (std::size_t i = 0; i < pipeline::CommitWaits::kBounds.size(); ++i)
    view.buckets.push_back({pipeline::CommitWaits::kBounds[i], upto += waits.ended[i]});
  return view;
}

std::optional<WallTime> known(WallTime time) {
  return time == WallTime{} ? std::nullopt : std::optional(time);
}

const char* health_text(journal::Health health) {
  switch (health) {
    case journal::Health::good:
      return "good";
    case journal::Health::full:
      return "full";
    case journal::Health::failed:
      return "failed";
    case journal::Health::damaged:
      return "damaged";
  }
  return "unknown";
}

// None while there is much room yet, or it does not grow.
std::optional<double> hours_until(std::uint64_t bytes, std::uint64_t limit,
                                  const std::optional<double>& per_second) {
  constexpr std::uint64_t kMuchRoom = 20;  // a twentieth is taken
  if (limit == 0 || bytes < limit / kMuchRoom || !per_second || *per_second <= 0) return {};
  return static_cast<double>(limit - std::min(limit, bytes)) / *per_second / 3600;
}

api::JournalView journal_view(const journal::Status& status, const journal::Options& options) {
  api::JournalView view{.health = health_text(status.health),
                        .reason = status.reason,
                        .bytes = status.bytes,
                        .bytes_max = options.bytes_max,
                        .first_place = place_text(status.first),
                        .durable_place = place_text(status.durable)};
  if (status.hours_to_bytes_max >= 0) view.hours_to_bytes_max = status.hours_to_bytes_max;
  if (status.hours_to_disk_full >= 0) view.hours_to_disk_full = status.hours_to_disk_full;
  return view;
}

// Counts begin anew with a journal that is opened anew, and behind what was not seen
// (pipeline/log_counts.h).
bool went_back(const pipeline::Amount& before, const pipeline::Amount& now) {
  return now.transactions < before.transactions || now.changes < before.changes ||
         now.bytes < before.bytes;
}

std::optional<api::CopyView> copy_view(const std::vector<pipeline::CopyProgress>& tables,
                                       pipeline::State state, MonotonicTime now) {
  if (tables.empty() || state != pipeline::State::copying) return std::nullopt;
  api::CopyView view{.tables_total = tables.size()};
  double left_bytes = 0, rate = 0;
  for (const pipeline::CopyProgress& table : tables) {
    if (table.done) {
      ++view.tables_done;
      continue;
    }
    const double left =
        std::max(0.0, static_cast<double>(table.bytes_total) - static_cast<double>(table.bytes));
    left_bytes += left;
    if (table.began == MonotonicTime{}) continue;
    const double table_rate =
        static_cast<double>(table.bytes) / std::max(0.1, seconds_of(now - table.began));
    rate += table_rate;
    api::CopyTableView row{.table = table.table,
                           .rows = table.rows,
                           .rows_total = table.rows_total,
                           .bytes = table.bytes,
                           .bytes_total = table.bytes_total};
    if (table_rate > 0) row.eta = Duration(static_cast<std::int64_t>(left / table_rate * 1e9));
    view.tables.push_back(std::move(row));
  }
  if (rate > 0) view.eta = Duration(static_cast<std::int64_t>(left_bytes / rate * 1e9));
  return view;
}

}  // namespace

// Called about once a second by whoever watches; the window is what the samples of before cover.
api::RatesView Agent::rates(const std::string& key, const pipeline::Amount& amount) {
  const MonotonicTime now = world_.now();
  os::Lock lock(samples_mutex_);
  auto& samples = samples_[key];
  while (samples.size() > 1 && now - samples[1].at > kRateWindow) samples.erase(samples.begin());
  if (!samples.empty() && went_back(samples.back().amount, amount)) samples.clear();
  api::RatesView view;
  if (!samples.empty() && now - samples.front().at >= 200ms) {
    const double seconds = seconds_of(now - samples.front().at);
    const pipeline::Amount& base = samples.front().amount;
    view.transactions = static_cast<double>(amount.transactions - base.transactions) / seconds;
    view.changes = static_cast<double>(amount.changes - base.changes) / seconds;
    view.bytes = static_cast<double>(amount.bytes - base.bytes) / seconds;
  }
  if (samples.empty() || now - samples.back().at >= 500ms) samples.push_back({now, amount});
  return view;
}

api::StreamView Agent::view_of(const SourceEntry& entry) {
  const pipeline::SourceStatus status = entry.stream->status();
  const MonotonicTime now = world_.now();
  api::StreamView view{.name = entry.config->name,
                       .id = status.stream.is_nil() ? "" : status.stream.text(),
                       .engine = config_.site(entry.config->from)->engine,
                       .from = entry.config->from,
                       .from_region = region_.name,
                       .state = state_of(status.capture.state)};
  const pipeline::CaptureStats& captured = status.captured;
  view.capture = api::CaptureView{
      .leg = leg_view(status.capture, now),
      .lag = lag_view(status.capture_lag),
      .position = captured.source.server_position,
      .retained_bytes = captured.source.heard_at == MonotonicTime{}
                            ? std::nullopt
                            : std::optional(captured.source.retained_bytes),
      .behind_bytes = captured.source.heard_at == MonotonicTime{}
                          ? std::nullopt
                          : std::optional(captured.source.behind_bytes),
      .open_transactions = captured.open_transactions,
      .heartbeat_at = known(captured.heartbeat_time),
      .rates = rates(entry.config->name, {captured.transactions, captured.changes, captured.bytes}),
      .totals = status.captured_ever ? totals_view(*status.captured_ever) : api::TotalsView{},
      .near_waits = histogram_view(status.near_waits),
      .far_waits = histogram_view(status.far_waits)};
  forecast_source(*entry.config, captured.source, *view.capture);
  view.journal = journal_view(status.journal, entry.config->journal);
  for (const pipeline::SourceTargetStatus& target : status.targets) {
    const pipeline::Ack& ack = target.far.ack;
    api::LegView leg{.site = target.site,
                     .region = target.region,
                     .leg = leg_view(target.leg, now),
                     .capture = lag_view(status.capture_lag),
                     .durability = lag_view(target.durability),
                     .apply = lag_view(target.apply),
                     .to_ship = backlog_view(target.to_ship),
                     .durable_place = place_text(ack.durable),
                     .applied_place = place_text({ack.durable.epoch, ack.applied}),
                     .durable_commit_time = known(ack.durable_commit_time),
                     .applied_commit_time = known(ack.applied_commit_time),
                     .paused_until = known(ack.pause_at),
                     .shipped = totals_view({target.far.shipped_transactions,
                                             target.far.shipped_changes, target.far.shipped_bytes}),
                     .copy = copy_view(target.copy, target.leg.state, now)};
    if (target.far.heard_at != MonotonicTime{})
      leg.rates = rates(entry.config->name + "/" + target.site,
                        {ack.applied_transactions, ack.applied_changes, target.far.shipped_bytes});
    if (ack.applied != Sequence(0))  // else its counts may not be known there yet
      leg.applied = without_bytes(
          totals_view(pipeline::Amount{ack.applied_transactions, ack.applied_changes, 0}));
    if (target.to_ship && target.to_apply)
      leg.to_apply = backlog_view(pipeline::Amount{
          target.to_apply->transactions -
              std::min(target.to_apply->transactions, target.to_ship->transactions),
          target.to_apply->changes - std::min(target.to_apply->changes, target.to_ship->changes),
          target.to_apply->bytes - std::min(target.to_apply->bytes, target.to_ship->bytes)});
    view.state = std::max(view.state, leg.leg.state);
    view.targets.push_back(std::move(leg));
  }
  return view;
}

// Of what we hold back at the source, what the near journal has and the far ones lack counts
// towards retain_max, all of it towards wal_max.
void Agent::forecast_source(const config::StreamConfig& stream, const SourceProgress& source,
                            api::CaptureView& capture) {
  if (source.heard_at == MonotonicTime{}) return;
  const std::uint64_t held = source.held_bytes;
  const std::uint64_t captured = held - std::min(held, source.behind_bytes);
  capture.hours_to_retain_max =
      hours_until(captured, stream.source.retain_max,
                  rates(stream.name + "/captured log", {0, 0, captured}).bytes);
  capture.hours_to_wal_max = hours_until(held, stream.source.wal_max,
                                         rates(stream.name + "/held log", {0, 0, held}).bytes);
}

// Only states: the figures are the source's region's to show. `site` empty: of capture.
std::optional<api::LegStateView> Agent::told_by_source(const config::StreamConfig& stream,
                                                       const std::string& site) {
  const std::string& region = config_.site(stream.from)->region;
  for (const auto& peer : peers_) {
    if (peer->region != region) continue;
    const auto heard = site.empty() ? peer->captures.of(stream.name, world_.now())
                                    : peer->captures.of_leg(stream.name, site, world_.now());
    if (!heard) continue;
    const bool failed = heard->state == pipeline::State::failed;
    const std::string there =
        fmt::format("see `farshore status {} --region {}`", stream.name, region);
    return api::LegStateView{.state = state_of(heard->state),
                             .reason = heard->reason,
                             .remedy = failed ? there : "",
                             .retry_in = {}};
  }
  return std::nullopt;
}

// Streams that begin in another region, as this end sees them.
void Agent::view_targets_here(std::vector<api::StreamView>& streams) {
  const MonotonicTime now = world_.now();
  for (const auto& entry : targets_) {
    const pipeline::TargetStatus status = entry->leg->status();
    auto found = std::find_if(streams.begin(), streams.end(), [&](const api::StreamView& s) {
      return s.name == entry->config->name;
    });
    if (found == streams.end()) {
      const config::SiteConfig& from = *config_.site(entry->config->from);
      streams.push_back({.name = entry->config->name,
                         .id = status.stream.is_nil() ? "" : status.stream.text(),
                         .engine = from.engine,
                         .from = from.name,
                         .from_region = from.region,
                         .state = api::State::stopped});
      found = std::prev(streams.end());
      if (const auto told = told_by_source(*entry->config, ""))
        found->capture = api::CaptureView{.leg = *told}, found->state = told->state;
    }
    const pipeline::ReceiveStats& received = status.received;
    const pipeline::ApplyStats& applied = status.applied;
    api::LegView leg{.site = entry->target->site,
                     .region = region_.name,
                     .leg = leg_view(status.leg, now),
                     .durability = lag_view(status.durability),
                     .apply = lag_view(status.apply),
                     .to_apply = backlog_view(status.to_apply),
                     .durable_place = place_text(received.durable),
                     .applied_place = place_text({received.durable.epoch, applied.applied}),
                     .durable_commit_time = known(received.commit_time),
                     .applied_commit_time = known(applied.commit_time),
                     .paused_until = status.pause_at,
                     .rates = rates("to/" + entry->config->name + "/" + entry->target->site,
                                    {applied.counted.amount.transactions,
                                     applied.counted.amount.changes, received.bytes}),
                     .shipped = totals_view(status.received_ever),
                     .applied = without_bytes(totals_view(applied.counted))};
    if (leg.leg.state == api::State::streaming && !status.source_connected)
      leg.leg.reason = "the source's region is not connected";
    if (!received.source_lacks.empty())
      leg.leg = {.state = api::State::failed,
                 .reason = received.source_lacks,
                 .remedy = stream_command({entry->config->name, entry->target->site, region_.name},
                                          "resnapshot"),
                 .retry_in = {}};
    if (leg.leg.state != api::State::failed)
      leg.leg = told_by_source(*entry->config, entry->target->site).value_or(leg.leg);
    found->state = std::max(found->state, leg.leg.state);
    found->journal = journal_view(status.journal, entry->config->journal);
    found->targets.push_back(std::move(leg));
  }
}

api::LinkView Agent::view_of(const Peer& peer) {
  const link::PeerFacts facts = peer.link->facts();
  api::LinkView view{.peer = peer.region,
                     .connected = facts.connected,
                     .state = facts.state,
                     .version = facts.version,
                     .incarnation = facts.incarnation,
                     .sent = {facts.wire_bytes_sent, facts.plain_bytes_sent},
                     .received = {facts.wire_bytes_received, facts.plain_bytes_received},
                     .connections = facts.connections,
                     .compression_level = facts.compression_level,
                     .compression_why = facts.compression_why};
  if (facts.rtt != Duration::zero()) view.rtt = facts.rtt;
  if (facts.clock_offset_bound != Duration::zero()) {
    view.clock_offset = facts.clock_offset;
    view.clock_offset_bound = facts.clock_offset_bound;
  }
  if (facts.heard_at != MonotonicTime{}) view.heard_ago = world_.now() - facts.heard_at;
  view.sent_wire_per_second =
      rates("link/" + peer.region + "/out", {0, 0, facts.wire_bytes_sent}).bytes;
  view.received_wire_per_second =
      rates("link/" + peer.region + "/in", {0, 0, facts.wire_bytes_received}).bytes;
  return view;
}

api::AgentView Agent::view() {
  api::AgentView view{.cluster = config_.name,
                      .region = region_.name,
                      .version = version_,
                      .incarnation = incarnation_,
                      .now = world_.clock().wall(),
                      .started_at = started_at_,
                      .uptime = world_.now() - started_,
                      .events_lost = event_log_->health().lost};
  {
    os::Lock lock(certificates_mutex_);
    view.certificate_expires_at = certificate_expires_at_;
  }
  for (const auto& peer : peers_) view.peers.push_back(view_of(*peer));
  for (const auto& source : sources_) view.streams.push_back(view_of(*source));
  view_targets_here(view.streams);
  view.not_ready_why = not_ready_why(view.streams);
  view.ready = view.not_ready_why.empty();
  return view;
}

}  // namespace farshore::daemon
