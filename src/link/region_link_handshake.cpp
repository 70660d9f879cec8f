// How a RegionLink makes and takes connections: dialling, answering, refusing.
#include <algorithm>

#include "link/region_link.h"

namespace farshore::link {
namespace {

constexpr Duration kPingPatience = 2s;  // for a session whose place another agent claims
constexpr int kDecisionsMax = 3;        // the session may change while it is pinged
constexpr int kStaleMax = 8;            // refused numbers in a row before the dialler pauses

}  // namespace

void RegionLink::dial_loop(const std::stop_token& stop) {
  if (options_.peer_address.empty()) {
    os::Lock lock(mutex_);
    state_ = "waiting for the peer to dial";
  }
  while (const auto joining = next_dial()) {
    try {
      const auto dialled = dial(*joining, stop);
      if (!dialled.ok()) dial_failed(*joining, dialled.error());
    } catch (const CheckFailed& failed) {
      dial_failed(*joining, permanent(ErrorKind::invalid, "link: {}", failed.what()));
    }
  }
}

std::optional<RegionLink::Joining> RegionLink::next_dial() {
  os::Lock lock(mutex_);
  while (!closing_) {
    if (session_ && wish_ != Session::Wish::none) {
      Joining joining{session_, std::exchange(wish_, Session::Wish::none)};
      if (!options_.peer_address.empty()) return joining;
      if (joining.wish == Session::Wish::ours) session_->ask_peer_for_connection();
    }
    const bool may_dial = !session_ && !options_.peer_address.empty();
    if (may_dial && world_.now() >= dial_at_) return Joining{};
    changed_.wait(lock, may_dial ? Deadline::at(dial_at_) : Deadline::never());
  }
  return std::nullopt;
}

Result<SingleFrame> RegionLink::say_hello(os::Connection& connection, const Joining& joining) {
  Hello hello;
  {
    os::Lock lock(mutex_);
    if (closing_) return permanent(ErrorKind::closed, "the link was closed");
    hello = make_hello(self_,
                       joining.session ? std::optional(joining.session->standing()) : std::nullopt);
  }
  const Deadline deadline = world_.after(options_.connect_timeout);
  FARSHORE_TRY(send_single(connection, FrameType::hello, encode(hello), deadline));
  return receive_single(connection, kHelloMax, deadline);
}

Result<void> RegionLink::dial(const Joining& joining, const std::stop_token& stop) {
  auto connected =
      world_.network().connect(options_.peer_address, world_.after(options_.connect_timeout), stop);
  if (!connected.ok())
    return within("cannot reach " + options_.peer_address, std::move(connected).error());
  const std::shared_ptr<os::Connection> connection = *std::move(connected);
  {
    os::Lock lock(mutex_);
    dialling_ = connection;
  }
  FARSHORE_TRY_ASSIGN(const SingleFrame answer, say_hello(*connection, joining));
  if (answer.type == FrameType::refuse) {
    FARSHORE_TRY_ASSIGN(const Refuse words, decode_refuse(answer.payload));
    return refused(words);
  }
  if (answer.type != FrameType::accept)
    return permanent(ErrorKind::corrupt, "{} answers hello with a frame of type {}",
                     options_.peer_address, static_cast<int>(answer.type));
  FARSHORE_TRY_ASSIGN(const Accept accept, decode_accept(answer.payload));
  if (auto checked = check_accept(self_, accept, connection->peer_name()); !checked.ok())
    return within("handshake refused here", std::move(checked).error());
  FARSHORE_TRY(
      send_single(*connection, FrameType::confirm, {}, world_.after(options_.connect_timeout)));
  return attach(connection, {.number = accept.session,
                             .owner = self_.owns() ? self_.incarnation : accept.incarnation,
                             .peer_incarnation = accept.incarnation,
                             .peer_version = accept.version,
                             .peer_address = connection->peer_address()});
}

Error RegionLink::refused(const Refuse& refuse) {
  const bool stale = refuse.code == RefuseCode::stale_session;
  os::Lock lock(mutex_);
  if (stale) ++self_.candidate;  // the next one may do, at once
  stale_refusals_ = stale ? stale_refusals_ + 1 : 0;
  if (!session_ && !stale) {
    report(
        Severity::error, "link.refused",
        fmt::format("region '{}' refuses the handshake: {}", options_.peer_region, refuse.words));
  }
  return {stale ? ErrorKind::conflict : ErrorKind::denied, Retry::yes,
          "handshake refused: " + refuse.words};
}

void RegionLink::dial_failed(const Joining& joining, const Error& error) {
  os::Lock lock(mutex_);
  if (joining.session) {
    if (joining.wish == Session::Wish::ours) joining.session->ask_peer_for_connection();
    return;
  }
  if (error.kind == ErrorKind::conflict && stale_refusals_ < kStaleMax) return;
  if (!session_ && !closing_) state_ = error.what;
  const auto jitter = static_cast<double>(world_.random().next() % 1024) / 1024;
  dial_at_ = world_.now() + std::chrono::duration_cast<Duration>(backoff_ * (0.5 + jitter / 2));
  backoff_ = std::min(2 * backoff_, options_.reconnect_max);
}

std::optional<Decision> RegionLink::decide_answer(const os::Connection& connection,
                                                  const Hello& hello) {
  Liveness liveness = Liveness::not_asked;
  std::shared_ptr<Session> pinged;
  for (int round = 0; round < kDecisionsMax; ++round) {
    {
      os::Lock lock(mutex_);
      if (closing_) return std::nullopt;
      const auto stands = standing();
      if (session_ != pinged) liveness = Liveness::not_asked;
      Decision decision = decide(self_, stands, hello, connection.peer_name(), liveness);
      if (const auto* accepted = std::get_if<Accept>(&decision); accepted && self_.owns())
        self_.candidate = std::max(self_.candidate, accepted->session);
      if (!std::holds_alternative<PingFirst>(decision)) return decision;
      pinged = session_;
    }
    liveness = pinged->ping(kPingPatience);
  }
  return std::nullopt;
}

void RegionLink::answer(std::shared_ptr<os::Connection> connection, const Hello& hello) {
  const auto decision = decide_answer(*connection, hello);
  if (!decision)
    return refuse(*connection,
                  {self_.protocol, RefuseCode::closing, "the agent stops or is busy: try again"});
  if (const auto* refusal = std::get_if<Refuse>(&*decision)) return refuse(*connection, *refusal);
  const Accept& accept = std::get<Accept>(*decision);
  const Deadline deadline = world_.after(options_.connect_timeout);
  if (!send_single(*connection, FrameType::accept, encode(accept), deadline).ok()) return;
  const auto confirm = receive_single(*connection, 0, deadline);
  if (!confirm.ok() || confirm->type != FrameType::confirm) return;  // the dialler tries again
  (void)attach(connection, {.number = accept.session,
                            .owner = self_.owns() ? self_.incarnation : hello.incarnation,
                            .peer_incarnation = hello.incarnation,
                            .peer_version = hello.version,
                            .peer_address = connection->peer_address()});
}

void RegionLink::refuse(os::Connection& connection, const Refuse& refuse) {
  const bool matters = refuse.code == RefuseCode::protocol || refuse.code == RefuseCode::identity ||
                       refuse.code == RefuseCode::second_agent;
  if (matters) {
    os::Lock lock(mutex_);
    if (!session_ && !closing_) state_ = "handshake refused: " + refuse.words;
    report(Severity::error, "link.refused",
           fmt::format("refused {}: {}", connection.peer_address(), refuse.words));
  }
  (void)send_single(connection, FrameType::refuse, encode(refuse),
                    world_.after(options_.connect_timeout));
}

}  // namespace farshore::link
