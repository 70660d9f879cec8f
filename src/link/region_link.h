// RegionLink: one region's end towards one peer region, over all the sessions that come and go. Its
// dialler thread makes connections, its keeper thread ticks the session and buries ended ones;
// accepted connections come from the Endpoint's greeting threads. State: one session or none; see
// handshake.h for which connection belongs to it.
#pragma once

#include <vector>

#include "link/session.h"

namespace farshore::link {

class RegionLink : public Link {
 public:
  RegionLink(os::World& world, Options options, Callbacks callbacks, EventSink events);
  ~RegionLink() override;

  Result<std::unique_ptr<Channel>> open(const std::string& name, Class klass) override;
  Result<void> wait_connected(Deadline deadline) override;
  PeerFacts facts() const override;
  void close() override;

  // The rest of the handshake of a connection that said hello. Returns when it is attached or
  // refused.
  void answer(std::shared_ptr<os::Connection> connection, const Hello& hello);

 private:
  // Wakes the keeper. Its lock is the innermost of all: sessions raise it whatever they hold.
  class Bell {
   public:
    void ring();
    void wait(Deadline deadline);

   private:
    os::Mutex mutex_;
    os::CondVar rung_;
    bool ringing_ = false;
  };

  struct Joining {
    std::shared_ptr<Session> session;  // nullptr: a new session is wanted
    Session::Wish wish = Session::Wish::none;
  };

  void keep();
  void bury();
  void tell_events();
  void dial_loop(const std::stop_token& stop);  // it ends the wait for an answer
  std::optional<Joining> next_dial();           // waits; nullopt: closing
  Result<void> dial(const Joining& joining, const std::stop_token& stop);
  Result<SingleFrame> say_hello(os::Connection& connection, const Joining& joining);
  Error refused(const Refuse& refuse);
  void dial_failed(const Joining& joining, const Error& error);

  std::optional<Decision> decide_answer(const os::Connection& connection, const Hello& hello);
  void refuse(os::Connection& connection, const Refuse& refuse);
  Result<void> attach(std::shared_ptr<os::Connection> connection, Session::Identity identity);

  // With mutex_ held.
  std::optional<Standing> standing();
  void retire_session();
  void raise_ended(std::uint64_t number, const std::string& owner);
  void report(Severity severity, const std::string& name, const std::string& message);

  os::World& world_;
  const Options options_;
  const Callbacks callbacks_;
  const EventSink event_sink_;
  Bell bell_;

  mutable os::Mutex mutex_;
  os::CondVar changed_;
  Self self_;
  std::shared_ptr<Session> session_;
  std::vector<std::shared_ptr<Session>> ended_sessions_;  // to be buried by the keeper
  std::string state_ = "connecting";
  std::string reported_;       // the last event's text: the same one is not reported again
  std::vector<Event> events_;  // to be told by the keeper, without a lock
  Session::Wish wish_ = Session::Wish::none;
  MonotonicTime dial_at_;
  Duration backoff_;
  int stale_refusals_ = 0;  // in a row
  std::weak_ptr<os::Connection> dialling_;
  bool closing_ = false;

  // Of the sessions before.
  Traffic traffic_;
  LevelState level_;
  ClockFilter clock_;
  std::string peer_version_, peer_incarnation_;
  MonotonicTime heard_at_{};

  os::Thread dialler_, keeper_;
};

}  // namespace farshore::link
