// What every Network must do, be it TLS over TCP, simulated wires (os/contracts_test.cpp runs the
// rules against both) or a wire in memory (link/network_contract_test.cpp). A rule gets the worlds
// of two machines, each known by its name; MUST names what does not hold.
#pragma once

#include <vector>

#include "os/sim/test_seed.h"
#include "os/thread.h"
#include "os/world.h"

namespace farshore::os {

struct TwoMachines {
  World &near, &far;
  World& here;  // of the thread that runs the rule: its clock is the one of all deadlines
  std::string near_name, far_name;
  std::string listen_address;  // on the far one
};

struct NetworkRule {
  const char* name;
  void (*body)(TwoMachines&);
};

// A connection from the near machine to the far one.
struct JoinedEnds {
  explicit JoinedEnds(TwoMachines& machines) : clock(machines.here) {
    listener = *machines.far.network().listen(machines.listen_address);
    Thread accepting("accept", [&](std::stop_token) {
      auto accepted = listener->accept(machines.here.after(30s));
      if (accepted.ok()) far = *std::move(accepted);
    });
    near = *machines.near.network().connect(listener->address(), clock.after(30s));
    accepting.join();
    MUST(far != nullptr);
  }
  std::string read(Connection& from, std::size_t count) {
    std::string bytes;
    char buffer[4096];
    while (bytes.size() < count) {
      auto n = from.read(buffer, std::min(sizeof buffer, count - bytes.size()), clock.after(30s));
      if (!n.ok()) return bytes + name_of(n.error().kind);
      MUST(*n > 0);
      bytes.append(buffer, *n);
    }
    return bytes;
  }
  ErrorKind failure(Connection& from, Duration within) {
    char byte = 0;
    return from.read(&byte, 1, clock.after(within)).error().kind;
  }

  World& clock;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> near, far;
};

inline void each_side_knows_the_other(TwoMachines& machines) {
  JoinedEnds ends(machines);
  MUST(ends.near->peer_name() == machines.far_name);
  MUST(ends.far->peer_name() == machines.near_name);
  MUST(!ends.near->peer_address().empty() && !ends.far->peer_address().empty());
}

inline void bytes_arrive_in_order_both_ways(TwoMachines& machines) {
  JoinedEnds ends(machines);
  const std::string there(70'000, 'a'), back = "b";
  Thread writing("write", [&](std::stop_token) {
    MUST(ends.near->write(there.substr(0, 1), ends.clock.after(30s)).ok());
    MUST(ends.near->write(there.substr(1), ends.clock.after(30s)).ok());
  });
  MUST(ends.read(*ends.far, there.size()) == there);
  writing.join();
  MUST(ends.far->write(back, ends.clock.after(30s)).ok());
  MUST(ends.read(*ends.near, back.size()) == back);
}

inline void a_read_that_gets_nothing_times_out(TwoMachines& machines) {
  JoinedEnds ends(machines);
  const MonotonicTime began = ends.clock.now();
  MUST(ends.failure(*ends.near, 30ms) == ErrorKind::timeout);
  MUST(ends.clock.now() - began >= 30ms);
}

inline void the_other_sides_end_is_seen_after_what_it_wrote(TwoMachines& machines) {
  JoinedEnds ends(machines);
  MUST(ends.near->write("last words", ends.clock.after(30s)).ok());
  ends.near->close();
  MUST(ends.read(*ends.far, 10) == "last words");
  MUST(ends.failure(*ends.far, 30s) == ErrorKind::unavailable);
}

inline void close_wakes_a_reader(TwoMachines& machines) {
  JoinedEnds ends(machines);
  ErrorKind kind = ErrorKind::io;
  Thread reading("read", [&](std::stop_token) { kind = ends.failure(*ends.near, 60s); });
  MUST(ends.failure(*ends.far, 20ms) == ErrorKind::timeout);  // the reader waits by now
  ends.near->close();
  reading.join();
  MUST(kind == ErrorKind::closed);
}

inline void close_wakes_accept(TwoMachines& machines) {
  auto listener = *machines.far.network().listen(machines.listen_address);
  ErrorKind kind = ErrorKind::io;
  Thread accepting("accept", [&](std::stop_token) {
    kind = listener->accept(machines.here.after(60s)).error().kind;
  });
  listener->close();
  accepting.join();
  MUST(kind == ErrorKind::closed);
}

inline void where_nobody_listens_is_unavailable_and_named(TwoMachines& machines) {
  auto listener = *machines.far.network().listen(machines.listen_address);
  const std::string address = listener->address();
  listener.reset();
  const auto refused = machines.near.network().connect(address, machines.here.after(30s));
  MUST(refused.error().kind == ErrorKind::unavailable);
  MUST(refused.error().retry == Retry::yes);
  MUST(refused.error().what.find(address) != std::string::npos);
}

inline void a_taken_port_is_said(TwoMachines& machines) {
  auto listener = *machines.far.network().listen(machines.listen_address);
  const auto second = machines.far.network().listen(listener->address());
  MUST(second.error().retry == Retry::no);
  MUST(second.error().what.find(listener->address()) != std::string::npos);
}

inline const std::vector<NetworkRule>& network_contract() {
  static const std::vector<NetworkRule> rules{
      {"EachSideKnowsTheOther", &each_side_knows_the_other},
      {"BytesArriveInOrderBothWays", &bytes_arrive_in_order_both_ways},
      {"AReadThatGetsNothingTimesOut", &a_read_that_gets_nothing_times_out},
      {"TheOtherSidesEndIsSeenAfterWhatItWrote", &the_other_sides_end_is_seen_after_what_it_wrote},
      {"CloseWakesAReader", &close_wakes_a_reader},
      {"CloseWakesAccept", &close_wakes_accept},
      {"WhereNobodyListensIsUnavailableAndNamed", &where_nobody_listens_is_unavailable_and_named},
      {"ATakenPortIsSaid", &a_taken_port_is_said},
  };
  return rules;
}

}  // namespace farshore::os
