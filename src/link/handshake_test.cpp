#include "link/handshake.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace farshore::link {
namespace {

using testing::HasSubstr;

// "eu" owns the session with "us": its name is smaller.
Self owner() {
  return {.protocol = {1, 1},
          .cluster = "shop",
          .region = "eu",
          .peer_region = "us",
          .incarnation = "eu-1",
          .version = "0.1.0",
          .candidate = 5};
}
Self other() {
  return {.protocol = {1, 1},
          .cluster = "shop",
          .region = "us",
          .peer_region = "eu",
          .incarnation = "us-1",
          .version = "0.1.0"};
}
Standing standing_at_owner() {
  return {.number = 5,
          .owner = "eu-1",
          .peer_incarnation = "us-1",
          .peer_address = "10.0.0.2:7400",
          .connections = 1};
}
Standing standing_at_other() {
  return {.number = 5,
          .owner = "eu-1",
          .peer_incarnation = "eu-1",
          .peer_address = "10.0.0.1:7400",
          .connections = 1};
}

Decision ask(const Self& self, const std::optional<Standing>& standing, const Hello& hello,
             const std::string& peer_name = "", Liveness liveness = Liveness::not_asked) {
  return decide(self, standing, hello, peer_name, liveness);
}

const Refuse& refusal(const Decision& decision) {
  return std::get<Refuse>(decision);
}

TEST(Handshake, HelloAcceptAndRefuseReadWhatTheyWrite) {
  Hello hello = make_hello(owner(), standing_at_owner());
  hello.protocol = {};
  EXPECT_EQ(*decode_hello(encode(hello)), hello);
  EXPECT_EQ(*decode_hello(encode(hello) + "a field of a newer minor"), hello);
  const Accept accept{{1, 0}, "eu", "eu-1", "0.1.0", 5};
  EXPECT_EQ(*decode_accept(encode(accept)), accept);
  const Refuse refuse{{1, 0}, RefuseCode::full, "words"};
  EXPECT_EQ(*decode_refuse(encode(refuse)), refuse);
  for (std::size_t size = 0; size < encode(hello).size(); ++size)
    EXPECT_FALSE(decode_hello(encode(hello).substr(0, size)).ok()) << size;
  EXPECT_FALSE(decode_hello(Bytes(kHelloMax + 1, 'F')).ok());
}

TEST(Handshake, NeighbouringMinorsTalkWithTheLower) {
  struct Case {
    Protocol theirs;
    std::optional<Protocol> talked;
  };
  for (const auto& [theirs, talked] : std::vector<Case>{{{1, 1}, Protocol{1, 1}},
                                                        {{1, 0}, Protocol{1, 0}},
                                                        {{1, 2}, Protocol{1, 1}},
                                                        {{1, 3}, std::nullopt},
                                                        {{2, 1}, std::nullopt},
                                                        {{0, 1}, std::nullopt}}) {
    Hello hello = make_hello(other(), std::nullopt);
    hello.protocol = theirs;
    const Decision decision = ask(owner(), std::nullopt, hello);
    if (talked) {
      ASSERT_TRUE(std::holds_alternative<Accept>(decision)) << int{theirs.minor};
      EXPECT_EQ(std::get<Accept>(decision).protocol, *talked);
    } else {
      EXPECT_EQ(refusal(decision).code, RefuseCode::protocol);
      EXPECT_THAT(refusal(decision).words,
                  HasSubstr(fmt::format("protocol {}.{}, we speak 1.0 to 1.2", theirs.major,
                                        theirs.minor)));
    }
  }
}

TEST(Handshake, AHelloOfAnotherMajorStillSaysWhoItIs) {
  Hello hello = make_hello(other(), std::nullopt);
  hello.protocol = {2, 0};
  Bytes bytes = encode(hello);
  bytes.resize(bytes.size() - 20);  // its further fields are not ours to know
  EXPECT_EQ(decode_hello(bytes)->region, "us");
}

TEST(Handshake, RefusesWhoeverIsNotThePeer) {
  struct Case {
    std::function<void(Hello&)> change;
    std::string peer_name, words;
  };
  const std::vector<Case> cases{
      {[](Hello& h) { h.cluster = "other"; }, "", "cluster 'other' dialled cluster 'shop'"},
      {[](Hello& h) { h.region = "ap"; }, "", "region 'ap' dialled, expected 'us'"},
      {[](Hello& h) { h.peer_region = "ap"; }, "", "region 'ap' was meant, this is 'eu'"},
      {[](Hello& h) { h.incarnation = ""; }, "", "no incarnation"},
      {[](Hello&) {}, "ap", "certificate names region 'ap', the hello says 'us'"},
      {[](Hello& h) { h.region = "ap"; }, "ap", "region 'ap' dialled, expected 'us'"},
  };
  for (const Case& one : cases) {
    Hello hello = make_hello(other(), std::nullopt);
    one.change(hello);
    const Decision decision = ask(owner(), std::nullopt, hello, one.peer_name);
    EXPECT_EQ(refusal(decision).code, RefuseCode::identity);
    EXPECT_THAT(refusal(decision).words, HasSubstr(one.words));
  }
}

TEST(Handshake, TheOwnerNumbersTheSessionWhoeverDials) {
  const auto taken =
      std::get<Accept>(ask(owner(), std::nullopt, make_hello(other(), std::nullopt)));
  EXPECT_EQ(taken.session, 5U);
  const auto given =
      std::get<Accept>(ask(other(), std::nullopt, make_hello(owner(), std::nullopt)));
  EXPECT_EQ(given.session, 5U);
}

TEST(Handshake, BothDiallingAtOnceLandInOneSession) {
  const auto second =
      std::get<Accept>(ask(owner(), standing_at_owner(), make_hello(other(), std::nullopt)));
  EXPECT_EQ(second.session, 5U);
  const auto first =
      std::get<Accept>(ask(other(), standing_at_other(), make_hello(owner(), std::nullopt)));
  EXPECT_EQ(first.session, 5U);
}

TEST(Handshake, APeerThatLostTheSessionEndsItHereToo) {
  Self lost = other();
  lost.ended = 5;
  lost.ended_owner = "eu-1";
  const auto renewed =
      std::get<Accept>(ask(owner(), standing_at_owner(), make_hello(lost, std::nullopt)));
  EXPECT_EQ(renewed.session, 6U);
  Self lost_owner = owner();
  lost_owner.candidate = 6;
  lost_owner.ended = 5;
  lost_owner.ended_owner = "eu-1";
  const auto moved =
      std::get<Accept>(ask(other(), standing_at_other(), make_hello(lost_owner, std::nullopt)));
  EXPECT_EQ(moved.session, 6U);
}

TEST(Handshake, AnEndedNumberIsNeverUsedAgain) {
  Self self = other();
  self.ended = 5;
  self.ended_owner = "eu-1";
  EXPECT_EQ(refusal(ask(self, std::nullopt, make_hello(owner(), std::nullopt))).code,
            RefuseCode::stale_session);
  EXPECT_EQ(attach_of(self, std::nullopt, 5, "eu-1", "eu-1"), Attach::drop);
  EXPECT_EQ(attach_of(self, std::nullopt, 6, "eu-1", "eu-1"), Attach::starts);
  EXPECT_EQ(attach_of(self, std::nullopt, 1, "eu-2", "eu-2"), Attach::starts);
  Standing newer = standing_at_other();
  newer.number = 7;
  EXPECT_EQ(refusal(ask(self, newer, make_hello(owner(), std::nullopt))).code,
            RefuseCode::stale_session);
  EXPECT_EQ(attach_of(self, newer, 6, "eu-1", "eu-1"), Attach::drop);
  EXPECT_EQ(attach_of(self, newer, 7, "eu-1", "eu-1"), Attach::joins);
  EXPECT_EQ(attach_of(self, newer, 8, "eu-1", "eu-1"), Attach::replaces);
  EXPECT_EQ(attach_of(self, newer, 1, "eu-2", "eu-2"), Attach::replaces);
}

TEST(Handshake, ASecondAgentIsRefusedWhileTheFirstLives) {
  Self second = other();
  second.incarnation = "us-2";
  const Hello hello = make_hello(second, std::nullopt);
  EXPECT_TRUE(std::holds_alternative<PingFirst>(ask(owner(), standing_at_owner(), hello)));
  const Decision refused = ask(owner(), standing_at_owner(), hello, "", Liveness::alive);
  EXPECT_EQ(refusal(refused).code, RefuseCode::second_agent);
  EXPECT_THAT(refusal(refused).words, HasSubstr("held by agent us-1 at 10.0.0.2:7400"));
  const auto newer =
      std::get<Accept>(ask(owner(), standing_at_owner(), hello, "", Liveness::silent));
  EXPECT_EQ(newer.session, 6U);
  EXPECT_EQ(attach_of(owner(), standing_at_owner(), 6, "eu-1", "us-2"), Attach::replaces);
  EXPECT_EQ(attach_of(owner(), standing_at_owner(), 5, "eu-1", "us-2"), Attach::drop);
}

TEST(Handshake, APeerCannotUseUpTheNumbers) {
  Hello hello = make_hello(other(), std::nullopt);
  hello.owner = "eu-1";
  hello.ended = ~std::uint64_t{0};
  EXPECT_EQ(std::get<Accept>(ask(owner(), std::nullopt, hello)).session, 6U);
}

TEST(Handshake, OnlyTheSessionsOwnAgentsAddConnections) {
  const Hello join = make_hello(other(), standing_at_other());
  EXPECT_EQ(std::get<Accept>(ask(owner(), standing_at_owner(), join)).session, 5U);
  Standing full = standing_at_owner();
  full.connections = 16;
  EXPECT_EQ(refusal(ask(owner(), full, join)).code, RefuseCode::full);
  EXPECT_EQ(refusal(ask(owner(), std::nullopt, join)).code, RefuseCode::no_session);
  Hello stranger = join;
  stranger.incarnation = "us-2";
  EXPECT_EQ(refusal(ask(owner(), standing_at_owner(), stranger)).code, RefuseCode::no_session);
}

TEST(Handshake, TheDiallerChecksWhoAnswers) {
  const Accept good{{1, 1}, "eu", "eu-1", "0.1.0", 5};
  EXPECT_TRUE(check_accept(other(), good, "").ok());
  EXPECT_TRUE(check_accept(other(), good, "eu").ok());
  EXPECT_FALSE(check_accept(other(), good, "ap").ok());
  Accept wrong = good;
  wrong.region = "ap";
  EXPECT_THAT(check_accept(other(), wrong, "").error().what,
              HasSubstr("region 'ap' answered, expected 'eu'"));
  wrong = good;
  wrong.protocol = {1, 3};
  EXPECT_FALSE(check_accept(other(), wrong, "").ok());
  wrong = good;
  wrong.session = 0;
  EXPECT_FALSE(check_accept(other(), wrong, "").ok());
}

}  // namespace
}  // namespace farshore::link
