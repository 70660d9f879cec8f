// Two agents and a wire between them, for tests of the whole link.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/uuid.h"
#include "link/fake_network.h"
#include "link/link.h"

namespace farshore::link {

constexpr Duration kTestPatience = 20s;

inline Deadline soon(Duration d = kTestPatience) {
  return Deadline::after(os::real_monotonic_now(), d);
}

// One agent's endpoint with one peer, and what its callbacks were told.
class Agent {
 public:
  struct Incoming {
    std::string name;
    Class klass = Class::stream;
    std::unique_ptr<Channel> channel;
  };

  Agent(os::World& world, const std::string& listen, const Options& options,
        const Bytes& totals = "")
      : endpoint(*Endpoint::make(world, listen, [this](Event event) {
          os::Lock lock(mutex_);
          events_.push_back(std::move(event));
          changed_.notify_all();
        })) {
    link = *endpoint->add_peer(
        options, {.opened =
                      [this](std::string name, Class klass, std::unique_ptr<Channel> channel) {
                        os::Lock lock(mutex_);
                        incoming_.push_back({std::move(name), klass, std::move(channel)});
                        changed_.notify_all();
                      },
                  .keepalive_payload = [totals] { return totals; },
                  .keepalive_received =
                      [this](Bytes totals_of_peer) {
                        os::Lock lock(mutex_);
                        totals_ = std::move(totals_of_peer);
                        changed_.notify_all();
                      }});
  }
  ~Agent() { endpoint->close(); }

  Incoming next_incoming(Duration patience = kTestPatience) {
    os::Lock lock(mutex_);
    if (!changed_.wait(lock, soon(patience), [&] { return !incoming_.empty(); })) return {};
    Incoming first = std::move(incoming_.front());
    incoming_.pop_front();
    return first;
  }
  Bytes wait_totals() {
    os::Lock lock(mutex_);
    changed_.wait(lock, soon(), [&] { return !totals_.empty(); });
    return totals_;
  }
  bool wait_state(const std::string& part, Duration patience = kTestPatience) {
    return wait([&] { return link->facts().state.find(part) != std::string::npos; }, patience);
  }
  template <class Condition>
  bool wait(Condition condition, Duration patience = kTestPatience) {
    const Deadline deadline = soon(patience);
    while (!condition()) {
      if (deadline.reached(os::real_monotonic_now())) return false;
      os::Lock lock(mutex_);
      changed_.wait(lock, earlier(deadline, soon(10ms)));
    }
    return true;
  }
  bool wait_event(const std::string& name) {
    os::Lock lock(mutex_);
    return changed_.wait(lock, soon(), [&] {
      return std::any_of(events_.begin(), events_.end(),
                         [&](const Event& event) { return event.name == name; });
    });
  }

 private:
  os::Mutex mutex_;
  os::CondVar changed_;
  std::deque<Incoming> incoming_;
  std::vector<Event> events_;
  Bytes totals_;

 public:
  std::unique_ptr<Endpoint> endpoint;  // last: its threads use the rest
  Link* link = nullptr;
};

// Regions "eu" (owner of the session) and "us" on a fake wire.
struct FakePair : testing::Test {
  static Options options_of(const std::string& own, const std::string& peer) {
    Options options;
    options.cluster = "shop";
    options.own_region = own;
    options.own_incarnation = own + "-1";
    options.own_version = "0.1.0";
    options.peer_region = peer;
    options.peer_address = peer + ":1";
    options.reconnect_min = 20ms;
    options.reconnect_max = 200ms;
    return options;
  }
  void start_eu(const Bytes& totals = "") {
    eu = std::make_unique<Agent>(eu_world, "eu:1", eu_options, totals);
  }
  void start_us(const Bytes& totals = "") {
    us = std::make_unique<Agent>(us_world, "us:1", us_options, totals);
  }
  void start() {
    start_eu();
    start_us();
    ASSERT_TRUE(eu->link->wait_connected(soon()).ok());
    ASSERT_TRUE(us->link->wait_connected(soon()).ok());
  }
  // A channel from eu to us: both its ends.
  std::pair<std::unique_ptr<Channel>, std::unique_ptr<Channel>> channel(
      Class klass = Class::stream) {
    auto here = eu->link->open("test", klass);
    EXPECT_TRUE(here.ok()) << here.error().what;
    return {*std::move(here), us->next_incoming().channel};
  }

  std::shared_ptr<FakeWire> wire = std::make_shared<FakeWire>();
  FakeWorld eu_world{wire}, us_world{wire, 5s};
  Options eu_options = options_of("eu", "us"), us_options = options_of("us", "eu");
  std::unique_ptr<Agent> eu, us;
};

}  // namespace farshore::link
