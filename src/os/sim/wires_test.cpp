#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>

#include "os/sim/test_seed.h"
#include "os/thread.h"

namespace farshore::os::sim {
namespace {

// Two hosts and a connection from `a` to `b`.
struct Joined {
  explicit Joined(Simulation& simulation)
      : sim(simulation), a(sim.add_host("a")), b(sim.add_host("b")) {
    listener = *b.world().network().listen("0.0.0.0:7400");
    client = *a.world().network().connect(listener->address(), sim.driver().world().after(5s));
    server = *listener->accept(sim.driver().world().after(5s));
  }

  Result<std::string> read(Connection& from, Duration within) {
    char buffer[64 * 1024];
    FARSHORE_TRY_ASSIGN(const std::size_t count,
                        from.read(buffer, sizeof buffer, sim.driver().world().after(within)));
    return std::string(buffer, count);
  }
  Result<void> write(Connection& to, ByteView bytes, Duration within) {
    return to.write(bytes, sim.driver().world().after(within));
  }
  ErrorKind failure(Connection& from, Duration within) { return read(from, within).error().kind; }

  Simulation& sim;
  Host &a, &b;
  std::unique_ptr<Listener> listener;
  std::unique_ptr<Connection> client, server;
};

FaultCounts run_seeds(const std::function<void(Joined&)>& body) {
  FaultCounts sum;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [&](Simulation& sim) {
      Joined joined(sim);
      body(joined);
    });
    EXPECT_TRUE(outcome.ok) << outcome.line();
    sum.add(outcome.counts);
  }
  return sum;
}

TEST(SimulatedNetwork, BytesArriveInOrderAfterTheLatency) {
  run_seeds([](Joined& net) {
    MUST(net.client->peer_name() == "b" && net.server->peer_name() == "a");
    MUST(net.client->stats().rtt == 80ms);
    const Duration begun = net.sim.virtual_time();
    std::string sent, got;
    for (int i = 0; i < 100; ++i) sent += std::to_string(i * 7919) + ",";
    MUST(net.write(*net.client, sent, 1s).ok());
    while (got.size() < sent.size()) got += *net.read(*net.server, 1s);
    MUST(got == sent);
    const Duration took = net.sim.virtual_time() - begun;
    MUST(took >= 40ms && took <= 43ms);
  });
}

TEST(SimulatedNetwork, AReaderThatDoesNotReadHoldsUpTheWriter) {
  run_seeds([](Joined& net) {
    const std::string much(1_MiB, 'x');
    MUST(net.write(*net.client, much, 10s).error().kind == ErrorKind::timeout);
    std::size_t there = 0;
    while (true) {
      const Result<std::string> got = net.read(*net.server, 1s);
      if (!got.ok()) break;
      there += got->size();
    }
    MUST(there == 256_KiB);  // the window
  });
}

TEST(SimulatedNetwork, BandwidthIsALimit) {
  run_seeds([](Joined& net) {
    net.sim.wire(net.a, net.b).bytes_per_second = 1'000'000;
    net.sim.wire(net.a, net.b).window_bytes = 4_MiB;
    const Duration begun = net.sim.virtual_time();
    MUST(net.write(*net.client, std::string(2'000'000, 'x'), 10s).ok());
    MUST(net.client->stats().unsent_bytes > 1'900'000);
    for (std::size_t got = 0; got < 2'000'000;) got += net.read(*net.server, 10s)->size();
    const Duration took = net.sim.virtual_time() - begun;
    MUST(took > 2s && took < 2100ms);
  });
}

TEST(SimulatedNetwork, AnEndIsSeenAfterAllBytes) {
  run_seeds([](Joined& net) {
    MUST(net.write(*net.server, "last words", 1s).ok());
    net.server->close();
    std::string got;
    while (got.size() < 10) got += *net.read(*net.client, 1s);
    MUST(got == "last words");
    MUST(net.failure(*net.client, 1s) == ErrorKind::unavailable);
    MUST(net.failure(*net.server, 1s) == ErrorKind::closed);
  });
}

TEST(SimulatedNetwork, CloseWakesReaderWriterAndAccept) {
  run_seeds([](Joined& net) {
    Thread reader("reader", [&](std::stop_token) {
      MUST(net.failure(*net.client, 1h) == ErrorKind::closed);
    });
    Thread writer("writer", [&](std::stop_token) {
      MUST(net.write(*net.client, std::string(1_MiB, 'x'), 1h).error().kind == ErrorKind::closed);
    });
    Thread acceptor("acceptor", [&](std::stop_token) {
      MUST(net.listener->accept(Deadline::never()).error().kind == ErrorKind::closed);
    });
    net.sim.sleep(1s);
    net.client->close();
    net.listener->close();
    reader.join();
    writer.join();
    acceptor.join();
    MUST(net.sim.virtual_time() < 2s);
  });
}

TEST(SimulatedNetwork, ACutIsNoticedByBothAndHeals) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.cut(net.a, net.b);
    MUST(net.failure(*net.client, 10s) == ErrorKind::unavailable);
    MUST(net.failure(*net.server, 10s) == ErrorKind::unavailable);
    const auto refused =
        net.a.world().network().connect("b:7400", net.sim.driver().world().after(5s));
    MUST(refused.error().kind == ErrorKind::unavailable ||
         refused.error().kind == ErrorKind::timeout);
    net.sim.heal(net.a, net.b);
    MUST(net.a.world().network().connect("b:7400", net.sim.driver().world().after(5s)).ok());
    MUST(net.failure(*net.client, 1s) == ErrorKind::unavailable);
  });
  EXPECT_EQ(counts.of(Fault::cut), 30U);
}

TEST(SimulatedNetwork, ConnectingWhereNobodyAnswersIsStoppedAtOnce) {
  run_seeds([](Joined& net) {
    net.sim.swallow(net.a, net.b);
    ErrorKind kind = ErrorKind::io;
    const MonotonicTime before = net.sim.driver().world().now();
    Thread dialling("dial", [&](const std::stop_token& stop) {
      const Deadline late = net.sim.driver().world().after(1h);
      kind = net.a.world().network().connect("b:7400", late, stop).error().kind;
    });
    MUST(net.failure(*net.client, 2s) == ErrorKind::timeout);
    dialling.request_stop();
    dialling.join();
    MUST(kind == ErrorKind::closed);
    MUST(net.sim.driver().world().now() - before < 3s);
  });
}

TEST(SimulatedNetwork, AHalfOpenSideHearsNothingAndGetsNoError) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.half_open(net.a, net.b);
    MUST(net.write(*net.server, "unheard", 1s).ok());
    MUST(net.write(*net.client, "heard", 1s).ok());
    MUST(!net.read(*net.server, 1s).value().empty());
    MUST(net.failure(*net.client, 1h) == ErrorKind::timeout);
  });
  EXPECT_EQ(counts.of(Fault::half_open), 30U);
}

TEST(SimulatedNetwork, WhoIsNeverAcknowledgedGivesUpAfterTheUserTimeout) {
  run_seeds([](Joined& net) {
    net.sim.swallow(net.a, net.b);
    MUST(net.write(*net.client, "into the void", 1s).ok());
    MUST(net.failure(*net.server, 14s) == ErrorKind::timeout);
    MUST(net.failure(*net.client, 2s) == ErrorKind::unavailable);
  });
}

TEST(SimulatedNetwork, SwallowedPacketsAreNobodysError) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.swallow(net.a, net.b);
    MUST(net.failure(*net.server, 1h) == ErrorKind::timeout);
    MUST(net.failure(*net.client, 1h) == ErrorKind::timeout);
    MUST(net.a.world()
             .network()
             .connect("b:7400", net.sim.driver().world().after(5s))
             .error()
             .kind == ErrorKind::timeout);
    net.sim.heal(net.a, net.b);
    MUST(net.write(*net.client, "too late", 1s).ok());
    MUST(net.failure(*net.server, 5s) == ErrorKind::timeout);
    MUST(net.a.world().network().connect("b:7400", net.sim.driver().world().after(5s)).ok());
  });
  EXPECT_EQ(counts.of(Fault::swallow), 30U);
}

TEST(SimulatedNetwork, ADelaySpikeDelaysAndKeepsTheOrder) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.spike(net.a, net.b, 2s, 100ms);
    MUST(net.write(*net.client, "first ", 1s).ok());
    net.sim.sleep(200ms);
    MUST(net.write(*net.client, "second", 1s).ok());
    MUST(net.failure(*net.server, 1s) == ErrorKind::timeout);
    std::string got;
    while (got.size() < 12) got += *net.read(*net.server, 2s);
    MUST(got == "first second");
  });
  EXPECT_EQ(counts.of(Fault::delay_spike), 30U);
}

TEST(SimulatedNetwork, ARefusedConnectionIsUnavailable) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.refuse(net.b, true);
    MUST(net.a.world()
             .network()
             .connect("b:7400", net.sim.driver().world().after(5s))
             .error()
             .kind == ErrorKind::unavailable);
    net.sim.refuse(net.b, false);
    MUST(net.a.world().network().connect("b:7400", net.sim.driver().world().after(5s)).ok());
    MUST(net.a.world().network().connect("b:1", net.sim.driver().world().after(5s)).error().kind ==
         ErrorKind::unavailable);
    MUST(net.a.world().network().connect("c:1", net.sim.driver().world().after(5s)).error().kind ==
         ErrorKind::unavailable);
  });
  EXPECT_EQ(counts.of(Fault::refuse), 30U);
}

TEST(SimulatedNetwork, ACrashedHostIsAResetOrSilence) {
  int silent = 0;
  for (std::uint64_t seed = 1; seed <= 30; ++seed) {
    const SeedOutcome outcome = run_test_seed(seed, [&](Simulation& sim) {
      Host& a = sim.add_host("a");
      Host& b = sim.add_host("b");
      b.run("serve", [&] {
        auto listener = *b.world().network().listen("b:1");
        auto connection = *listener->accept(Deadline::never());
        char byte = 0;
        (void)connection->read(&byte, 1, Deadline::never());
        MUST(false);
      });
      auto client = *a.world().network().connect("b:1", sim.driver().world().after(1s));
      sim.sleep(1s);
      sim.crash(b, Crash::power);
      char byte = 0;
      const ErrorKind kind = client->read(&byte, 1, sim.driver().world().after(1min)).error().kind;
      sim.report(kind == ErrorKind::timeout ? "silent" : "reset");
      MUST(!a.world().network().connect("b:1", sim.driver().world().after(1s)).ok());
      sim.restart(b);
      (void)client->write("anybody there?", sim.driver().world().after(1s));
      sim.sleep(1s);
      MUST(client->read(&byte, 1, sim.driver().world().after(1s)).error().kind ==
           ErrorKind::unavailable);
      auto listener = *b.world().network().listen("b:1");
      MUST(a.world().network().connect("b:1", sim.driver().world().after(1s)).ok());
    });
    EXPECT_TRUE(outcome.ok) << outcome.line();
    if (outcome.text == "silent\n") ++silent;
  }
  EXPECT_GT(silent, 5);
  EXPECT_LT(silent, 25);
}

TEST(SimulatedNetwork, AResetBreaksOneConnectionOnly) {
  const FaultCounts counts = run_seeds([](Joined& net) {
    net.sim.reset(net.a, net.b);
    MUST(net.failure(*net.client, 1s) == ErrorKind::unavailable);
    MUST(net.failure(*net.server, 1s) == ErrorKind::unavailable);
    MUST(net.a.world().network().connect("b:7400", net.sim.driver().world().after(5s)).ok());
  });
  EXPECT_EQ(counts.of(Fault::reset), 30U);
}

}  // namespace
}  // namespace farshore::os::sim
