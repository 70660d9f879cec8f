#include <map>

#include "link/region_link.h"

namespace farshore::link {
namespace {

constexpr Duration kHelloPatience = 5s;
constexpr std::size_t kGreetingsMax =
    64;  // connections that have not said hello or are being decided
constexpr Duration kAcceptPause = 50ms;  // after a failed accept, e.g. no file descriptors
constexpr Duration kReapEvery = 1s;
constexpr Duration kReportEvery = 10s;  // failed connections: anybody may knock

class ListeningEndpoint : public Endpoint {
 public:
  ListeningEndpoint(os::World& world, std::unique_ptr<os::Listener> listener, EventSink events)
      : world_(world), listener_(std::move(listener)), events_(std::move(events)) {
    acceptor_ = os::Thread("link-accept", [this](std::stop_token) { accept_loop(); });
  }
  ~ListeningEndpoint() override { ListeningEndpoint::close(); }

  Result<Link*> add_peer(const Options& options, Link::Callbacks callbacks) override;
  std::string address() const override { return listener_->address(); }
  void close() override;

 private:
  struct Greeting {
    std::weak_ptr<os::Connection> connection;
    bool done = false;
    os::Thread thread;
  };

  void accept_loop();
  void greet(std::shared_ptr<os::Connection> connection);
  void reap();
  void converse(const std::shared_ptr<os::Connection>& connection);
  RegionLink* link_of(const std::string& region);
  void failed(const Error& error);

  os::World& world_;
  const std::unique_ptr<os::Listener> listener_;
  const EventSink events_;

  os::Mutex mutex_;
  os::CondVar changed_;
  std::map<std::string, std::unique_ptr<RegionLink>> links_;  // by peer region
  std::map<std::uint64_t, Greeting> greetings_;
  std::uint64_t next_greeting_ = 1;
  MonotonicTime reported_at_ = MonotonicTime::min();
  bool closing_ = false;
  os::Thread acceptor_;
};

Result<Link*> ListeningEndpoint::add_peer(const Options& options, Link::Callbacks callbacks) {
  if (options.own_region.empty() || options.peer_region.empty() ||
      options.own_region == options.peer_region)
    return permanent(ErrorKind::invalid, "a link needs two regions, got '{}' and '{}'",
                     options.own_region, options.peer_region);
  if (options.own_incarnation.empty())
    return permanent(ErrorKind::invalid, "a link needs the agent's incarnation");
  if (options.connections_max < 1 || options.connections_max > 16)
    return permanent(ErrorKind::invalid, "connections_max is {}, allowed are 1 to 16",
                     options.connections_max);
  if (options.connections_min < 1 || options.connections_min > options.connections_max)
    return permanent(ErrorKind::invalid, "connections_min is {}, allowed are 1 to {}",
                     options.connections_min, options.connections_max);
  if (!callbacks.opened)
    return permanent(ErrorKind::invalid, "a link needs somebody who takes channels");
  for (const std::string* name : {&options.cluster, &options.own_region, &options.peer_region,
                                  &options.own_incarnation, &options.own_version})
    if (name->size() > kNameMax)
      return permanent(ErrorKind::invalid, "'{}' is longer than {} bytes", *name, kNameMax);
  os::Lock lock(mutex_);
  if (closing_) return permanent(ErrorKind::closed, "the endpoint was closed");
  if (links_.contains(options.peer_region))
    return permanent(ErrorKind::conflict, "region '{}' is a peer already", options.peer_region);
  auto& link = links_[options.peer_region];
  link = std::make_unique<RegionLink>(world_, options, std::move(callbacks), events_);
  return link.get();
}

void ListeningEndpoint::close() {
  {
    os::Lock lock(mutex_);
    if (closing_) return;
    closing_ = true;
    changed_.notify_all();
  }
  listener_->close();
  acceptor_.join();
  {
    os::Lock lock(mutex_);
    for (auto& [id, greeting] : greetings_)
      if (auto connection = greeting.connection.lock()) connection->close();
  }
  for (auto& [region, link] : links_) link->close();  // wakes greetings that wait for a session
  for (auto& [id, greeting] : greetings_) greeting.thread.join();
}

void ListeningEndpoint::accept_loop() {
  while (true) {
    auto accepted = listener_->accept(world_.after(kReapEvery));
    reap();
    if (accepted.ok()) {
      greet(*std::move(accepted));
      continue;
    }
    if (accepted.error().kind == ErrorKind::closed) return;
    if (accepted.error().kind == ErrorKind::timeout) continue;
    failed(accepted.error());
    os::Lock lock(mutex_);
    if (closing_) return;
    changed_.wait(lock, world_.after(kAcceptPause), [&] { return closing_; });
  }
}

void ListeningEndpoint::greet(std::shared_ptr<os::Connection> connection) {
  os::Lock lock(mutex_);
  if (closing_ || greetings_.size() >= kGreetingsMax) return;  // hangs up
  const std::uint64_t id = next_greeting_++;
  Greeting& greeting = greetings_[id];
  greeting.connection = connection;
  greeting.thread = os::Thread("link-greet", [this, id, connection](std::stop_token) mutable {
    try {
      converse(connection);
    } catch (const CheckFailed& check) {
      failed(permanent(ErrorKind::invalid, "link: {}", check.what()));
    }
    connection.reset();
    os::Lock inner(mutex_);
    greetings_.at(id).done = true;
  });
}

void ListeningEndpoint::reap() {
  std::vector<os::Thread> done;
  {
    os::Lock lock(mutex_);
    for (auto at = greetings_.begin(); at != greetings_.end();) {
      if (at->second.done) {
        done.push_back(std::move(at->second.thread));
        at = greetings_.erase(at);
      } else {
        ++at;
      }
    }
  }
  for (os::Thread& thread : done) thread.join();
}

RegionLink* ListeningEndpoint::link_of(const std::string& region) {
  os::Lock lock(mutex_);
  const auto at = links_.find(region);
  return closing_ || at == links_.end() ? nullptr : at->second.get();
}

// Reads the hello; the certificate's name, or on plain TCP the hello's word, says whose it is.
void ListeningEndpoint::converse(const std::shared_ptr<os::Connection>& connection) {
  const auto frame = receive_single(*connection, kHelloMax, world_.after(kHelloPatience));
  if (!frame.ok() || frame->type != FrameType::hello)
    return failed(frame.ok() ? permanent(ErrorKind::corrupt, "{} does not say hello",
                                         connection->peer_address())
                             : within(connection->peer_address(), frame.error()));
  const auto hello = decode_hello(frame->payload);
  if (!hello.ok()) return failed(within(connection->peer_address(), hello.error()));
  const std::string name =
      connection->peer_name().empty() ? hello->region : connection->peer_name();
  if (RegionLink* link = link_of(name)) return link->answer(connection, *hello);
  const Refuse words{{}, RefuseCode::identity, fmt::format("region '{}' is no peer here", name)};
  failed(permanent(ErrorKind::denied, "{}: {}", connection->peer_address(), words.words));
  (void)send_single(*connection, FrameType::refuse, encode(words), world_.after(kHelloPatience));
}

void ListeningEndpoint::failed(const Error& error) {
  {
    os::Lock lock(mutex_);
    const MonotonicTime now = world_.now();
    if (!events_ || closing_ ||
        (reported_at_ != MonotonicTime::min() && now - reported_at_ < kReportEvery))
      return;
    reported_at_ = now;
  }
  events_(
      {.severity = Severity::warning,
       .name = "link.connection_failed",
       .stream = "",
       .target = "",
       .message = fmt::format("a connection to {} failed: {}", listener_->address(), error.what)});
}

}  // namespace

Result<std::unique_ptr<Endpoint>> Endpoint::make(os::World& world,
                                                 const std::string& listen_address,
                                                 EventSink events) {
  FARSHORE_TRY_ASSIGN(std::unique_ptr<os::Listener> listener,
                      world.network().listen(listen_address));
  return std::unique_ptr<Endpoint>(
      std::make_unique<ListeningEndpoint>(world, std::move(listener), std::move(events)));
}

}  // namespace farshore::link
