// What goes wrong between two agents: cuts, silence, second agents, restarts, and peers that break
// the protocol.
#include "link/batch_io.h"
#include "link/hello.h"
#include "link/inbox.h"
#include "link/link_fixture.h"

namespace farshore::link {
namespace {

using testing::HasSubstr;

struct LinkFaults : FakePair {};

TEST_F(LinkFaults, ACutEndsTheChannelsAndTheLinkComesBack) {
  start();
  auto [here, there] = channel();
  wire->cut_all();
  EXPECT_EQ(there->receive(soon()).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(here->receive(soon()).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(here->send("x", soon()).error().kind, ErrorKind::unavailable);
  EXPECT_TRUE(eu->wait_event("link.disconnected"));
  ASSERT_TRUE(eu->link->wait_connected(soon()).ok());
  ASSERT_TRUE(us->link->wait_connected(soon()).ok());
  auto [again, again_there] = channel();
  ASSERT_TRUE(again->send("resumed", soon()).ok());
  EXPECT_EQ(*again_there->receive(soon()), "resumed");
  EXPECT_EQ(here->receive(soon()).error().kind, ErrorKind::unavailable);  // the old one stays dead
}

TEST_F(LinkFaults, TheClockOffsetOutlivesASessionThatDidNotMeasureIt) {
  start();
  const auto known = [&] { return eu->link->facts().clock_offset_bound > 0ms; };
  ASSERT_TRUE(eu->wait(known));
  wire->set({.delay = 200ms});  // the next session ends before its first keepalive is answered
  for (int ended = 0; ended < 2; ++ended) {
    ASSERT_TRUE(eu->link->wait_connected(soon()).ok());
    wire->cut_all();
    ASSERT_TRUE(eu->wait([&] { return !eu->link->facts().connected; }));
    EXPECT_TRUE(known());
  }
}

TEST_F(LinkFaults, ManyCutsInARowAreAllSurvived) {
  start();
  for (int i = 0; i < 20; ++i) {
    wire->cut_all();
    ASSERT_TRUE(eu->wait([&] {
      auto here = eu->link->open("probe", Class::stream);
      if (!here.ok() || !(*here)->send("x", soon()).ok()) return false;
      auto there = us->next_incoming(200ms).channel;
      return there != nullptr && there->receive(soon(200ms)).ok();
    })) << i;
  }
}

TEST_F(LinkFaults, SwallowedPacketsAreNoticedWithinTenSeconds) {
  start();
  auto [here, there] = channel();
  const MonotonicTime began = os::real_monotonic_now();
  wire->set({.swallow = true});
  EXPECT_EQ(there->receive(soon()).error().kind, ErrorKind::unavailable);
  EXPECT_EQ(here->receive(soon()).error().kind, ErrorKind::unavailable);
  EXPECT_LT(os::real_monotonic_now() - began, 10s);
  EXPECT_TRUE(eu->wait([&] { return !eu->link->facts().connected; }));
  wire->set({});
  EXPECT_TRUE(eu->link->wait_connected(soon()).ok());
}

TEST_F(LinkFaults, APeerThatTakesNothingIsNoticed) {
  eu_options.dead_after = us_options.dead_after = 500ms;
  eu_options.keepalive_every = us_options.keepalive_every = 50ms;
  start();
  auto [here, there] = channel();
  wire->set({.bytes_per_second = 1});
  (void)here->send(Bytes(1_MiB, 'x'), soon());
  EXPECT_EQ(here->receive(soon(5s)).error().kind, ErrorKind::unavailable);
}

TEST_F(LinkFaults, ALongRunOfSilenceFromTheUserIsNoFault) {
  eu_options.dead_after = us_options.dead_after = 300ms;
  eu_options.keepalive_every = us_options.keepalive_every = 50ms;
  start();
  auto [here, there] = channel();
  EXPECT_EQ(there->receive(soon(1s)).error().kind, ErrorKind::timeout);
  EXPECT_TRUE(here->send("still here", soon()).ok());
  EXPECT_EQ(*there->receive(soon()), "still here");
}

TEST_F(LinkFaults, ASecondAgentOfARegionIsRefusedAndToldWhoHoldsIt) {
  start();
  Options second_options = us_options;
  second_options.own_incarnation = "us-2";
  FakeWorld second_world(wire);
  Agent second(second_world, "elsewhere:1", second_options);
  EXPECT_TRUE(second.wait_state("region 'us' is held by agent us-1 at fake:"))
      << second.link->facts().state;
  EXPECT_TRUE(second.wait_event("link.refused"));
  EXPECT_TRUE(eu->wait_event("link.refused"));
  EXPECT_TRUE(eu->link->facts().connected);
  EXPECT_EQ(eu->link->facts().incarnation, "us-1");
}

TEST_F(LinkFaults, ARestartedAgentGetsInAtOnce) {
  start();
  us.reset();
  us_options.own_incarnation = "us-2";
  const MonotonicTime began = os::real_monotonic_now();
  start_us();
  ASSERT_TRUE(us->link->wait_connected(soon()).ok());
  EXPECT_LT(os::real_monotonic_now() - began, 2s);
  ASSERT_TRUE(eu->wait([&] { return eu->link->facts().incarnation == "us-2"; }));
}

// The host of the first agent vanished without a word: its session looks alive until it is pinged.
TEST_F(LinkFaults, AnAgentWhoseForerunnerVanishedGetsInAfterThePing) {
  for (const bool owner_restarts : {false, true}) {
    start();
    auto& vanished_options = owner_restarts ? eu_options : us_options;
    auto& stays = owner_restarts ? us : eu;
    auto vanished = std::move(owner_restarts ? eu : us);
    wire->set({.swallow = true, .silent_close = true});
    vanished.reset();
    wire->set({});
    vanished_options.own_incarnation += "x";
    ASSERT_TRUE(stays->link->facts().connected);
    const MonotonicTime began = os::real_monotonic_now();
    owner_restarts ? start_eu() : start_us();
    auto& newcomer = owner_restarts ? eu : us;
    ASSERT_TRUE(newcomer->link->wait_connected(soon()).ok());
    EXPECT_TRUE(stays->wait(
        [&] { return stays->link->facts().incarnation == vanished_options.own_incarnation; }));
    EXPECT_LT(os::real_monotonic_now() - began, 4s);
    EXPECT_TRUE(newcomer->link->facts().connected);
    eu.reset();
    us.reset();
  }
}

// A peer whose every byte the test decides. It is region "us" towards a real agent "eu".
class RawPeer {
 public:
  explicit RawPeer(FakeWorld& world) : connection(*world.network().connect("eu:1", soon())) {}

  // The answer to a hello.
  SingleFrame greet(const Hello& hello) {
    EXPECT_TRUE(send_single(*connection, FrameType::hello, encode(hello), soon()).ok());
    auto answer = receive_single(*connection, kHelloMax, soon());
    EXPECT_TRUE(answer.ok()) << answer.error().what;
    return answer.ok() ? *answer : SingleFrame{};
  }
  void join() {
    const SingleFrame answer = greet(hello());
    ASSERT_EQ(answer.type, FrameType::accept);
    ASSERT_TRUE(send_single(*connection, FrameType::confirm, {}, soon()).ok());
  }
  static Hello hello() {
    Hello hello;
    hello.cluster = "shop";
    hello.region = "us";
    hello.peer_region = "eu";
    hello.incarnation = "raw";
    return hello;
  }
  void write(ByteView bytes) { (void)connection->write(bytes, soon()); }
  void send(FrameHeader header, ByteView payload) {
    Bytes frame;
    encode_frame(header, payload, frame);
    Bytes wire;
    const auto size = static_cast<std::uint32_t>(frame.size());
    encode_batch_header({Encoding::stored, size, size}, wire);
    write(wire + frame);
  }
  // Why the agent ended the session.
  std::string last_words(FakeWorld& world) {
    BatchReader reader(world, *connection, 5s);
    while (true) {
      auto plain = reader.next();
      if (!plain.ok()) return "hung up: " + plain.error().what;
      for (ByteView left = *plain; !left.empty();) {
        const auto frame = take_frame(left);
        if (!frame.ok()) return frame.error().what;
        if (frame->header.type == FrameType::end) return *decode_reason(frame->payload);
      }
    }
  }

  std::unique_ptr<os::Connection> connection;
};

struct HostilePeer : FakePair {
  void SetUp() override {
    eu_options.peer_address = "";  // only the raw peer dials
    start_eu();
  }
  std::string words_after(const std::function<void(RawPeer&)>& attack) {
    RawPeer peer(us_world);
    peer.join();
    attack(peer);
    const std::string words = peer.last_words(us_world);
    EXPECT_TRUE(eu->wait([&] { return !eu->link->facts().connected; }));
    return words;
  }
  static FrameHeader data(std::uint32_t channel, std::uint64_t sequence) {
    return {.type = FrameType::data,
            .klass = Class::stream,
            .flags = 0,
            .channel = channel,
            .sequence = sequence};
  }
};

TEST_F(HostilePeer, GarbageOnTheSocketIsHungUpOn) {
  for (const Bytes& garbage :
       {Bytes("GET / HTTP/1.1\r\n\r\n"), Bytes(100000, '\xff'), Bytes(20, '\xfb')}) {
    RawPeer peer(us_world);
    peer.write(garbage);
    char byte = 0;
    EXPECT_FALSE(peer.connection->read(&byte, 1, soon()).ok());
  }
  EXPECT_TRUE(eu->wait_event("link.connection_failed"));
  RawPeer(us_world).join();  // and others are still served
}

TEST_F(HostilePeer, OtherVersionsAndStrangersAreToldWhy) {
  struct Case {
    std::function<void(Hello&)> change;
    std::string words;
  };
  for (const Case& one : std::vector<Case>{
           {[](Hello& h) { h.protocol.major = 2; }, "protocol 2.0, we speak 1.0 to 1.1"},
           {[](Hello& h) { h.protocol.minor = 2; }, "protocol 1.2, we speak 1.0 to 1.1"},
           {[](Hello& h) { h.cluster = "bank"; }, "cluster 'bank' dialled cluster 'shop'"},
           {[](Hello& h) { h.peer_region = "ap"; }, "region 'ap' was meant, this is 'eu'"},
       }) {
    RawPeer peer(us_world);
    Hello hello = RawPeer::hello();
    one.change(hello);
    const SingleFrame answer = peer.greet(hello);
    ASSERT_EQ(answer.type, FrameType::refuse);
    EXPECT_THAT(decode_refuse(answer.payload)->words, HasSubstr(one.words));
    EXPECT_THAT(eu->link->facts().state, HasSubstr("handshake refused: " + one.words));
  }
  RawPeer stranger(us_world);
  Hello hello = RawPeer::hello();
  hello.region = "ap";
  EXPECT_THAT(decode_refuse(stranger.greet(hello).payload)->words,
              HasSubstr("region 'ap' is no peer here"));
}

TEST_F(HostilePeer, AnOlderAndANewerMinorTalk) {
  RawPeer peer(us_world);
  Hello hello = RawPeer::hello();
  hello.protocol.minor = 1;
  const SingleFrame answer = peer.greet(hello);
  ASSERT_EQ(answer.type, FrameType::accept);
  EXPECT_EQ(decode_accept(answer.payload)->protocol, (Protocol{1, 0}));
}

TEST_F(HostilePeer, ABatchOverTheLimitEndsTheSession) {
  EXPECT_THAT(words_after([](RawPeer& peer) {
                Bytes header;
                ByteWriter(header).number(std::uint64_t{kBatchMagic} |
                                          std::uint64_t{0xffffff} << 16 |
                                          std::uint64_t{0xffffff} << 40);
                peer.write(header);
              }),
              HasSubstr("the limits are"));
}

TEST_F(HostilePeer, ABombEndsTheSession) {
  EXPECT_THAT(words_after([](RawPeer& peer) {
                Compressor compressor(kWindowLogMax);
                Bytes body, wire;
                (void)compressor.compress(Bytes(10_MiB, '\0'), 3, body);
                encode_batch_header(
                    {Encoding::zstd_begin, static_cast<std::uint32_t>(body.size()), 1000}, wire);
                peer.write(wire + body);
              }),
              HasSubstr("batch says it holds 1000 bytes, it holds more"));
}

TEST_F(HostilePeer, MoreThanTheWindowEndsTheSession) {
  EXPECT_THAT(words_after([](RawPeer& peer) {
                peer.send({.type = FrameType::open, .channel = 2},
                          encode(Open{.credit = 1_MiB, .name = "x"}));
                const Bytes part(200_KiB, 'x');  // the parts of one message that never ends
                for (std::uint64_t sequence = 2; sequence < 1000; ++sequence)
                  peer.send(data(2, sequence), part);
              }),
              HasSubstr("more than its window"));
}

TEST_F(HostilePeer, TooManyChannelsEndTheSession) {
  EXPECT_THAT(words_after([](RawPeer& peer) {
                for (std::uint32_t i = 1; i <= kChannelsMax + 1; ++i)
                  peer.send(data(2 * i, 1), "x");
              }),
              HasSubstr("opens more than 4096 channels"));
}

TEST_F(HostilePeer, FramesOutOfPlaceEndTheSession) {
  EXPECT_THAT(words_after([](RawPeer& peer) { peer.send(data(1, 0), "x"); }),
              HasSubstr("channel 1, which is not open"));
  EXPECT_THAT(words_after([](RawPeer& peer) { peer.send({.type = FrameType::hello}, ""); }),
              HasSubstr("frame of type 1 in a session"));
  EXPECT_THAT(words_after([](RawPeer& peer) {
                peer.send({.type = FrameType::open, .channel = 2},
                          encode(Open{.credit = 1, .name = "x"}));
                peer.send({.type = FrameType::credit, .channel = 2}, encode_credit(~0ULL));
              }),
              HasSubstr("bytes of credit"));
  EXPECT_THAT(
      words_after([](RawPeer& peer) { peer.send({.type = FrameType::keepalive}, "short"); }),
      HasSubstr("keepalive frame"));
}

}  // namespace
}  // namespace farshore::link
