#include "link/region_link.h"

#include <algorithm>

namespace farshore::link {
namespace {

constexpr Duration kTick = 100ms;

}  // namespace

void RegionLink::Bell::ring() {
  os::Lock lock(mutex_);
  ringing_ = true;
  rung_.notify_one();
}

void RegionLink::Bell::wait(Deadline deadline) {
  os::Lock lock(mutex_);
  rung_.wait(lock, deadline, [&] { return ringing_; });
  ringing_ = false;
}

RegionLink::RegionLink(os::World& world, Options options, Callbacks callbacks, EventSink events)
    : world_(world),
      options_(std::move(options)),
      callbacks_(std::move(callbacks)),
      event_sink_(std::move(events)),
      self_{.protocol = {},
            .cluster = options_.cluster,
            .region = options_.own_region,
            .peer_region = options_.peer_region,
            .incarnation = options_.own_incarnation,
            .version = options_.own_version,
            .connections_max = options_.connections_max},
      dial_at_(world.now() + (self_.owns() ? Duration::zero() : 2 * options_.reconnect_min)),
      backoff_(options_.reconnect_min) {
  dialler_ = os::Thread("dial-" + options_.peer_region,
                        [this](const std::stop_token& stop) { dial_loop(stop); });
  keeper_ = os::Thread("link-" + options_.peer_region, [this](std::stop_token) { keep(); });
}

RegionLink::~RegionLink() {
  RegionLink::close();
}

void RegionLink::close() {
  std::shared_ptr<Session> session;
  {
    os::Lock lock(mutex_);
    closing_ = true;
    state_ = "closed";
    session = session_;
    if (auto connection = dialling_.lock()) connection->close();
    changed_.notify_all();
  }
  if (session)
    session->end(transient(ErrorKind::unavailable, "the link was closed"), "the agent stops");
  bell_.ring();
  dialler_.request_stop();
  dialler_.join();
  keeper_.join();
}

void RegionLink::keep() {
  while (true) {
    bell_.wait(world_.after(kTick));
    bury();
    tell_events();
    std::shared_ptr<Session> session;
    {
      os::Lock lock(mutex_);
      if (closing_ && !session_) return;
      session = session_;
    }
    if (!session || session->ended()) continue;
    try {
      session->tick();
    } catch (const CheckFailed& failed) {
      session->end(permanent(ErrorKind::invalid, "{}", failed.what()), "internal error");
    }
    if (const Session::Wish wish = session->take_wish(); wish != Session::Wish::none) {
      os::Lock lock(mutex_);
      wish_ = wish;
      changed_.notify_all();
    }
  }
}

// Waits for the threads of ended sessions, without a lock held.
void RegionLink::bury() {
  std::vector<std::shared_ptr<Session>> ended;
  {
    os::Lock lock(mutex_);
    (void)standing();
    ended.swap(ended_sessions_);
  }
  for (const auto& session : ended) session->finish();
}

void RegionLink::tell_events() {
  std::vector<Event> events;
  {
    os::Lock lock(mutex_);
    events.swap(events_);
  }
  for (Event& event : events) event_sink_(std::move(event));
}

std::optional<Standing> RegionLink::standing() {
  if (session_ && session_->ended()) retire_session();
  if (!session_) return std::nullopt;
  return session_->standing();
}

void RegionLink::raise_ended(std::uint64_t number, const std::string& owner) {
  self_.ended = number;
  self_.ended_owner = owner;
  if (self_.owns()) self_.candidate = std::max(self_.candidate, number + 1);
}

void RegionLink::retire_session() {
  const Error error = *session_->ended();
  raise_ended(session_->identity().number, session_->identity().owner);
  const SessionFacts facts = session_->facts();
  traffic_ += facts.traffic;
  level_ = facts.level;
  if (facts.clock.rtt() > Duration::zero()) clock_ = facts.clock;
  heard_at_ = facts.heard_at;
  const MonotonicTime now = world_.now();
  // Sessions that do not last are tried less and less often.
  const bool lasted = now - session_->began_at() >= options_.reconnect_max;
  backoff_ = lasted ? options_.reconnect_min : std::min(2 * backoff_, options_.reconnect_max);
  // The owner dials first; the other side only when that did not come.
  dial_at_ = now + (self_.owns() ? backoff_ : 2 * backoff_);
  ended_sessions_.push_back(std::exchange(session_, nullptr));
  if (!closing_) {
    state_ = "disconnected: " + error.what;
    const bool broken = error.kind == ErrorKind::invalid;  // an invariant, see Session::guarded
    report(broken ? Severity::error : Severity::warning,
           broken ? "link.broken" : "link.disconnected",
           fmt::format("session with region '{}' ended: {}", options_.peer_region, error.what));
  }
  changed_.notify_all();
}

Result<void> RegionLink::attach(std::shared_ptr<os::Connection> connection,
                                Session::Identity identity) {
  os::Lock lock(mutex_);
  if (closing_) return permanent(ErrorKind::closed, "the link was closed");
  const auto stands = standing();
  switch (attach_of(self_, stands, identity.number, identity.owner, identity.peer_incarnation)) {
    case Attach::drop:
      return transient(ErrorKind::conflict, "session {} has ended", identity.number);
    case Attach::joins:
      return session_->attach(std::move(connection));
    case Attach::replaces:
      session_->end(transient(ErrorKind::unavailable, "region '{}' began a new session",
                              options_.peer_region),
                    "a newer session took its place");
      retire_session();
      bell_.ring();
      break;
    case Attach::starts:
      break;
  }
  identity.ours = self_.owns();
  peer_version_ = identity.peer_version;
  peer_incarnation_ = identity.peer_incarnation;
  auto session = std::make_shared<Session>(world_, options_, callbacks_, std::move(identity),
                                           level_, [this] { bell_.ring(); });
  FARSHORE_TRY(session->attach(std::move(connection)));
  session_ = std::move(session);
  state_ = "connected";
  report(Severity::info, "link.connected",
         fmt::format("session with region '{}' at {} stands (agent {}, version {})",
                     options_.peer_region, session_->identity().peer_address, peer_incarnation_,
                     peer_version_));
  changed_.notify_all();
  bell_.ring();
  return {};
}

void RegionLink::report(Severity severity, const std::string& name, const std::string& message) {
  if (!event_sink_ || reported_ == message) return;
  reported_ = message;
  events_.push_back(
      {.severity = severity, .name = name, .stream = "", .target = "", .message = message});
  bell_.ring();
}

Result<std::unique_ptr<Channel>> RegionLink::open(const std::string& name, Class klass) {
  std::shared_ptr<Session> session;
  {
    os::Lock lock(mutex_);
    if (closing_) return permanent(ErrorKind::closed, "the link was closed");
    if (!session_)
      return transient(ErrorKind::unavailable, "region '{}': {}", options_.peer_region, state_);
    session = session_;
  }
  return session->open(name, klass);
}

Result<void> RegionLink::wait_connected(Deadline deadline) {
  os::Lock lock(mutex_);
  changed_.wait(lock, deadline, [&] { return closing_ || (session_ && !session_->ended()); });
  if (closing_) return permanent(ErrorKind::closed, "the link was closed");
  if (session_) return {};
  return transient(ErrorKind::timeout, "region '{}': {}", options_.peer_region, state_);
}

PeerFacts RegionLink::facts() const {
  os::Lock lock(mutex_);
  Traffic traffic = traffic_;
  LevelState level = level_;
  ClockFilter clock = clock_;
  PeerFacts facts{.state = state_,
                  .version = peer_version_,
                  .incarnation = peer_incarnation_,
                  .heard_at = heard_at_};
  if (session_) {
    const SessionFacts now = session_->facts();
    traffic += now.traffic;
    level = now.level;
    if (now.clock.rtt() > Duration::zero()) clock = now.clock;
    facts.connected = !session_->ended().has_value();
    facts.heard_at = now.heard_at;
    facts.connections = now.connections;
  }
  facts.rtt = clock.rtt();
  facts.rtt_min = clock.rtt_min();
  facts.clock_offset = clock.offset();
  facts.clock_offset_bound = clock.offset_bound();
  facts.wire_bytes_sent = traffic.wire_bytes_sent;
  facts.plain_bytes_sent = traffic.plain_bytes_sent;
  facts.wire_bytes_received = traffic.wire_bytes_received;
  facts.plain_bytes_received = traffic.plain_bytes_received;
  facts.compression_level = level.level;
  facts.compression_why = level.why;
  return facts;
}

}  // namespace farshore::link
