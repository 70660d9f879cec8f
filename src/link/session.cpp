#include "link/session.h"

#include <algorithm>

namespace farshore::link {
namespace {

constexpr Duration kSampleEvery = 1s;
constexpr Duration kIdleMax = 60s;     // of a connection beside the first, before it is retired
constexpr Duration kEndGrace = 300ms;  // for the last words to the peer

}  // namespace

Traffic& Traffic::operator+=(const Traffic& other) {
  wire_bytes_sent += other.wire_bytes_sent;
  plain_bytes_sent += other.plain_bytes_sent;
  wire_bytes_received += other.wire_bytes_received;
  plain_bytes_received += other.plain_bytes_received;
  return *this;
}

Session::Session(os::World& world, const Options& options, const Link::Callbacks& callbacks,
                 Identity identity, LevelState level, std::function<void()> changed)
    : world_(world),
      options_(options),
      callbacks_(callbacks),
      identity_(std::move(identity)),
      changed_(std::move(changed)),
      began_at_(world.now()),
      mailroom_(
          std::make_shared<Mailroom>(world, options.channel_window_bytes, identity_.ours ? 1 : 2)),
      level_(std::move(level)),
      heard_at_(began_at_),
      keepalive_at_(began_at_),
      sample_at_(began_at_ + kSampleEvery) {
  if (options.compression == Compression::off) level_ = {.level = 0, .why = "off: configuration"};
}

Session::~Session() {
  end(transient(ErrorKind::unavailable, "the link was closed"), "the agent stops");
  finish();
}

Result<void> Session::attach(std::shared_ptr<os::Connection> connection) {
  os::Lock lock(mutex_);
  if (ended_) return *ended_;
  if (static_cast<int>(pool_.size()) >= options_.connections_max)
    return transient(ErrorKind::unavailable, "the session has its {} connections", pool_.size());
  const int number = next_number_++;
  auto& pooled = *pool_.emplace(number, std::make_unique<Pooled>()).first->second;
  pooled.number = number;
  pooled.connection = std::move(connection);
  pooled.data_at = world_.now();
  mailroom_->outbox.add_connection(number);
  const std::string name = fmt::format("{}-{}", options_.peer_region.substr(0, 9), number);
  pooled.sender = os::Thread(
      "s-" + name, [this, &pooled](std::stop_token) { guarded(pooled, &Session::send_loop); });
  pooled.reader = os::Thread(
      "r-" + name, [this, &pooled](std::stop_token) { guarded(pooled, &Session::read_loop); });
  return {};
}

Result<std::unique_ptr<Channel>> Session::open(const std::string& name, Class klass) {
  FARSHORE_TRY_ASSIGN(const std::uint32_t id, mailroom_->inbox.open(name, klass));
  return make_channel(mailroom_, id);
}

void Session::tick() {
  const MonotonicTime now = world_.now();
  mailroom_->outbox.look();
  if (now >= keepalive_at_) {
    keepalive_at_ = now + options_.keepalive_every;
    ask_all(true);
  }
  if (now >= sample_at_) {
    sample_at_ = now + kSampleEvery;
    adapt_level();
  }
  adapt_pool();
  retire_idle(now);
  remove_retired();
}

// The totals go with the first connection's only: once is enough.
void Session::ask_all(bool with_totals) {
  Keepalive first;
  if (with_totals && callbacks_.keepalive_payload) {
    first.totals = callbacks_.keepalive_payload();
    first.has_totals = true;
  }
  os::Lock lock(mutex_);
  for (auto& [number, pooled] : pool_) mailroom_->outbox.ask(number, std::exchange(first, {}));
}

void Session::adapt_level() {
  const SendSample sample = mailroom_->outbox.take_sample();
  if (options_.compression == Compression::off) return;
  os::Lock lock(mutex_);
  level_ = decide_level(std::move(level_), sample);
}

// The wish is taken after the tick. To ring for it would make a tick of each wish, and a wish of
// each tick, until the connection stands.
void Session::adapt_pool() {
  const std::uint64_t waiting = mailroom_->outbox.waiting_bytes();
  os::Lock lock(mutex_);
  const int connections = static_cast<int>(pool_.size());
  const bool needed =
      growth_.look(world_.now(), waiting, traffic_.plain_bytes_sent, clock_.rtt(), connections);
  if ((needed || connections < options_.connections_min) &&
      connections < options_.connections_max && wish_ == Wish::none)
    wish_ = Wish::ours;
}

Session::Wish Session::take_wish() {
  os::Lock lock(mutex_);
  return ended_ ? Wish::none : std::exchange(wish_, Wish::none);
}

void Session::ask_peer_for_connection() {
  mailroom_->outbox.ask_more();
}

// Only the owner retires, so that the two sides never retire all between them.
void Session::retire_idle(MonotonicTime now) {
  if (!identity_.ours) return;
  os::Lock lock(mutex_);
  if (static_cast<int>(pool_.size()) <= options_.connections_min) return;
  for (auto at = std::next(pool_.begin()); at != pool_.end(); ++at) {
    Pooled& pooled = *at->second;
    if (pooled.retiring || now - pooled.data_at < kIdleMax) continue;
    pooled.retiring = true;
    mailroom_->outbox.retire(pooled.number);
    return;  // one at a time
  }
}

void Session::remove_retired() {
  std::vector<std::unique_ptr<Pooled>> done;
  {
    os::Lock lock(mutex_);
    if (ended_) return;
    for (auto at = pool_.begin(); at != pool_.end();) {
      if (at->second->sender_done && at->second->reader_done) {
        done.push_back(std::move(at->second));
        at = pool_.erase(at);
      } else {
        ++at;
      }
    }
  }
  for (auto& pooled : done) {
    pooled->connection->close();
    pooled->sender.join();
    pooled->reader.join();
    mailroom_->outbox.remove_connection(pooled->number);
  }
}

Liveness Session::ping(Duration patience) {
  const MonotonicTime asked_at = world_.now();
  ask_all(false);
  os::Lock lock(mutex_);
  answered_.wait(lock, Deadline::after(asked_at, patience),
                 [&] { return answered_sent_at_ >= asked_at || ended_; });
  return answered_sent_at_ >= asked_at && !ended_ ? Liveness::alive : Liveness::silent;
}

void Session::end(Error error, const std::string& words) {
  {
    os::Lock lock(mutex_);
    if (ended_) return;
    ended_ = error;
    answered_.notify_all();
  }
  error.kind = ErrorKind::unavailable;  // to a channel, whatever ended its session
  error.retry = Retry::yes;
  mailroom_->outbox.end(words, error);  // first: who is told of the end sends nothing more
  mailroom_->inbox.end(error);
  changed_();
}

std::optional<Error> Session::ended() const {
  os::Lock lock(mutex_);
  return ended_;
}

void Session::finish() {
  {
    os::Lock lock(mutex_);
    stopped_.wait(lock, world_.after(kEndGrace), [&] {
      return std::all_of(pool_.begin(), pool_.end(),
                         [](const auto& entry) { return entry.second->sender_done; });
    });
    for (auto& [number, pooled] : pool_) pooled->connection->close();
  }
  for (auto& [number, pooled] : pool_) {  // nobody else touches the pool once the session has ended
    pooled->sender.join();
    pooled->reader.join();
  }
}

Standing Session::standing() const {
  os::Lock lock(mutex_);
  return {.number = identity_.number,
          .owner = identity_.owner,
          .peer_incarnation = identity_.peer_incarnation,
          .peer_address = identity_.peer_address,
          .connections = static_cast<int>(pool_.size())};
}

SessionFacts Session::facts() const {
  os::Lock lock(mutex_);
  return {.traffic = traffic_,
          .level = level_,
          .clock = clock_,
          .heard_at = heard_at_,
          .connections = static_cast<int>(pool_.size())};
}

}  // namespace farshore::link
