#include "daemon/agent.h"

#include <unistd.h>

#include <fmt/ranges.h>

#include <algorithm>

#include "base/guarded.h"
#include "config/definition.h"
#include "daemon/check.h"
#include "identity/certificate.h"

namespace farshore::daemon {
namespace {

constexpr Duration kCertificateLook = 1min;
constexpr Duration kKeepCounts = 5s;
constexpr std::size_t kFailedLegsMax = 100;  // of which one keepalive tells
constexpr Duration kAskWait = 45s;           // of a site of another region

// The source's region owns them; our own file speaks until it has, and for a target
// that it does not name.
pipeline::TargetTerms terms_of(const config::StreamConfig& stream,
                               const config::TargetConfig& target, const std::string& definition) {
  pipeline::TargetTerms terms{.apply_delay = target.apply_delay, .required = target.required};
  if (definition.empty()) return terms;
  const auto lines = config::definition_differences(stream, definition);
  const auto owned = config::with_definition(stream, definition);
  if (!lines.ok() || !owned.ok()) {
    terms.difference = lines.ok() ? owned.error().what : lines.error().what;
    return terms;
  }
  terms.difference = fmt::format("{}", fmt::join(*lines, "; "));
  for (const config::TargetConfig& theirs : owned->to) {
    if (theirs.site != target.site) continue;
    terms.apply_delay = theirs.apply_delay;
    terms.required = theirs.required;
  }
  return terms;
}

}  // namespace

Agent::Agent(os::World& world, config::Config config, const std::string& region,
             std::string version, EventSink log)
    : world_(world),
      config_(std::move(config)),
      region_(*config_.region(region)),
      version_(std::move(version)),
      incarnation_(Uuid::from_random(world.random().next(), world.random().next()).text()),
      log_(std::move(log)),
      started_at_(world.clock().wall()),
      started_(world.now()),
      site_answers_(world, config_) {}

Result<std::unique_ptr<Agent>> Agent::start(os::World& world, config::Config config,
                                            const std::string& region, std::string version,
                                            EventSink log) {
  if (config.region(region) == nullptr) return config::unknown_region(config, region);
  std::unique_ptr<Agent> agent(
      new Agent(world, std::move(config), region, std::move(version), std::move(log)));
  FARSHORE_TRY(agent->open());
  return agent;
}

Result<void> Agent::open() {
  if (auto made = world_.files().create_folder(region_.data); !made.ok())
    return permanent(made.error().kind, "regions.{}.data: {}", region_.name, made.error().what);
  const std::string holder = fmt::format("agent of region {}, pid {}, since {}", region_.name,
                                         getpid(), format_time(started_at_));
  FARSHORE_TRY_ASSIGN(lock_, world_.files().lock(region_.data + "/agent.lock", holder));
  FARSHORE_TRY_ASSIGN(event_log_,
                      events::EventLog::open(world_, {.folder = region_.data + "/events"}));
  sink_ = [this](Event event) {
    event.at = world_.clock().wall();
    if (log_) log_(event);
    event_log_->append(std::move(event));
  };
  FARSHORE_TRY(identity::check_region_files(world_, region_.tls, region_.name));
  FARSHORE_TRY(look_at_certificates());
  FARSHORE_TRY(bind_addresses());
  FARSHORE_TRY(add_peers());
  add_streams();
  add_heartbeats();
  {
    os::Lock lock(routes_mutex_);
    routes_ready_ = true;
  }
  server_->serve();
  sampler_thread_ = os::Thread("rates", [this](std::stop_token stop) {
    pipeline::Stopper stopper(world_);
    MonotonicTime look_at = world_.now() + kCertificateLook, keep_at = world_.now();
    while (stopper.wait(stop, 1s)) {
      guard([&] {
        (void)view();
        if (world_.now() < keep_at) return;
        keep_at = world_.now() + kKeepCounts;
        for (auto& source : sources_) source->stream->keep_counts();
        for (auto& target : targets_) target->leg->keep_counts();
      });
      if (world_.now() < look_at) continue;
      look_at = world_.now() + kCertificateLook;
      (void)look_at_certificates();
    }
  });
  sink_({.severity = Severity::info,
         .name = "agent.started",
         .message = fmt::format("farshore {} of region {}", version_, region_.name)});
  opened_ = true;
  return {};
}

// Before anything begins: an address that is taken leaves no trace in a database.
Result<void> Agent::bind_addresses() {
  auto endpoint = link::Endpoint::make(world_, region_.listen, sink_);
  if (!endpoint.ok())
    return within(fmt::format("regions.{}.listen", region_.name), std::move(endpoint).error());
  endpoint_ = *std::move(endpoint);
  api::Options options{.address = region_.api, .token_file = region_.api_token_file};
  if (!region_.api_token_file.empty()) {
    options.certificate = fmt::format("{}/{}.crt", region_.tls, region_.name);
    options.key = fmt::format("{}/{}.key", region_.tls, region_.name);
  }
  auto server = api::Server::bind(world_, options, *this);
  if (!server.ok())
    return within(fmt::format("regions.{}.api", region_.name), std::move(server).error());
  server_ = *std::move(server);
  return {};
}

std::string Agent::api_url() const {
  return fmt::format("{}://{}", region_.api_token_file.empty() ? "http" : "https", api_address());
}

void Agent::guard(const std::function<void()>& work) {
  const auto result = guarded([&]() -> Result<void> {
    work();
    return {};
  });
  if (!result.ok())
    sink_({.severity = Severity::error, .name = "agent.fault", .message = result.error().what});
}

Agent::~Agent() {
  checks_stop_.request_stop();
  for (auto& source : sources_) source->thread.request_stop();  // no verb waits any more
  for (auto& target : targets_) target->thread.request_stop();
  server_.reset();
  sampler_thread_.request_stop();
  sampler_thread_.join();
  for (auto& heartbeat : heartbeats_) heartbeat->thread.request_stop();
  if (endpoint_) endpoint_->close();
  site_answers_.close();
  heartbeats_.clear();
  for (auto& source : sources_) source->thread.join();
  for (auto& target : targets_) target->thread.join();
  for (auto& peer : peers_) peer->totals_thread.request_stop();
  if (opened_)
    sink_(
        {.severity = Severity::info, .name = "agent.stopped", .message = "region " + region_.name});
  endpoint_.reset();
}

Result<void> Agent::look_at_certificates() {
  for (const std::string& name : {region_.name, std::string("ca")}) {
    FARSHORE_TRY_ASSIGN(
        const auto facts,
        identity::read_certificate(world_.files(), fmt::format("{}/{}.crt", region_.tls, name)));
    std::string warning = identity::expiry_warning(facts, world_.clock().wall());
    {
      os::Lock lock(certificates_mutex_);
      if (name == region_.name) certificate_expires_at_ = facts.not_after;
      if (std::exchange(certificate_warnings_[name], warning) == warning) continue;
    }
    if (!warning.empty())
      sink_({.severity = Severity::warning,
             .name = "certificate.expires",
             .message = std::move(warning)});
  }
  return {};
}

Result<void> Agent::add_peers() {
  for (const config::RegionConfig& other : config_.regions) {
    if (other.name == region_.name) continue;
    const auto begin_there = std::count_if(config_.streams.begin(), config_.streams.end(),
                                           [&](const config::StreamConfig& stream) {
                                             return config_.site(stream.from)->region == other.name;
                                           });
    peers_.push_back(std::make_unique<Peer>(pipeline::told_holds_for(
        static_cast<std::size_t>(begin_there), config_.link.keepalive_every)));
    Peer& peer = *peers_.back();
    peer.region = other.name;
    peer.totals = std::make_unique<pipeline::TotalsKeeper>(
        world_, fmt::format("{}/totals-{}", region_.data, other.name), sink_);
    link::Options options = config_.link;
    options.cluster = config_.name;
    options.own_region = region_.name;
    options.own_incarnation = incarnation_;
    options.own_version = version_;
    options.peer_region = other.name;
    options.peer_address = other.link;
    FARSHORE_TRY_ASSIGN(
        peer.link,
        endpoint_->add_peer(
            options,
            {.opened = [this](const std::string& name, link::Class,
                              std::unique_ptr<link::Channel> c) { opened(name, std::move(c)); },
             .keepalive_payload = [this, &peer] { return keepalive(peer.keepalives++); },
             .keepalive_received =
                 [this, &peer](const Bytes& bytes) {
                   peer.totals->received(bytes);
                   peer.captures.received(bytes, world_.now());
                 }}));
    peer.totals_thread =
        os::Thread("totals", [this, keeper = peer.totals.get()](std::stop_token stop) {
          guard([&] { keeper->run(stop); });
        });
  }
  return {};
}

std::string Agent::folder_of(const config::StreamConfig& stream, const std::string& site) const {
  return fmt::format("{}/streams/{}/{}", region_.data, stream.name,
                     site.empty() ? "source" : "to-" + site);
}

pipeline::Dial Agent::dial(const std::string& region) {
  link::Link* link = nullptr;
  for (auto& peer : peers_)
    if (peer->region == region) link = peer->link;
  return [link, region](const std::string& name,
                        link::Class klass) -> Result<std::unique_ptr<link::Channel>> {
    if (link == nullptr)
      return permanent(ErrorKind::invalid, "region {} is this agent's own", region);
    return link->open(name, klass);
  };
}

pipeline::SourceClockOffset Agent::clock_offset_of(const std::string& region) const {
  const link::Link* link = nullptr;
  for (const auto& peer : peers_)
    if (peer->region == region) link = peer->link;
  return [link]() -> std::optional<Duration> {
    if (link == nullptr) return Duration::zero();
    const link::PeerFacts facts = link->facts();
    if (facts.clock_offset_bound == Duration::zero()) return std::nullopt;
    return facts.clock_offset;
  };
}

// "ship/orders/orders-eu": kind, stream, target site.
void Agent::opened(const std::string& name, std::unique_ptr<link::Channel> channel) {
  os::Lock lock(routes_mutex_);
  const auto first = name.find('/');
  const auto last = name.rfind('/');
  if (routes_ready_ && first != std::string::npos && last > first) {
    const std::string kind = name.substr(0, first), site = name.substr(last + 1);
    const std::string stream = name.substr(first + 1, last - first - 1);
    if (kind == "check") return answer_check(stream, site, std::move(channel));
    for (auto& target : targets_)
      if (target->leg && target->config->name == stream && target->target->site == site)
        return target->leg->accept(kind, std::move(channel));
  }
  channel->close();
}

// Another region's `check` asks a site of this region.
void Agent::answer_check(const std::string& stream, const std::string& site,
                         std::unique_ptr<link::Channel> channel) {
  const config::SiteConfig* asked = config_.site(site);
  if (asked != nullptr && asked->region == region_.name)
    for (const config::StreamConfig& candidate : config_.streams)
      if (candidate.name == stream)
        return site_answers_.answer(candidate, site, std::move(channel));
  channel->close();
}

void Agent::add_streams() {
  for (const config::StreamConfig& stream : config_.streams) {
    if (config_.site(stream.from)->region == region_.name) add_source(stream);
    for (const config::TargetConfig& target : stream.to)
      if (config_.site(target.site)->region == region_.name) add_target(stream, target);
  }
}

void Agent::add_source(const config::StreamConfig& stream) {
  pipeline::SourceStream::Options options{
      .name = stream.name,
      .region = region_.name,
      .folder = folder_of(stream, ""),
      .journal = stream.journal,
      .definition = config::definition_text(stream),
      .tables_at_once = static_cast<std::size_t>(stream.copy_tables)};
  for (const config::TargetConfig& target : stream.to) {
    const std::string region = config_.site(target.site)->region;
    options.targets.push_back({.site = target.site,
                               .region = region,
                               .dial = dial(region),
                               .required = target.required,
                               .existing = existing_of(target.existing)});
  }
  auto entry = std::make_unique<SourceEntry>();
  entry->config = &stream;
  entry->stream = std::make_unique<pipeline::SourceStream>(
      world_, std::move(options),
      [this, &stream](const Uuid& id) { return make_source(world_, config_, stream, id, sink_); },
      sink_);
  entry->thread =
      os::Thread("stream", [s = entry->stream.get()](std::stop_token stop) { s->run(stop); });
  sources_.push_back(std::move(entry));
}

void Agent::add_target(const config::StreamConfig& stream, const config::TargetConfig& target) {
  auto entry = std::make_unique<TargetEntry>();
  entry->config = &stream;
  entry->target = &target;
  auto parts = make_target(world_, config_, stream, target, folder_of(stream, target.site), sink_);
  if (!parts.ok()) {
    sink_({.severity = Severity::error,
           .name = "stream.state",
           .stream = stream.name,
           .target = target.site,
           .message = parts.error().what});
    return;
  }
  entry->parts = *std::move(parts);
  pipeline::TargetLeg::Options options{.stream_name = stream.name,
                                       .site = target.site,
                                       .region = region_.name,
                                       .folder = folder_of(stream, target.site),
                                       .journal = stream.journal,
                                       .terms = [&stream, &target](const std::string& theirs) {
                                         return terms_of(stream, target, theirs);
                                       }};
  options.clock_offset = clock_offset_of(config_.site(stream.from)->region);
  entry->leg =
      std::make_unique<pipeline::TargetLeg>(world_, std::move(options), *entry->parts.sink,
                                            *entry->parts.aside, *entry->parts.copy_sink, sink_);
  entry->thread =
      os::Thread("leg", [leg = entry->leg.get()](std::stop_token stop) { leg->run(stop); });
  targets_.push_back(std::move(entry));
}

void Agent::add_heartbeats() {
  std::map<std::string, bool> done;
  for (const auto& source : sources_) {
    const config::SiteConfig& site = *config_.site(source->config->from);
    if (std::exchange(done[site.name], true)) continue;
    auto writer = make_heartbeat(world_, site);
    if (!writer.ok()) {
      sink_({.severity = Severity::error,
             .name = "heartbeat.failed",
             .message = writer.error().what});
      continue;
    }
    auto heartbeat = std::make_unique<Heartbeat>();
    heartbeat->writer = *std::move(writer);
    heartbeat->loop = std::make_unique<pipeline::HeartbeatLoop>(world_, *heartbeat->writer,
                                                                site.heartbeat, sink_, site.name);
    heartbeat->thread =
        os::Thread("heartbeat", [this, loop = heartbeat->loop.get()](std::stop_token stop) {
          guard([&] { loop->run(stop); });
        });
    heartbeats_.push_back(std::move(heartbeat));
  }
}

// Totals and capture states take turns, each with as many streams as fit; then the next ones.
Bytes Agent::keepalive(std::size_t turn) const {
  std::vector<pipeline::StreamTotals> totals;
  std::vector<pipeline::CaptureState> captures;
  {
    os::Lock lock(routes_mutex_);
    if (!routes_ready_) return pipeline::encode_totals(totals);
  }
  const std::size_t count = std::min(pipeline::kStreamsToldAtOnce, sources_.size());
  for (std::size_t i = 0; i < count; ++i) {
    const auto& source = sources_[(turn / 2 * count + i) % sources_.size()];
    const pipeline::SourceStatus status = source->stream->status();
    captures.push_back({.stream = source->config->name,
                        .state = status.capture.state,
                        .reason = pipeline::shown_reason(status.capture)});
    for (const pipeline::SourceTargetStatus& target : status.targets)
      if (target.leg.failed_here && captures.size() < count + kFailedLegsMax)
        captures.push_back({.stream = source->config->name + "/" + target.site,
                            .state = target.leg.state,
                            .reason = target.leg.reason});
    if (!status.captured_ever) continue;
    totals.push_back({.stream = status.stream,
                      .name = source->config->name,
                      .captured = status.journal.written,
                      .source_position = status.captured.source.server_position,
                      .commit_time = status.captured.commit_time,
                      .transactions = status.captured_ever->amount.transactions,
                      .changes = status.captured_ever->amount.changes,
                      .bytes = status.captured_ever->amount.bytes,
                      .open_transactions = status.captured.open_transactions});
  }
  return turn % 2 == 0 ? pipeline::encode_totals(totals)
                       : pipeline::encode_capture_states(captures);
}

Result<std::vector<events::StoredEvent>> Agent::events(const events::EventQuery& query,
                                                       Deadline deadline) {
  return event_log_->read(query, deadline);
}

Result<std::vector<api::FindingView>> Agent::check(const std::string& stream) {
  const AskElsewhere elsewhere = [this](const config::StreamConfig& of, const std::string& site,
                                        const SiteQuestion& question) {
    return ask_site(dial(config_.site(site)->region), of.name, site, question,
                    world_.after(kAskWait), checks_stop_.get_token());
  };
  FARSHORE_TRY_ASSIGN(auto findings, daemon::check(world_, config_, region_.name, stream, elsewhere,
                                                   checks_stop_.get_token()));
  Duration farthest{};
  for (const auto& peer : peers_) {
    const link::PeerFacts facts = peer->link->facts();
    if (facts.rtt_min == Duration::zero()) continue;
    farthest = std::max(farthest, facts.rtt_min);
    for (api::FindingView& finding : check_clocks(region_.name, facts, peer->region))
      findings.push_back(std::move(finding));
  }
  for (api::FindingView& finding : check_kernel(region_.name, farthest))
    findings.push_back(std::move(finding));
  return findings;
}

Result<std::string> Agent::grants(const std::string& site, api::GrantRole role) {
  return daemon::grants(world_, config_, site, role, checks_stop_.get_token());
}

// The near end of one target is made and forgotten with the file.
}  // namespace farshore::daemon
