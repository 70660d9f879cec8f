#include "api/metrics.h"

#include <limits>

#include "api/metrics_text.h"

namespace farshore::api {
namespace {

using enum MetricsText::Type;

constexpr double kUnknown = std::numeric_limits<double>::quiet_NaN();

double seconds_or_unknown(const std::optional<Duration>& d) {
  return d ? seconds_of(*d) : kUnknown;
}

// Milliseconds are enough, and a double holds them without a tail of digits.
double timestamp(WallTime t) {
  const auto ms = std::chrono::floor<std::chrono::milliseconds>(t.time_since_epoch());
  return static_cast<double>(ms.count()) / 1e3;
}

std::optional<double> seconds_if_known(const std::optional<Duration>& d) {
  return d ? std::optional(seconds_of(*d)) : std::nullopt;
}

std::optional<double> timestamp_if_known(const std::optional<WallTime>& t) {
  return t ? std::optional(timestamp(*t)) : std::nullopt;
}

std::optional<double> hours_as_seconds(const std::optional<double>& hours) {
  return hours ? std::optional(*hours * 3600) : std::nullopt;
}

template <class Write>
void each_target(const AgentView& agent, Write write) {
  for (const StreamView& stream : agent.streams)
    for (const LegView& target : stream.targets) write(stream, target);
}

template <class Write>
void each_capture(const AgentView& agent, Write write) {
  for (const StreamView& stream : agent.streams)
    if (stream.capture) write(stream, *stream.capture);
}

template <class Write>
void each_journal(const AgentView& agent, Write write) {
  for (const StreamView& stream : agent.streams)
    if (stream.journal) write(stream, *stream.journal);
}

void write_agent(MetricsText& out, const AgentView& agent) {
  out.family("farshore_build_info", gauge, "Always 1; the labels say what runs here.");
  out.sample({{"version", agent.version}, {"cluster", agent.cluster}, {"region", agent.region}}, 1);
  out.family("farshore_start_timestamp_seconds", gauge, "When this agent started.");
  out.sample({}, timestamp(agent.started_at));
  out.family("farshore_ready", gauge, "1 when /readyz answers 200.");
  out.sample({}, agent.ready ? 1 : 0);
  out.family("farshore_certificate_expiry_timestamp_seconds", gauge,
             "When this region's certificate expires.");
  out.sample_if_known({}, timestamp_if_known(agent.certificate_expires_at));
  out.family("farshore_events_lost_total", counter, "Events that could not be kept.");
  out.sample({}, static_cast<double>(agent.events_lost));
}

void write_links(MetricsText& out, const AgentView& agent) {
  out.family("farshore_connected", gauge, "1 while the link to the peer region stands.");
  for (const LinkView& link : agent.peers)
    out.sample({{"peer", link.peer}}, link.connected ? 1 : 0);
  out.family("farshore_link_rtt_seconds", gauge, "Round trip to the peer region, smoothed.");
  for (const LinkView& link : agent.peers)
    out.sample_if_known({{"peer", link.peer}}, seconds_if_known(link.rtt));
  out.family("farshore_clock_offset_seconds", gauge, "Peer's wall clock minus ours.");
  for (const LinkView& link : agent.peers)
    out.sample_if_known({{"peer", link.peer}}, seconds_if_known(link.clock_offset));
  out.family("farshore_clock_offset_bound_seconds", gauge, "Error bound of the clock offset.");
  for (const LinkView& link : agent.peers)
    out.sample_if_known({{"peer", link.peer}}, seconds_if_known(link.clock_offset_bound));
  out.family("farshore_link_heard_age_seconds", gauge, "Since the last frame from the peer.");
  for (const LinkView& link : agent.peers)
    out.sample_if_known({{"peer", link.peer}}, seconds_if_known(link.heard_ago));
  out.family("farshore_link_bytes_total", counter,
             "Bytes on the link, as sent (wire) and before compression (plain).");
  for (const LinkView& link : agent.peers) {
    const auto bytes = [&](std::string_view direction, std::string_view form, std::uint64_t value) {
      out.sample({{"peer", link.peer}, {"direction", direction}, {"form", form}},
                 static_cast<double>(value));
    };
    bytes("sent", "wire", link.sent.wire);
    bytes("sent", "plain", link.sent.plain);
    bytes("received", "wire", link.received.wire);
    bytes("received", "plain", link.received.plain);
  }
  out.family("farshore_link_connections", gauge, "Outgoing connections of the link.");
  for (const LinkView& link : agent.peers) out.sample({{"peer", link.peer}}, link.connections);
  out.family("farshore_link_compression_level", gauge, "zstd level of what is sent now; 0: off.");
  for (const LinkView& link : agent.peers)
    out.sample({{"peer", link.peer}}, link.compression_level);
}

void write_states(MetricsText& out, const AgentView& agent) {
  out.family("farshore_state", gauge, "1 for the state that the leg is in, 0 for the others.");
  for (const StreamView& stream : agent.streams) {
    const auto leg = [&](std::string_view name, std::string_view target, State current) {
      for (State state : kStates)
        out.sample(
            {{"stream", stream.name}, {"leg", name}, {"target", target}, {"state", name_of(state)}},
            state == current ? 1 : 0);
    };
    if (stream.capture) leg("capture", "", stream.capture->leg.state);
    for (const LegView& target : stream.targets) leg("target", target.site, target.leg.state);
  }
}

void write_lags(MetricsText& out, const AgentView& agent) {
  const auto write = [&](std::optional<Duration> LagView::* part) {
    each_target(agent, [&](const StreamView& stream, const LegView& target) {
      const auto kind = [&](std::string_view name, const LagView& lag) {
        out.sample({{"stream", stream.name}, {"target", target.site}, {"kind", name}},
                   seconds_or_unknown(lag.*part));
      };
      kind("capture", target.capture);
      kind("durability", target.durability);
      kind("apply", target.apply);
    });
  };
  out.family("farshore_lag_seconds", gauge,
             "Age: now minus the newest commit that is captured, durable in the target's region, "
             "applied. Durability "
             "is the RPO. NaN: unknown.");
  write(&LagView::age);
  out.family("farshore_lag_transit_seconds", gauge,
             "How long the newest commit took to get there. NaN: unknown.");
  write(&LagView::transit);

  out.family("farshore_last_durable_commit_timestamp_seconds", gauge,
             "Source commit time of the newest commit that is durable in the target's region.");
  each_target(agent, [&](const StreamView& stream, const LegView& target) {
    out.sample_if_known({{"stream", stream.name}, {"target", target.site}},
                        timestamp_if_known(target.durable_commit_time));
  });
  out.family("farshore_last_applied_commit_timestamp_seconds", gauge,
             "Source commit time of the newest commit that is visible in the target.");
  each_target(agent, [&](const StreamView& stream, const LegView& target) {
    out.sample_if_known({{"stream", stream.name}, {"target", target.site}},
                        timestamp_if_known(target.applied_commit_time));
  });
}

void write_backlogs(MetricsText& out, const AgentView& agent) {
  const auto write = [&](const char* name, const char* help,
                         std::optional<std::uint64_t> BacklogView::* part) {
    out.family(name, gauge, help);
    each_target(agent, [&](const StreamView& stream, const LegView& target) {
      const auto stage = [&](std::string_view label, const BacklogView& backlog) {
        out.sample_if_known({{"stream", stream.name}, {"target", target.site}, {"stage", label}},
                            backlog.*part);
      };
      stage("ship", target.to_ship);
      stage("apply", target.to_apply);
    });
  };
  write("farshore_backlog_bytes",
        "Not yet durable in the target's region (ship), not yet in the target (apply).",
        &BacklogView::bytes);
  write("farshore_backlog_transactions", "As farshore_backlog_bytes, in transactions.",
        &BacklogView::transactions);
  write("farshore_backlog_changes", "As farshore_backlog_bytes, in row changes.",
        &BacklogView::changes);
}

void write_totals(MetricsText& out, const AgentView& agent) {
  const auto write = [&](const char* name, const char* help,
                         std::optional<std::uint64_t> TotalsView::* part) {
    out.family(name, counter, help);
    each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
      out.sample_if_known({{"stream", stream.name}, {"target", ""}, {"stage", "capture"}},
                          capture.totals.*part);
    });
    each_target(agent, [&](const StreamView& stream, const LegView& target) {
      const auto stage = [&](std::string_view label, const TotalsView& totals) {
        out.sample_if_known({{"stream", stream.name}, {"target", target.site}, {"stage", label}},
                            totals.*part);
      };
      stage("ship", target.shipped);
      stage("apply", target.applied);
    });
  };
  write("farshore_transactions_total", "Transactions captured, shipped, applied.",
        &TotalsView::transactions);
  write("farshore_changes_total", "Row changes captured, shipped, applied.", &TotalsView::changes);
  write("farshore_payload_bytes_total", "Bytes of changes captured, shipped.", &TotalsView::bytes);
}

void write_sources(MetricsText& out, const AgentView& agent) {
  out.family("farshore_source_retained_bytes", gauge, "Log that the source keeps for the stream.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    out.sample_if_known({{"stream", stream.name}}, capture.retained_bytes);
  });
  out.family("farshore_source_behind_bytes", gauge,
             "Log that the source has written and capture has not yet received.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    out.sample_if_known({{"stream", stream.name}}, capture.behind_bytes);
  });
  out.family("farshore_source_limit_forecast_seconds", gauge,
             "Until the log that the source keeps for us reaches a limit, at the present rate.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    out.sample_if_known({{"stream", stream.name}, {"limit", "retain_max"}},
                        hours_as_seconds(capture.hours_to_retain_max));
    out.sample_if_known({{"stream", stream.name}, {"limit", "wal_max"}},
                        hours_as_seconds(capture.hours_to_wal_max));
  });
  out.family("farshore_source_open_transactions", gauge,
             "Transactions in the journal that have not ended yet.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    out.sample_if_known({{"stream", stream.name}}, capture.open_transactions);
  });
  out.family("farshore_commit_wait_seconds", histogram,
             "From a commit's receipt to our word to the source that it holds near or far: what a "
             "commit waits for us that asks for it.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    if (capture.near_waits)
      out.sample_histogram({{"stream", stream.name}, {"level", "near"}}, *capture.near_waits);
    if (capture.far_waits)
      out.sample_histogram({{"stream", stream.name}, {"level", "far"}}, *capture.far_waits);
  });
  out.family("farshore_heartbeat_last_timestamp_seconds", gauge,
             "Commit time of the newest heartbeat captured.");
  each_capture(agent, [&](const StreamView& stream, const CaptureView& capture) {
    out.sample_if_known({{"stream", stream.name}}, timestamp_if_known(capture.heartbeat_at));
  });
}

void write_journals(MetricsText& out, const AgentView& agent) {
  out.family("farshore_journal_bytes", gauge, "Size of the stream's journal in this region.");
  each_journal(agent, [&](const StreamView& stream, const JournalView& journal) {
    out.sample({{"stream", stream.name}}, static_cast<double>(journal.bytes));
  });
  out.family("farshore_journal_max_bytes", gauge, "Size at which the journal counts as full.");
  each_journal(agent, [&](const StreamView& stream, const JournalView& journal) {
    out.sample({{"stream", stream.name}}, static_cast<double>(journal.bytes_max));
  });
  out.family("farshore_journal_health", gauge,
             "1 for the health that the journal is in, 0 for the others.");
  each_journal(agent, [&](const StreamView& stream, const JournalView& journal) {
    for (const char* health : {"good", "full", "failed", "damaged"})
      out.sample({{"stream", stream.name}, {"health", health}}, journal.health == health ? 1 : 0);
  });
  out.family("farshore_journal_full_forecast_seconds", gauge,
             "Until the journal reaches its limit (bytes_max) or the disk is full (disk), at the "
             "present rate.");
  each_journal(agent, [&](const StreamView& stream, const JournalView& journal) {
    out.sample_if_known({{"stream", stream.name}, {"limit", "bytes_max"}},
                        hours_as_seconds(journal.hours_to_bytes_max));
    out.sample_if_known({{"stream", stream.name}, {"limit", "disk"}},
                        hours_as_seconds(journal.hours_to_disk_full));
  });
}

void write_copies(MetricsText& out, const AgentView& agent) {
  out.family("farshore_copy_tables", gauge,
             "Tables of the initial copy that is under way, by state.");
  each_target(agent, [&](const StreamView& stream, const LegView& target) {
    if (!target.copy) return;
    const auto done = static_cast<double>(target.copy->tables_done);
    const auto total = static_cast<double>(target.copy->tables_total);
    out.sample({{"stream", stream.name}, {"target", target.site}, {"state", "done"}}, done);
    out.sample({{"stream", stream.name}, {"target", target.site}, {"state", "left"}}, total - done);
  });
}

}  // namespace

std::string metrics_of(const AgentView& agent) {
  MetricsText out;
  write_agent(out, agent);
  write_links(out, agent);
  write_states(out, agent);
  write_lags(out, agent);
  write_backlogs(out, agent);
  write_totals(out, agent);
  write_sources(out, agent);
  write_journals(out, agent);
  write_copies(out, agent);
  return out.text();
}

}  // namespace farshore::api
