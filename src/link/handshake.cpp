#include "link/handshake.h"

#include <algorithm>

namespace farshore::link {
namespace {

template <class... Args>
Refuse refuse(const Self& self, RefuseCode code, fmt::format_string<Args...> format,
              Args&&... args) {
  return {self.protocol, code, fmt::format(format, std::forward<Args>(args)...)};
}

std::optional<Refuse> check_identity(const Self& self, const Hello& hello,
                                     const std::string& peer_name) {
  if (!peer_name.empty() && peer_name != hello.region)
    return refuse(self, RefuseCode::identity,
                  "the certificate names region '{}', the hello says '{}'", peer_name,
                  hello.region);
  if (hello.cluster != self.cluster)
    return refuse(self, RefuseCode::identity,
                  "cluster '{}' dialled cluster '{}': `name` differs in their files, or the "
                  "address is another's",
                  hello.cluster, self.cluster);
  if (hello.peer_region != self.region)
    return refuse(self, RefuseCode::identity,
                  "region '{}' was meant, this is '{}': check peer addresses", hello.peer_region,
                  self.region);
  if (hello.region != self.peer_region)
    return refuse(self, RefuseCode::identity, "region '{}' dialled, expected '{}'", hello.region,
                  self.peer_region);
  if (hello.incarnation.empty())
    return refuse(self, RefuseCode::identity, "the hello names no incarnation");
  return std::nullopt;
}

Decision decide_join(const Self& self, const std::optional<Standing>& standing, const Hello& hello,
                     Accept accept) {
  if (!standing || standing->number != hello.session || standing->owner != hello.owner ||
      standing->peer_incarnation != hello.incarnation)
    return refuse(self, RefuseCode::no_session, "session {} does not stand here", hello.session);
  if (standing->connections >= self.connections_max)
    return refuse(self, RefuseCode::full, "the session has its {} connections",
                  standing->connections);
  accept.session = standing->number;
  return accept;
}

// The newest number of ours that the peer says has ended there; never one that was not given out.
std::uint64_t ended_at_peer(const Self& self, const Hello& hello) {
  return hello.owner == self.incarnation ? std::min(hello.ended, self.candidate) : 0;
}

// The peer has, or had, the session that stands here. Only the owner's numbers say which.
Decision decide_again(const Self& self, const Standing& standing, const Hello& hello,
                      Accept accept) {
  if (self.owns()) {
    const bool ended = ended_at_peer(self, hello) >= standing.number;
    accept.session = ended ? std::max(self.candidate, standing.number + 1) : standing.number;
    if (ended) return accept;
  } else {
    if (hello.session < standing.number)
      return refuse(self, RefuseCode::stale_session, "session {} is over, {} stands", hello.session,
                    standing.number);
    accept.session = hello.session;
    if (hello.session > standing.number) return accept;
  }
  if (standing.connections >= self.connections_max)  // both dialled at once
    return refuse(self, RefuseCode::full, "the session has its {} connections",
                  standing.connections);
  return accept;
}

Decision decide_new(const Self& self, const Hello& hello, Accept accept) {
  if (self.owns()) {
    accept.session = std::max(self.candidate, ended_at_peer(self, hello) + 1);
    return accept;
  }
  if (hello.session == 0)
    return refuse(self, RefuseCode::identity, "region '{}' owns the session and offers none",
                  hello.region);
  if (self.ended_owner == hello.incarnation && hello.session <= self.ended)
    return refuse(self, RefuseCode::stale_session, "session {} has ended here", hello.session);
  accept.session = hello.session;
  return accept;
}

}  // namespace

Result<Protocol> negotiate(Protocol ours, Protocol theirs) {
  const int apart = int{ours.minor} - int{theirs.minor};
  if (ours.major == theirs.major && apart >= -1 && apart <= 1)
    return Protocol{ours.major, std::min(ours.minor, theirs.minor)};
  return permanent(ErrorKind::invalid,
                   "protocol {}.{}, we speak {}.{} to {}.{}: upgrade the older agent", theirs.major,
                   theirs.minor, ours.major, ours.minor == 0 ? 0 : ours.minor - 1, ours.major,
                   ours.minor + 1);
}

Decision decide(const Self& self, const std::optional<Standing>& standing, const Hello& hello,
                const std::string& peer_name, Liveness liveness) {
  const auto protocol = negotiate(self.protocol, hello.protocol);
  if (!protocol.ok()) return refuse(self, RefuseCode::protocol, "{}", protocol.error().what);
  if (auto refused = check_identity(self, hello, peer_name)) return *std::move(refused);
  Accept accept{.protocol = *protocol,
                .region = self.region,
                .incarnation = self.incarnation,
                .version = self.version,
                .session = 0};
  if (hello.join) return decide_join(self, standing, hello, std::move(accept));
  if (!standing) return decide_new(self, hello, std::move(accept));
  if (standing->peer_incarnation == hello.incarnation)
    return decide_again(self, *standing, hello, std::move(accept));
  if (liveness == Liveness::not_asked) return PingFirst{};
  if (liveness == Liveness::alive)
    return refuse(self, RefuseCode::second_agent,
                  "region '{}' is held by agent {} at {}: stop that one first, or this one",
                  hello.region, standing->peer_incarnation, standing->peer_address);
  Decision decision = decide_new(self, hello, std::move(accept));
  if (auto* newer = std::get_if<Accept>(&decision); newer != nullptr && self.owns())
    newer->session = std::max(newer->session, standing->number + 1);
  return decision;
}

Hello make_hello(const Self& self, const std::optional<Standing>& join) {
  Hello hello{.protocol = self.protocol,
              .cluster = self.cluster,
              .region = self.region,
              .peer_region = self.peer_region,
              .incarnation = self.incarnation,
              .version = self.version};
  if (join) {
    hello.join = true;
    hello.session = join->number;
    hello.owner = join->owner;
    return hello;
  }
  hello.session = self.owns() ? self.candidate : 0;
  hello.ended = self.ended;
  hello.owner = self.owns() ? self.incarnation : self.ended_owner;
  return hello;
}

Result<void> check_accept(const Self& self, const Accept& accept, const std::string& peer_name) {
  FARSHORE_TRY_ASSIGN(const Protocol protocol, negotiate(self.protocol, accept.protocol));
  if (protocol != accept.protocol)
    return permanent(ErrorKind::invalid, "accepted with protocol {}.{}, both speak {}.{}",
                     accept.protocol.major, accept.protocol.minor, protocol.major, protocol.minor);
  if (!peer_name.empty() && peer_name != self.peer_region)
    return permanent(ErrorKind::invalid, "the certificate names region '{}', expected '{}'",
                     peer_name, self.peer_region);
  if (accept.region != self.peer_region)
    return permanent(ErrorKind::invalid, "region '{}' answered, expected '{}'", accept.region,
                     self.peer_region);
  if (accept.session == 0 || accept.incarnation.empty())
    return permanent(ErrorKind::invalid, "region '{}' accepted without naming a session",
                     accept.region);
  return {};
}

Attach attach_of(const Self& self, const std::optional<Standing>& standing, std::uint64_t number,
                 const std::string& owner, const std::string& peer_incarnation) {
  if (self.ended_owner == owner && number <= self.ended) return Attach::drop;
  if (!standing) return Attach::starts;
  if (standing->owner != owner) return Attach::replaces;
  if (number > standing->number) return Attach::replaces;
  return number == standing->number && standing->peer_incarnation == peer_incarnation
             ? Attach::joins
             : Attach::drop;
}

}  // namespace farshore::link
