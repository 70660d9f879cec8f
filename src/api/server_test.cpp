#include "api/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>

#include <filesystem>
#include <fstream>

#include "api/fake_agent.h"
#include "os/real/real_world.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::api {
namespace {

using testing::HasSubstr;

class ServerTest : public testing::Test {
 protected:
  ServerTest() { agent_.set_view(sample_view()); }

  void start(const Options& options = {.address = "127.0.0.1:0"}) {
    auto started = Server::start(*world_, options, agent_);
    ASSERT_TRUE(started.ok()) << started.error().what;
    server_ = *std::move(started);
  }

  std::string token_file(const std::string& text, int mode = 0600) {
    const std::string path = folder_.file("token");
    std::ofstream(path) << text;
    std::filesystem::permissions(path, static_cast<std::filesystem::perms>(mode));
    return path;
  }

  httplib::Client client() { return httplib::Client("http://" + server_->address()); }

  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  FakeAgent agent_{*world_};
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, AnswersOverTheWire) {
  start();
  auto http = client();
  const auto status = http.Get("/v1/status");
  ASSERT_TRUE(status);
  EXPECT_EQ(status->status, 200);
  EXPECT_EQ(status->get_header_value("Content-Type"), "application/json");
  const auto metrics = http.Get("/metrics");
  EXPECT_THAT(metrics->get_header_value("Content-Type"), HasSubstr("version=0.0.4"));
  const auto done =
      http.Post("/v1/streams/orders/resume", httplib::Headers{{"Farshore-Operator", "alice@desk"}},
                "{}", "application/json");
  EXPECT_EQ(done->body, "{\"done\":\"resume\",\"stream\":\"orders\",\"already\":false}\n");
  EXPECT_EQ(agent_.actions().front().by, "alice@desk from 127.0.0.1");
  EXPECT_EQ(http.Delete("/v1/status")->status, 405);
  EXPECT_EQ(http.Options("/v1/status")->status, 404);
}

TEST_F(ServerTest, LimitsPathAndBody) {
  start();
  auto http = client();
  EXPECT_EQ(http.Get("/" + std::string(2000, 'x'))->status, 400);
  EXPECT_EQ(
      http.Post("/v1/streams/orders/resume", std::string(kBodyMax + 1, ' '), "application/json")
          ->status,
      413);
  EXPECT_TRUE(agent_.actions().empty());
}

TEST_F(ServerTest, OneRequestAConnection) {
  start();
  auto http = client();
  http.set_keep_alive(true);
  EXPECT_EQ(http.Get("/healthz")->get_header_value("Connection"), "close");
}

TEST_F(ServerTest, ANameThatWasReboundToLoopbackIsRefused) {
  start();
  auto http = client();
  EXPECT_EQ(http.Get("/v1/status", httplib::Headers{{"Host", "evil.example:7433"}})->status, 403);
  EXPECT_EQ(http.Get("/v1/status", httplib::Headers{{"Host", "127.evil.example"}})->status, 403);
  EXPECT_EQ(http.Get("/v1/status", httplib::Headers{{"Host", "localhost:7433"}})->status, 200);
  EXPECT_EQ(http.Get("/healthz", httplib::Headers{{"Host", "pod-7"}})->status, 200);
}

TEST_F(ServerTest, ATokenIsAskedForWhenThereIsOne) {
  start({.address = "127.0.0.1:0", .token_file = token_file("0123456789abcdef\n")});
  auto http = client();
  const auto without = http.Get("/v1/status");
  EXPECT_EQ(without->status, 403);
  EXPECT_THAT(without->body, HasSubstr("Authorization: Bearer TOKEN"));
  EXPECT_EQ(http.Get("/v1/status", httplib::Headers{{"Authorization", "Bearer 0123456789abcdeF"}})
                ->status,
            403);
  EXPECT_EQ(http.Get("/v1/status", httplib::Headers{{"Authorization", "Bearer 0123456789abcdef"}})
                ->status,
            200);
  EXPECT_EQ(http.Get("/metrics")->status, 403);
  EXPECT_EQ(http.Get("/readyz")->status, 200);
}

TEST_F(ServerTest, RefusesAWeakOrReadableToken) {
  EXPECT_THAT(Server::start(*world_, {.token_file = token_file("short")}, agent_).error().what,
              HasSubstr("openssl rand"));
  EXPECT_EQ(Server::start(*world_, {.token_file = token_file("0123456789abcdef", 0644)}, agent_)
                .error()
                .kind,
            ErrorKind::denied);
  EXPECT_EQ(Server::start(*world_, {.token_file = folder_.file("none")}, agent_).error().kind,
            ErrorKind::not_found);
}

TEST_F(ServerTest, RefusesAnOpenAddressWithoutTlsAndToken) {
  EXPECT_THAT(Server::start(*world_, {.address = "0.0.0.0:0"}, agent_).error().what,
              HasSubstr("needs TLS"));
}

TEST_F(ServerTest, SpeaksTlsWithACertificate) {
  os::TestCa ca(folder_.path(), "ca");
  const os::TlsFiles files = ca.make("localhost");
  start({.address = "localhost:0",
         .certificate = files.certificate,
         .key = files.key,
         .token_file = token_file("0123456789abcdef")});
  httplib::Client http("https://" + server_->address());
  http.set_ca_cert_path(files.ca);
  http.enable_server_certificate_verification(true);
  http.set_bearer_token_auth("0123456789abcdef");
  const auto status = http.Get("/v1/status");
  ASSERT_TRUE(status) << to_string(status.error());
  EXPECT_EQ(status->status, 200);
  httplib::Client plain("http://" + server_->address());
  EXPECT_FALSE(plain.Get("/v1/status"));
}

TEST_F(ServerTest, NamesTheCertificateThatItCannotRead) {
  const auto refused = Server::start(
      *world_, {.address = "127.0.0.1:0", .certificate = "/nosuch.crt", .key = "/nosuch.key"},
      agent_);
  EXPECT_THAT(refused.error().what, HasSubstr("/nosuch.crt"));
}

TEST_F(ServerTest, ASecondAgentOnTheSameAddressIsTold) {
  start();
  const auto second = Server::start(*world_, {.address = server_->address()}, agent_);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.error().what, HasSubstr(server_->address()));
  EXPECT_THAT(second.error().what, HasSubstr("another process has that port"));
}

TEST_F(ServerTest, AnAddressThatWasBoundAndNeverServedIsFreeAgain) {
  auto bound = *Server::bind(*world_, {.address = "127.0.0.1:0"}, agent_);
  const std::string address = bound->address();
  EXPECT_FALSE(Server::bind(*world_, {.address = address}, agent_).ok());
  bound.reset();
  start({.address = address});
  EXPECT_EQ(client().Get("/healthz")->status, 200);
}

TEST_F(ServerTest, FollowsEventsUntilTheClientLeaves) {
  start();
  agent_.add_event({.name = "a", .message = "before"});
  std::string seen;
  os::Thread later("later", [&](std::stop_token) {
    for (const char* text : {"second", "third"}) agent_.add_event({.name = "b", .message = text});
  });
  auto http = client();
  (void)http.Get("/v1/events?since=0&follow=1", [&](const char* data, std::size_t size) {
    seen.append(data, size);
    return seen.find("third") == std::string::npos;
  });
  EXPECT_THAT(seen, HasSubstr("before"));
  EXPECT_EQ(std::count(seen.begin(), seen.end(), '\n'), 3);
}

TEST_F(ServerTest, EndsWhileClientsFollow) {
  start();
  auto http = client();
  os::Thread follower("follower", [&](std::stop_token) {
    (void)http.Get("/v1/events?follow=1", [](const char*, std::size_t) { return true; });
  });
  agent_.add_event({.name = "a"});
  const MonotonicTime begun = os::real_monotonic_now();
  server_.reset();
  EXPECT_LT(os::real_monotonic_now() - begun, 4s);
}

TEST_F(ServerTest, TooManyFollowersAreRefusedAndOthersStillServed) {
  start();
  std::vector<os::Thread> followers;
  followers.reserve(kFollowersMax);
  for (int i = 0; i < kFollowersMax; ++i)
    followers.emplace_back("follower", [&](std::stop_token stop) {
      (void)client().Get("/v1/events?since=0&follow=1",
                         [&](const char*, std::size_t) { return !stop.stop_requested(); });
    });
  int refused = 0;
  for (int i = 0; i < 200 && refused == 0; ++i) {
    auto http = client();
    http.set_read_timeout(0, 20000);
    if (const auto answer = http.Get("/v1/events?since=0&follow=1");
        answer && answer->status == 503)
      ++refused;
  }
  EXPECT_EQ(refused, 1);
  EXPECT_EQ(client().Get("/healthz")->status, 200);
  for (os::Thread& follower : followers) follower.request_stop();
  agent_.add_event({.name = "end"});
}

}  // namespace
}  // namespace farshore::api
