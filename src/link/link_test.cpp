// Two whole links on an in-memory wire: what users of channels see.
#include "link/link.h"

#include <random>

#include "base/checksum.h"
#include "link/channel_contract.h"
#include "link/link_fixture.h"
#include "link/long_message.h"
#include "link/paired_channel.h"
#include "os/thread.h"

namespace farshore::link {
namespace {

using testing::HasSubstr;

struct LinkTest : FakePair {};

std::string error_of(const Result<void>& result) {
  return result.ok() ? "" : result.error().what;
}

// Both ends of a channel over the wire, in the place of the paired one's.
ChannelUnderTest channel_over_the_wire() {
  struct Pair final : FakePair {
    void TestBody() override {}
  };
  auto pair = std::make_shared<Pair>();
  pair->start();
  auto [here, there] = pair->channel();
  return {pair, std::move(here), std::move(there)};
}

ChannelUnderTest channel_in_memory() {
  auto [here, there] = PairedChannel::make();
  return {nullptr, std::move(here), std::move(there)};
}

INSTANTIATE_TEST_SUITE_P(Ends, ChannelContract,
                         testing::Values(ChannelSetup{"session", &channel_over_the_wire},
                                         ChannelSetup{"paired", &channel_in_memory}),
                         [](const auto& info) { return info.param.name; });

TEST_F(LinkTest, WhoeverIsCalledHearsTheNameAndTheClass) {
  start();
  auto here = *eu->link->open("ship orders", Class::waiting);
  ASSERT_TRUE(here->send("hello", soon()).ok());
  auto there = us->next_incoming();
  EXPECT_EQ(there.name, "ship orders");
  EXPECT_EQ(there.klass, Class::waiting);
  EXPECT_EQ(*there.channel->receive(soon()), "hello");
}

TEST_F(LinkTest, ALongMessageIsCutAndComesTogetherAgain) {
  start();
  auto [here, there] = channel();
  os::Thread sender("sender", [&, &channel = here](std::stop_token) {
    for (const std::size_t size :
         {std::size_t{3}, std::size_t{kMessageMax} + 1, std::size_t{kMessageMax} * 3})
      EXPECT_EQ(error_of(send_long(*channel, Bytes(size, 'x'), soon())), "");
    EXPECT_EQ(error_of(channel->send("behind", soon())), "");
  });
  for (const std::size_t size :
       {std::size_t{3}, std::size_t{kMessageMax} + 1, std::size_t{kMessageMax} * 3})
    EXPECT_EQ(receive_long(*there, soon()).value(), Bytes(size, 'x'));
  EXPECT_EQ(receive_long(*there, soon()).value(), "behind");
  sender.join();
  EXPECT_EQ(send_long(*here, Bytes(kLongMessageMax + 1, 'x'), soon()).error().kind,
            ErrorKind::invalid);
}

TEST_F(LinkTest, PiecesThatDoNotMakeTheWholeAreRefused) {
  start();
  auto [here, there] = channel();
  const auto head = [](std::uint64_t size) {
    Bytes out;
    ByteWriter(out).number(std::uint8_t{0}).number(size);
    return out;
  };
  for (const auto& [size, piece, kind] :
       {std::tuple{std::uint64_t{5}, "sixteen", ErrorKind::corrupt},
        std::tuple{std::uint64_t{5}, "", ErrorKind::corrupt},
        std::tuple{std::uint64_t{kLongMessageMax} + 1, "x", ErrorKind::corrupt}}) {
    auto [one, other] = channel();
    ASSERT_TRUE(one->send(head(size), soon()).ok());
    ASSERT_TRUE(one->send(piece, soon()).ok());
    EXPECT_EQ(receive_long(*other, soon()).error().kind, kind);
  }
  ASSERT_TRUE(here->send(head(5), soon()).ok());
  ASSERT_TRUE(here->send("on", soon()).ok());
  EXPECT_EQ(receive_long(*there, soon(200ms)).error().kind, ErrorKind::unavailable);
}

TEST_F(LinkTest, FactsNameThePeerAndCountBytes) {
  start();
  auto [here, there] = channel();
  ASSERT_TRUE(here->send(Bytes(1_MiB, 'x'), soon()).ok());
  ASSERT_TRUE(there->receive(soon()).ok());
  ASSERT_TRUE(eu->wait([&] { return eu->link->facts().plain_bytes_sent > 1_MiB; }));
  const PeerFacts facts = eu->link->facts();
  EXPECT_TRUE(facts.connected);
  EXPECT_EQ(facts.state, "connected");
  EXPECT_EQ(facts.incarnation, "us-1");
  EXPECT_EQ(facts.version, "0.1.0");
  EXPECT_LT(facts.wire_bytes_sent, facts.plain_bytes_sent / 10);
  EXPECT_GT(us->link->facts().plain_bytes_received, 1_MiB);
  EXPECT_TRUE(eu->wait_event("link.connected"));
}

TEST_F(LinkTest, KeepalivesMeasureRoundTripAndClockOffsetAndCarryTotals) {
  wire->set({.delay = 20ms});
  eu_options.keepalive_every = us_options.keepalive_every = 50ms;
  start_eu("totals of eu");
  start_us("totals of us");
  EXPECT_EQ(eu->wait_totals(), "totals of us");
  EXPECT_EQ(us->wait_totals(), "totals of eu");
  ASSERT_TRUE(eu->wait([&] { return eu->link->facts().clock_offset_bound > 0ms; }));
  const PeerFacts facts = eu->link->facts();
  EXPECT_GE(facts.rtt, 40ms);
  EXPECT_LT(facts.rtt, 400ms);
  EXPECT_GE(facts.rtt_min, 40ms);
  EXPECT_LT(facts.rtt_min, 400ms);
  EXPECT_LE(std::chrono::abs(facts.clock_offset - 5s), facts.clock_offset_bound + 1ms);
  ASSERT_TRUE(us->wait([&] { return us->link->facts().clock_offset_bound > 0ms; }));
  EXPECT_LT(us->link->facts().clock_offset, -4s);
}

// Bulk waits in the queue while the wire is slow; what is urgent must not wait behind it.
TEST_F(LinkTest, ControlPassesBulk) {
  eu_options.compression = us_options.compression = Compression::off;
  eu_options.connections_max = us_options.connections_max = 1;
  start();
  auto [bulk, bulk_there] = channel(Class::copy);
  auto [urgent, urgent_there] = channel(Class::control);
  wire->set({.bytes_per_second = 2_MiB});
  ASSERT_TRUE(bulk->send(Bytes(kMessageMax, 'x'), soon()).ok());  // two seconds' worth
  ASSERT_TRUE(eu->wait([&, &bulk = bulk] { return bulk->queued_bytes() < kMessageMax; }));
  ASSERT_TRUE(urgent->send("now", soon()).ok());
  ASSERT_TRUE(urgent_there->receive(soon(1s)).ok());
  EXPECT_EQ(bulk_there->receive(Deadline::passed()).error().kind, ErrorKind::timeout);
  EXPECT_GT(bulk->queued_bytes(), 1_MiB);
  EXPECT_EQ(bulk_there->receive(soon())->size(), kMessageMax);
}

TEST_F(LinkTest, ASlowChannelStallsNoOther) {
  eu_options.channel_window_bytes = us_options.channel_window_bytes = 5_MiB;
  start();
  auto [slow, slow_there] = channel();
  auto [quick, quick_there] = channel();
  Result<void> sent;
  int messages = 0;
  while ((sent = slow->send(Bytes(1_MiB, 'x'), soon(300ms))).ok()) ++messages;
  EXPECT_EQ(sent.error().kind, ErrorKind::timeout);
  EXPECT_LE(messages, 10);  // the window and the sender's queue
  for (int i = 0; i < 30; ++i) {
    ASSERT_TRUE(quick->send(Bytes(1_MiB, 'y'), soon()).ok());
    ASSERT_TRUE(quick_there->receive(soon()).ok());
  }
  for (int i = 0; i < messages; ++i) ASSERT_TRUE(slow_there->receive(soon()).ok());
  EXPECT_TRUE(slow->send("again", soon()).ok());
}

// How much a reader that takes nothing lets come: enough for the distance, and not more.
TEST_F(LinkTest, TheWindowGrowsWithTheRoundTrip) {
  eu_options.keepalive_every = us_options.keepalive_every = 20ms;
  start();
  auto accepted = [&] {
    auto [here, there] = channel();
    EXPECT_TRUE(here->send("first", soon()).ok());
    EXPECT_TRUE(there->receive(soon()).ok());
    int messages = 0;
    while (here->send(Bytes(1_MiB, 'x'), soon(500ms)).ok()) ++messages;
    return messages;
  };
  EXPECT_LE(accepted(), 11);
  wire->set({.delay = 50ms});
  ASSERT_TRUE(us->wait([&] { return us->link->facts().rtt > 80ms; }));
  EXPECT_GE(accepted(), 24);
}

TEST_F(LinkTest, OrderHoldsOverManyConnectionsThatComeAndGrowByNeed) {
  eu_options.compression = us_options.compression = Compression::off;
  eu_options.connections_max = us_options.connections_max = 4;
  start();
  wire->set({.delay = 2ms, .bytes_per_second = 40_MiB});
  auto [here, there] = channel();
  constexpr int kMessages = 1500;
  os::Thread sender("sender", [&, &channel = here](std::stop_token) {
    std::mt19937_64 random(7);
    for (int i = 0; i < kMessages; ++i) {
      Bytes message = std::to_string(i) + " ";
      message.resize(random() % (200_KiB) + 8, 'x');
      ASSERT_TRUE(channel->send(message, soon()).ok());
    }
  });
  for (int i = 0; i < kMessages; ++i) {
    const auto message = there->receive(soon());
    ASSERT_TRUE(message.ok()) << message.error().what;
    ASSERT_EQ(message->substr(0, message->find(' ')), std::to_string(i));
  }
  EXPECT_GE(eu->link->facts().connections, 2);
}

TEST_F(LinkTest, SoManyConnectionsStandFromTheBeginningAsOneSideAsks) {
  us_options.connections_min = 3;
  start();
  EXPECT_TRUE(us->wait([&] { return us->link->facts().connections >= 3; }));
}

TEST_F(LinkTest, ManyChannelsComeAndGo) {
  start();
  for (int i = 0; i < 5000; ++i) {  // more than may be open at once
    auto here = *eu->link->open("short", Class::stream);
    ASSERT_TRUE(here->send("x", soon()).ok());
    auto there = us->next_incoming().channel;
    ASSERT_TRUE(there) << i;
    ASSERT_EQ(*there->receive(soon()), "x");
  }
}

TEST_F(LinkTest, OneDirectionThatCanBeDialledIsEnough) {
  wire->forbid("us:1");
  eu_options.compression = us_options.compression = Compression::off;
  start();
  auto [here, there] = channel();
  ASSERT_TRUE(here->send("through", soon()).ok());
  EXPECT_EQ(*there->receive(soon()), "through");
  // eu cannot dial for more connections; it asks us to.
  wire->set({.bytes_per_second = 4_MiB});
  for (int i = 0; i < 40 && us->link->facts().connections < 2; ++i) {
    ASSERT_TRUE(here->send(Bytes(kMessageMax, 'x'), soon()).ok());
    ASSERT_TRUE(there->receive(soon()).ok());
    ASSERT_TRUE(here->send(Bytes(kMessageMax, 'x'), soon()).ok());
    ASSERT_TRUE(there->receive(soon()).ok());
  }
  EXPECT_GE(us->link->facts().connections, 2);
  EXPECT_EQ(us->link->facts().state, "connected");
}

TEST_F(LinkTest, WithoutASessionOpenSaysWhyAtOnce) {
  start_eu();
  ASSERT_TRUE(eu->wait_state("cannot reach us:1"));
  const auto channel = eu->link->open("x", Class::stream);
  EXPECT_EQ(channel.error().kind, ErrorKind::unavailable);
  EXPECT_THAT(channel.error().what, HasSubstr("cannot reach us:1"));
  EXPECT_EQ(eu->link->wait_connected(soon(50ms)).error().kind, ErrorKind::timeout);
}

TEST_F(LinkTest, AClosedLinkAnswersClosed) {
  start();
  auto [here, there] = channel();
  eu->link->close();
  EXPECT_EQ(here->receive(soon()).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(eu->link->open("x", Class::stream).error().kind, ErrorKind::closed);
  EXPECT_TRUE(us->wait_state("the agent stops"));
}

TEST_F(LinkTest, ClosingDoesNotWaitForAPeerThatDoesNotAnswer) {
  wire->set({.silent = true});
  eu_options.connect_timeout = 1min;
  start_eu();
  const MonotonicTime before = os::real_monotonic_now();
  EXPECT_EQ(eu->link->wait_connected(soon(50ms)).error().kind, ErrorKind::timeout);
  eu->endpoint->close();
  EXPECT_LT(os::real_monotonic_now() - before, 30s);
}

TEST_F(LinkTest, AScarceWanRaisesTheLevelOfCompression) {
  start();
  wire->set({.bytes_per_second = 1_MiB});
  auto [here, there] = channel();
  const int before = eu->link->facts().compression_level;
  std::mt19937_64 random(7);
  os::Thread receiver("receiver", [&, &channel = there](std::stop_token) {
    while (channel->receive(soon()).ok()) {
    }
  });
  const Deadline deadline = soon(15s);
  while (eu->link->facts().compression_level <= before &&
         !deadline.reached(os::real_monotonic_now())) {
    Bytes message(100_KiB, '\0');
    for (char& byte : message) byte = static_cast<char>(random() % 40);
    ASSERT_TRUE(here->send(message, soon()).ok());
  }
  EXPECT_GT(eu->link->facts().compression_level, before);
  EXPECT_THAT(eu->link->facts().compression_why, HasSubstr("WAN is scarce"));
  here->close();
}

TEST_F(LinkTest, ABusyCpuLowersTheLevelOfCompression) {
  eu_options.connections_max = us_options.connections_max = 1;
  start();
  auto [here, there] = channel();
  const int before = eu->link->facts().compression_level;
  os::Thread receiver("receiver", [&, &channel = there](std::stop_token) {
    while (channel->receive(soon()).ok()) {
    }
  });
  std::mt19937_64 random(7);
  Bytes text;  // longer than the window, of words: slow to compress, quick to read
  while (text.size() < 32_MiB)
    text += std::to_string(random() % 3000 * 7919) + (random() % 4 == 0 ? ", " : " ");
  const Deadline deadline = soon(40s);  // other tests may have the CPU meanwhile
  for (std::size_t at = 0;
       eu->link->facts().compression_level >= before && !deadline.reached(os::real_monotonic_now());
       at = (at + 1_MiB) % 32_MiB)
    ASSERT_EQ(error_of(here->send(ByteView(text).substr(at, 1_MiB), soon())), "");
  EXPECT_LT(eu->link->facts().compression_level, before) << eu->link->facts().compression_why;
  EXPECT_THAT(eu->link->facts().compression_why, HasSubstr("CPU is scarce"));
  here->close();
}

}  // namespace
}  // namespace farshore::link
