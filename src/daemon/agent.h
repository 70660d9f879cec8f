// Agent: one region's agent as an object: the link to the other regions, the streams that begin
// here, the legs that end here, heartbeats, events, the API. Built from a configuration, runs until
// its destructor.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "api/agent.h"
#include "api/server.h"
#include "config/config.h"
#include "daemon/engine.h"
#include "daemon/remote_site.h"
#include "events/event_log.h"
#include "link/link.h"
#include "os/thread.h"
#include "os/world.h"
#include "pipeline/capture_states.h"
#include "pipeline/heartbeat_loop.h"
#include "pipeline/source_stream.h"
#include "pipeline/target_leg.h"
#include "pipeline/totals.h"

namespace farshore::daemon {

class Agent final : public api::Agent {
 public:
  // conflict: another agent of this region holds the data folder (named); denied, unavailable:
  // certificate, address.
  static Result<std::unique_ptr<Agent>> start(os::World& world, config::Config config,
                                              const std::string& region, std::string version,
                                              EventSink log);
  ~Agent() override;

  api::AgentView view() override;
  Result<api::Outcome> act(const api::StreamAction& action) override;
  Result<std::vector<api::FindingView>> check(const std::string& stream) override;
  Result<std::string> grants(const std::string& site, api::GrantRole role) override;
  Result<std::vector<events::StoredEvent>> events(const events::EventQuery& query,
                                                  Deadline deadline) override;

  std::string api_address() const { return server_->address(); }
  std::string api_url() const;  // "https://127.0.0.1:7433" where callers must show a token
  std::string link_address() const { return endpoint_->address(); }

 private:
  struct Peer {
    explicit Peer(Duration told_holds_for) : captures(told_holds_for) {}
    std::string region;
    link::Link* link = nullptr;
    std::unique_ptr<pipeline::TotalsKeeper> totals;
    pipeline::CaptureStatesHeard captures;
    std::atomic<std::size_t> keepalives{0};  // asked for, to this peer
    os::Thread totals_thread;
  };
  struct SourceEntry {
    const config::StreamConfig* config = nullptr;
    std::unique_ptr<pipeline::SourceStream> stream;
    os::Thread thread;
    bool removed = false;  // under removals_mutex_
  };
  struct TargetEntry {
    const config::StreamConfig* config = nullptr;
    const config::TargetConfig* target = nullptr;
    TargetParts parts;
    std::unique_ptr<pipeline::TargetLeg> leg;
    os::Thread thread;
    bool removed = false;  // under removals_mutex_
  };
  struct Heartbeat {
    std::unique_ptr<HeartbeatWriter> writer;
    std::unique_ptr<pipeline::HeartbeatLoop> loop;
    os::Thread thread;
  };
  // Counters of a leg some seconds ago, for rates.
  struct Sample {
    MonotonicTime at{};
    pipeline::Amount amount;
  };

  Agent(os::World& world, config::Config config, const std::string& region, std::string version,
        EventSink log);
  Result<void> open();
  Result<void> bind_addresses();
  void guard(const std::function<void()>& work);  // a broken invariant is an event
  Result<void> look_at_certificates();  // again each minute: they run out while the agent runs
  Result<void> add_peers();
  void add_streams();
  void add_source(const config::StreamConfig& stream);
  void add_target(const config::StreamConfig& stream, const config::TargetConfig& target);
  void add_heartbeats();
  void opened(const std::string& name, std::unique_ptr<link::Channel> channel);
  pipeline::Dial dial(const std::string& region);
  pipeline::SourceClockOffset clock_offset_of(const std::string& region) const;
  Bytes keepalive(std::size_t turn) const;
  Result<void> act_on_source(SourceEntry& entry, const api::StreamAction& action);
  Result<void> act_on_target(TargetEntry& entry, const api::StreamAction& action);
  Result<void> capture_goes_on(const config::StreamConfig& stream);  // conflict: it has failed
  void answer_check(const std::string& stream, const std::string& site,
                    std::unique_ptr<link::Channel> channel);
  // Of one end: the source's, or that of a target `site`.
  std::string folder_of(const config::StreamConfig& stream, const std::string& site) const;
  template <class Entry>
  Result<void> expect_not_removed(const Entry& entry);       // conflict: it was
  Error no_end_here(const api::StreamAction& action) const;  // and which region is to be asked
  Result<void> explain_at_source(const api::StreamAction& action) const;
  Result<api::Outcome> remove(const api::StreamAction& action);
  Result<void> remove(TargetEntry& entry);
  Result<void> remove(SourceEntry& entry);
  Result<void> remove_folder(const std::string& folder);

  api::StreamView view_of(const SourceEntry& entry);
  void view_targets_here(std::vector<api::StreamView>& streams);
  std::optional<api::LegStateView> told_by_source(const config::StreamConfig& stream,
                                                  const std::string& site);
  api::LinkView view_of(const Peer& peer);
  void forecast_source(const config::StreamConfig& stream, const SourceProgress& source,
                       api::CaptureView& capture);
  api::RatesView rates(const std::string& key, const pipeline::Amount& now);

  os::World& world_;
  const config::Config config_;
  const config::RegionConfig& region_;
  const std::string version_;
  const std::string incarnation_;
  const EventSink log_;
  const WallTime started_at_;
  const MonotonicTime started_;
  EventSink sink_;
  bool opened_ = false;  // agent.started was told

  std::unique_ptr<os::FileLock> lock_;
  std::unique_ptr<events::EventLog> event_log_;
  std::unique_ptr<link::Endpoint> endpoint_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<std::unique_ptr<SourceEntry>> sources_;
  std::vector<std::unique_ptr<TargetEntry>> targets_;
  std::vector<std::unique_ptr<Heartbeat>> heartbeats_;
  std::stop_source checks_stop_;  // of what the API asks of databases
  std::unique_ptr<api::Server> server_;
  os::Thread sampler_thread_;  // looks at the counters once a second, so that rates are known when
                               // somebody asks

  // The links run while streams are still being added: they must not look at them until this says
  // so.
  mutable os::Mutex routes_mutex_;
  bool routes_ready_ = false;
  os::Mutex removals_mutex_;
  os::Mutex certificates_mutex_;
  std::optional<WallTime> certificate_expires_at_;           // this region's
  std::map<std::string, std::string> certificate_warnings_;  // by file; said once a day
  SiteAnswers site_answers_;
  os::Mutex samples_mutex_;
  std::map<std::string, std::vector<Sample>> samples_;
};

}  // namespace farshore::daemon
