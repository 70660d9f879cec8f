// What TLS over TCP does beyond the contract of Network (os/network_contract.h), which it holds
// too.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <filesystem>

#include "base/checksum.h"
#include "os/real/real_world.h"
#include "os/real/socket.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::os {
namespace {

using testing::HasSubstr;

struct Ends {
  std::unique_ptr<Connection> client, server;
};

struct RealNetworkTest : testing::Test {
  Deadline in(Duration d) { return Deadline::after(real_monotonic_now(), d); }

  Ends join(World& client, World& server, const std::string& address = "127.0.0.1:0") {
    listener = *server.network().listen(address);
    Ends ends;
    Thread accepting("accept", [&](std::stop_token) { ends.server = *listener->accept(in(60s)); });
    ends.client = *client.network().connect(listener->address(), in(60s));
    accepting.join();
    return ends;
  }

  Ends join_tls(const std::string& address = "127.0.0.1:0") { return join(*us, *eu, address); }

  // What the client's first read says after the server's accept has judged it.
  Error refusal(World& client, World& server, Error* by_server) {
    listener = *server.network().listen("127.0.0.1:0");
    Thread accepting("accept",
                     [&](std::stop_token) { *by_server = listener->accept(in(60s)).error(); });
    auto connection = client.network().connect(listener->address(), in(60s));
    accepting.join();
    if (!connection.ok()) return connection.error();
    char byte = 0;
    return (*connection)->read(&byte, 1, in(60s)).error();
  }

  TestFolder folder;
  TestCa ca{folder.path(), "ca-one"};
  std::unique_ptr<World> plain = make_real_world({});
  std::unique_ptr<World> us = make_real_world(ca.make("us-east-1"));
  std::unique_ptr<World> eu = make_real_world(ca.make("eu-west-1"));
  std::unique_ptr<Listener> listener;
};

std::string read_exactly(Connection& from, std::size_t count, Deadline deadline) {
  std::string bytes(count, '\0');
  std::size_t done = 0;
  while (done < count) {
    auto n = from.read(bytes.data() + done, count - done, deadline);
    if (!n.ok()) return n.error().what;
    done += *n;
  }
  return bytes;
}

TEST_F(RealNetworkTest, SpeaksIpv6AndNames) {
  Ends ends = join_tls("[::1]:0");
  EXPECT_THAT(listener->address(), HasSubstr("[::1]:"));
  ends = join_tls("localhost:0");
  ends = join_tls(":0");
}

TEST_F(RealNetworkTest, ACertificateOfAnotherCaIsRefused) {
  TestCa stranger(folder.path(), "ca-two");
  auto wrong = make_real_world(stranger.make("us-east-1"));
  Error by_server;
  EXPECT_EQ(refusal(*wrong, *eu, &by_server).kind, ErrorKind::denied);  // the client refuses first
  TlsFiles mixed = stranger.make("us-east-1");
  mixed.ca = ca.make("us-east-1").ca;
  auto liar = make_real_world(mixed);
  const Error by_client = refusal(*liar, *eu, &by_server);
  EXPECT_EQ(by_server.kind, ErrorKind::denied);
  EXPECT_THAT(by_server.what, HasSubstr("must come from the CA"));
  EXPECT_EQ(by_client.kind, ErrorKind::denied);
  EXPECT_THAT(by_client.what, HasSubstr("refuses our certificate"));
}

TEST_F(RealNetworkTest, AnExpiredCertificateIsRefusedWithTheRemedy) {
  auto old = make_real_world(ca.make("us-old", 0));
  Error by_server;
  EXPECT_EQ(refusal(*old, *eu, &by_server).kind, ErrorKind::denied);
  EXPECT_THAT(by_server.what, HasSubstr("cert renew"));
}

TEST_F(RealNetworkTest, ARenewedCertificateServesTheNextConnection) {
  auto client = make_real_world(ca.make("us-renewed", 0));
  Error by_server;
  EXPECT_EQ(refusal(*client, *eu, &by_server).kind, ErrorKind::denied);
  ca.make("us-renewed", 30);
  Ends ends = join(*client, *eu);
  EXPECT_EQ(ends.server->peer_name(), "us-renewed");
}

TEST_F(RealNetworkTest, AMissingKeyIsNamed) {
  TlsFiles files = ca.make("us-nokey");
  std::filesystem::remove(files.key);
  auto client = make_real_world(files);
  listener = *eu->network().listen("127.0.0.1:0");
  const auto refused = client->network().connect(listener->address(), in(60s));
  EXPECT_EQ(refused.error().kind, ErrorKind::denied);
  EXPECT_THAT(refused.error().what, HasSubstr(files.key));
}

TEST_F(RealNetworkTest, APlainClientIsTurnedAway) {
  listener = *eu->network().listen("127.0.0.1:0");
  auto client = *plain->network().connect(listener->address(), in(60s));
  ASSERT_TRUE(client->write("GET / HTTP/1.1\r\n\r\n", in(60s)).ok());
  EXPECT_EQ(listener->accept(in(60s)).error().kind, ErrorKind::unavailable);
}

TEST_F(RealNetworkTest, AClientThatStallsHoldsUpNoOther) {
  listener = *eu->network().listen("127.0.0.1:0");
  std::array<std::unique_ptr<Connection>, 70> silent;
  for (auto& connection : silent)
    connection = *plain->network().connect(listener->address(), in(60s));
  std::unique_ptr<Connection> server;
  Thread accepting("accept", [&](std::stop_token) {
    while (server == nullptr) {
      auto next = listener->accept(in(60s));
      if (!next.ok()) {
        if (next.error().kind == ErrorKind::unavailable) continue;  // a stalled one gave up
        break;
      }
      server = *std::move(next);
    }
  });
  auto client = *us->network().connect(listener->address(), in(60s));
  accepting.join();
  EXPECT_EQ(server->peer_name(), "us-east-1");
}

TEST_F(RealNetworkTest, ConnectingWhereNobodyAnswersIsStoppedAtOnce) {
  listener = *eu->network().listen("127.0.0.1:0");  // and shakes no hands
  ErrorKind kind = ErrorKind::io;
  const MonotonicTime before = real_monotonic_now();
  Thread dialling("dial", [&](const std::stop_token& stop) {
    kind = us->network().connect(listener->address(), in(60s), stop).error().kind;
  });
  dialling.request_stop();
  dialling.join();
  EXPECT_EQ(kind, ErrorKind::closed);
  EXPECT_LT(real_monotonic_now() - before, 30s);
}

TEST_F(RealNetworkTest, NobodyListening) {
  listener = *eu->network().listen("127.0.0.1:0");
  const std::string address = listener->address();
  listener.reset();
  const auto refused = us->network().connect(address, in(60s));
  EXPECT_EQ(refused.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(refused.error().what, HasSubstr("nothing listens there"));
}

TEST_F(RealNetworkTest, ATakenPortIsSaid) {
  listener = *eu->network().listen("127.0.0.1:0");
  EXPECT_THAT(us->network().listen(listener->address()).error().what,
              HasSubstr("another process has that port"));
}

TEST(ConnectSocket, EachAddressOfANameHasItsShareOfTheTime) {
  const MonotonicTime now(100s);
  EXPECT_EQ(share_of(Deadline::at(now + 9s), now, 3).left(now), 3s);
  EXPECT_EQ(share_of(Deadline::at(now + 9s), now + 3s, 2).left(now + 3s), 3s);
  EXPECT_EQ(share_of(Deadline::at(now + 9s), now + 6s, 1).left(now + 6s), 3s);
  EXPECT_TRUE(share_of(Deadline::never(), now, 2).is_never());
}

TEST_F(RealNetworkTest, AddressesNeedAPort) {
  for (const char* address : {"host", "host:", "host:99999", "::1:80", "host:x"}) {
    EXPECT_EQ(us->network().connect(address, in(1s)).error().kind, ErrorKind::invalid) << address;
  }
}

TEST_F(RealNetworkTest, CloseWakesReaderAndWriter) {
  for (World* world : {plain.get(), us.get()}) {
    Ends ends = join(*world, world == us.get() ? *eu : *plain);
    Thread reader("reader", [&](std::stop_token) {
      char byte = 0;
      EXPECT_EQ(ends.client->read(&byte, 1, in(600s)).error().kind, ErrorKind::closed);
    });
    Thread writer("writer", [&](std::stop_token) {
      const std::string much(64_MiB, 'x');  // more than the kernel's buffers: nobody reads
      EXPECT_EQ(ends.client->write(much, in(600s)).error().kind, ErrorKind::closed);
    });
    while (ends.client->stats().unsent_bytes == 0) std::this_thread::yield();
    ends.client->close();
    reader.join();
    writer.join();
  }
}

TEST_F(RealNetworkTest, MuchGoesBothWaysAtOnce) {
  constexpr std::size_t kBytes = 24_MiB;
  Ends ends = join_tls();
  std::string sent(kBytes, '\0');
  for (std::size_t i = 0; i < kBytes; ++i) sent[i] = static_cast<char>(i * 2654435761U >> 13);
  const auto write = [&](Connection& to) { EXPECT_TRUE(to.write(sent, in(60s)).ok()); };
  const auto read = [&](Connection& from) {
    EXPECT_EQ(crc32c(read_exactly(from, kBytes, in(60s))), crc32c(sent));
  };
  Thread a("a", [&](std::stop_token) { write(*ends.client); });
  Thread b("b", [&](std::stop_token) { write(*ends.server); });
  Thread c("c", [&](std::stop_token) { read(*ends.client); });
  read(*ends.server);
  c.join();
  EXPECT_GT(ends.client->stats().rtt, Duration::zero());
}

}  // namespace
}  // namespace farshore::os
