#include "cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <sstream>

#include "api/fake_agent.h"
#include "api/server.h"
#include "api/views_json.h"
#include "cli/api_client.h"
#include "os/real/real_world.h"
#include "os/real/test_certificates.h"
#include "os/real/test_folder.h"
#include "os/thread.h"

namespace farshore::cli {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char* kNobody = "http://127.0.0.1:21499";

class CommandLineTest : public testing::Test {
 protected:
  CommandLineTest() {
    agent_.set_view(api::sample_view());
    server_ = *api::Server::start(*world_, {.address = "127.0.0.1:0"}, agent_);
    setenv("FARSHORE_CONFIG", folder_.file("farshore.yaml").c_str(), 1);
    hooks_.api_endpoint = [this](const EndpointArguments&) {
      return ApiEndpoint{.url = "http://" + server_->address()};
    };
  }
  ~CommandLineTest() override { unsetenv("FARSHORE_CONFIG"); }

  int run(const std::vector<std::string>& words) {
    out_.str("");
    err_.str("");
    return cli::run(words, hooks_, terminal_);
  }

  os::TestFolder folder_;
  std::unique_ptr<os::World> world_ = os::make_real_world(std::nullopt);
  api::FakeAgent agent_{*world_};
  std::unique_ptr<api::Server> server_;
  std::istringstream in_;
  std::ostringstream out_, err_;
  Terminal terminal_{.in = in_, .out = out_, .err = err_};
  Hooks hooks_{.version = "0.1.0", .build = "test"};
};

TEST_F(CommandLineTest, StatusComesFromTheAgentThatTheConfigurationNames) {
  EXPECT_EQ(run({"status"}), kDone) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("orders  orders-us -> orders-eu  streaming     12ms"));
  EXPECT_EQ(run({"status", "orders"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("at its limit in 1d7h"));
  EXPECT_EQ(run({"status", "--json"}), kDone);
  EXPECT_EQ(Json::parse(out_.str()), api::to_json(api::sample_view())) << "as the API answers it";
}

TEST_F(CommandLineTest, ExitCodesTellRefusedUsageAndUnreachableApart) {
  EXPECT_EQ(run({"status", "nosuch"}), kRefused);
  EXPECT_EQ(err_.str(), "farshore: no stream 'nosuch' here: there is orders, audit\n");
  EXPECT_EQ(run({"status", "--bad"}), kUsage);
  EXPECT_EQ(run({"status", "--api", "nonsense"}), kUsage);
  EXPECT_EQ(run({"status", "--for", "20"}), kUsage);
  EXPECT_EQ(run({"status", "--api", kNobody}), kUnreachable);
  EXPECT_THAT(
      err_.str(),
      HasSubstr("no agent answers at http://127.0.0.1:21499 (connection refused): start it with "
                "`farshore run --region REGION`"));
  EXPECT_THAT(out_.str(), IsEmpty());
  hooks_.api_endpoint = [](const EndpointArguments&) -> Result<ApiEndpoint> {
    return permanent(ErrorKind::invalid, "farshore.yaml:3:1: unknown key 'strems'");
  };
  EXPECT_EQ(run({"status"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("farshore.yaml:3:1"));
}

TEST_F(CommandLineTest, AMuteAddressIsSoonUnreachableWhateverIsAsked) {
  const auto mute = *world_->network().listen("127.0.0.1:0");
  hooks_.api_endpoint = [&](const EndpointArguments&) {
    return ApiEndpoint{.url = "http://" + mute->address(), .answers_within = 50ms};
  };
  const MonotonicTime begun = os::real_monotonic_now();
  for (const auto& words : std::vector<std::vector<std::string>>{{"status"},
                                                                 {"check"},
                                                                 {"grants", "orders-eu"},
                                                                 {"events", "--follow"},
                                                                 {"stream", "resume", "orders"}}) {
    EXPECT_EQ(run(words), kUnreachable) << words.front();
    EXPECT_THAT(err_.str(),
                HasSubstr("(it does not answer; with api_token_file an agent speaks https)"))
        << words.front();
  }
  EXPECT_LT(os::real_monotonic_now() - begun, 20s);
}

TEST_F(CommandLineTest, WatchWritesABlockEachSecondWhereThereIsNoTerminal) {
  EXPECT_EQ(run({"status", "--watch", "--for", "1500ms"}), kDone);
  const std::string text = out_.str();
  EXPECT_NE(text.find("shop / us-east-1"), text.rfind("shop / us-east-1")) << "twice";
  EXPECT_THAT(text, Not(HasSubstr("\x1b")));
  EXPECT_EQ(run({"status", "--watch", "--for", "1ms", "--json"}), kDone);
  EXPECT_EQ(Json::parse(out_.str())["agent"]["region"], "us-east-1") << "one line each";
}

TEST_F(CommandLineTest, WatchDrawsInPlaceOnATerminalAndWaitsForTheAgent) {
  terminal_.out_is_terminal = true;
  EXPECT_EQ(run({"status", "--watch", "--for", "1ms"}), kDone);
  EXPECT_THAT(out_.str(), testing::StartsWith("\x1b[2J\x1b[Hshop"));
  EXPECT_THAT(out_.str(), testing::EndsWith("\x1b[J"));
  EXPECT_EQ(run({"status", "--watch", "--for", "1ms", "--api", kNobody}), kUnreachable);
  EXPECT_THAT(out_.str(), HasSubstr("no agent answers"));
}

TEST_F(CommandLineTest, AVerbReachesTheAgent) {
  EXPECT_EQ(
      run({"stream", "pause", "orders", "--to", "orders-eu", "--at", "2026-11-24T18:00:00+02:00"}),
      kDone);
  EXPECT_EQ(out_.str(),
            "orders to orders-eu: commits up to 2026-11-24T16:00:00.000Z are applied, then it "
            "pauses; see `farshore status orders`\n");
  ASSERT_EQ(agent_.actions().size(), 1U);
  EXPECT_EQ(agent_.actions()[0].at, *parse_time("2026-11-24T16:00:00Z"));
  EXPECT_THAT(agent_.actions()[0].by, HasSubstr("@"));
  EXPECT_EQ(run({"stream", "resume", "orders", "--json"}), kDone);
  EXPECT_EQ(Json::parse(out_.str())["done"], "resume");
  EXPECT_EQ(run({"stream", "resume", "orders", "--to", "orders-eu"}), kDone);
  EXPECT_EQ(out_.str(), "orders to orders-eu: was not paused, and nothing had failed\n");
  api::AgentView to_pause = api::sample_view();
  to_pause.streams[0].targets[0].paused_until = *parse_time("2026-11-24T16:00:00Z");
  agent_.set_view(to_pause);
  EXPECT_EQ(run({"stream", "resume", "orders", "--to", "orders-eu"}), kDone);
  EXPECT_EQ(out_.str(), "orders to orders-eu: resume is under way; see `farshore status orders`\n");
  EXPECT_EQ(run({"stream", "skip", "orders", "12"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("PLACE '12' is not understood"));
  EXPECT_EQ(run({"events", "--limit", "0"}), kUsage);
  EXPECT_THAT(err_.str(), HasSubstr("--limit '0' is not a number from 1 to 1000"));
  EXPECT_EQ(run({"stream", "pause", "orders", "--at", "soon"}), kUsage);
  agent_.set_act_answer(permanent(ErrorKind::conflict, "stream orders is not paused"));
  EXPECT_EQ(run({"stream", "resume", "orders"}), kRefused);
  EXPECT_EQ(err_.str(), "farshore: stream orders is not paused\n");
}

// A machine's own agent answers at the same address in every region.
TEST_F(CommandLineTest, AnAgentOfAnotherRegionIsNotTheOneThatIsMeant) {
  const std::string refused = fmt::format(
      "farshore: the agent at http://{} is that of region 'us-east-1', not of 'eu-west-1': run "
      "this on a machine of 'eu-west-1', or say with --api URL where its agent is\n",
      server_->address());
  for (const auto& words :
       std::vector<std::vector<std::string>>{{"stream", "remove", "orders", "--yes"},
                                             {"status"},
                                             {"events"},
                                             {"check"},
                                             {"grants", "orders-eu"}}) {
    auto elsewhere = words;
    elsewhere.insert(elsewhere.end(), {"--region", "eu-west-1"});
    EXPECT_EQ(run(elsewhere), kUsage) << words.front();
    EXPECT_EQ(err_.str(), refused) << words.front();
  }
  EXPECT_EQ(run({"status", "--region", "eu-west-1", "--api", "http://" + server_->address()}),
            kUsage);
  EXPECT_TRUE(agent_.actions().empty());
  EXPECT_EQ(run({"stream", "remove", "orders", "--yes", "--region", "us-east-1"}), kDone);
  EXPECT_EQ(run({"status", "--region", "eu-west-1", "--api", kNobody}), kUnreachable);
}

TEST_F(CommandLineTest, ARemoveThatFindsNothingLeftSaysSo) {
  EXPECT_EQ(run({"stream", "remove", "orders", "--yes"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("orders: removed here; take it out of farshore.yaml"));
  EXPECT_EQ(run({"stream", "remove", "orders", "--yes"}), kDone);
  EXPECT_EQ(out_.str(),
            "orders: was removed here already; take it out of farshore.yaml, else it begins anew "
            "when the agent starts\n");
  EXPECT_EQ(run({"stream", "remove", "orders", "--yes", "--json"}), kDone);
  EXPECT_EQ(Json::parse(out_.str())["already"], true);
}

TEST_F(CommandLineTest, VerbsThatLoseSomethingAskFirst) {
  const std::vector<std::vector<std::string>> verbs{
      {"stream", "remove", "orders"},
      {"stream", "skip", "orders", "1:7"},
      {"stream", "resnapshot", "orders", "--table", "public.t"}};
  for (const auto& words : verbs) {
    EXPECT_EQ(run(words), kRefused);
    EXPECT_THAT(err_.str(), HasSubstr("Say --yes to do it."));
  }
  terminal_.in_is_terminal = true;
  in_.str("n\n\nno\n");
  for (const auto& words : verbs) EXPECT_EQ(run(words), kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("public.t of stream orders again: their rows at all targets "
                                    "are replaced.\nGo on? [y/N]"));
  EXPECT_TRUE(agent_.actions().empty());
  agent_.set_act_answer(api::Outcome::done);
  in_.clear();
  in_.str("y\nyes\ny\n");
  for (const auto& words : verbs) EXPECT_EQ(run(words), kDone);
  auto with_yes = verbs[0];
  with_yes.push_back("--yes");
  terminal_.in_is_terminal = false;
  EXPECT_EQ(run(with_yes), kDone);
  EXPECT_EQ(agent_.actions().size(), 4U);
  EXPECT_EQ(agent_.actions()[1].place, "1:7");
}

TEST_F(CommandLineTest, CheckShowsFindingsWithTheirRemedies) {
  using enum api::FindingView::Level;
  agent_.set_findings({{.level = warning,
                        .code = "clock_offset",
                        .object = "site orders-eu",
                        .message = "its clock is 3.2s ahead",
                        .remedy = ""},
                       {.level = error,
                        .code = "no_replica_identity",
                        .stream = "orders",
                        .object = "site orders-us, table public.logs",
                        .message = "it has no primary key",
                        .remedy = "ALTER TABLE public.logs REPLICA IDENTITY FULL;"}});
  EXPECT_EQ(run({"check"}), kRefused);
  EXPECT_EQ("\n" + out_.str(), R"(
error  site orders-us, table public.logs  no_replica_identity, stream orders
    it has no primary key
    do: ALTER TABLE public.logs REPLICA IDENTITY FULL;

warning  site orders-eu  clock_offset
    its clock is 3.2s ahead

1 error, 1 warning, 0 notes
)");
  agent_.set_findings({{.level = note,
                        .code = "sequences",
                        .object = "stream orders",
                        .message = "not replicated"}});
  EXPECT_EQ(run({"check", "orders"}), kDone) << "notes are no findings";
  agent_.set_findings({});
  EXPECT_EQ(run({"check"}), kDone);
  EXPECT_EQ(out_.str(), "nothing found\n");
  EXPECT_EQ(run({"check", "nosuch"}), kRefused);
}

TEST_F(CommandLineTest, CheckAndGrantsLookFromHereWhenNoAgentAnswers) {
  hooks_.api_endpoint = [](const EndpointArguments&) { return ApiEndpoint{.url = kNobody}; };
  EXPECT_EQ(run({"check"}), kUnreachable) << "no hook";
  EXPECT_EQ(run({"grants", "orders-us"}), kUnreachable);
  CheckArguments asked;
  hooks_.check = [&](const CheckArguments& arguments) {
    asked = arguments;
    return api::json_text(
        api::to_json(std::vector<api::FindingView>{{.object = "site a", .message = "is away"}}));
  };
  hooks_.grants = [](const GrantsArguments& arguments) {
    return "GRANT for " + arguments.site + ";";
  };
  EXPECT_EQ(run({"check", "orders"}), kRefused);
  EXPECT_EQ(asked.stream, "orders");
  EXPECT_EQ(asked.config, folder_.file("farshore.yaml"));
  EXPECT_THAT(out_.str(), HasSubstr("site a"));
  EXPECT_EQ(err_.str(),
            "farshore: no agent answers at http://127.0.0.1:21499: looking from here\n");
  EXPECT_EQ(run({"grants", "orders-us", "--role", "target"}), kDone);
  EXPECT_EQ(out_.str(), "-- orders-us as target\nGRANT for orders-us;\n");
  EXPECT_EQ(run({"grants", "orders-us"}), kDone);
  EXPECT_EQ(err_.str(),
            "farshore: no agent answers at http://127.0.0.1:21499: looking from here\n");
  EXPECT_EQ(run({"grants", "orders-us", "--api", kNobody}), kUnreachable) << "that one is meant";
  EXPECT_EQ(run({"check", "--api", kNobody}), kUnreachable);
  EXPECT_THAT(err_.str(), HasSubstr("no agent answers at"));
  hooks_.check = [](const CheckArguments&) -> Result<std::string> {
    return permanent(ErrorKind::invalid, "line 3");
  };
  EXPECT_EQ(run({"check", "--offline"}), kUsage);
}

TEST_F(CommandLineTest, CheckAsksEachAgentOfThisMachineAndSaysOnceWhatBothFind) {
  using enum api::FindingView::Level;
  api::FakeAgent other{*world_};
  auto other_server = *api::Server::start(*world_, {.address = "127.0.0.1:0"}, other);
  const std::string address = other_server->address();
  std::vector<std::string> asked;
  hooks_.regions_here = [](const std::string&) {
    return std::vector<std::string>{"us-east-1", "eu-west-1"};
  };
  hooks_.api_endpoint = [&](const EndpointArguments& arguments) {
    asked.push_back(arguments.region);
    return ApiEndpoint{.url = "http://" +
                              (arguments.region == "eu-west-1" ? address : server_->address())};
  };
  const api::FindingView both{
      .level = error, .code = "c", .object = "site orders-eu", .message = "column x is missing"};
  agent_.set_findings({both});
  other.set_view({.region = "eu-west-1"});
  other.set_findings(
      {{.level = warning, .code = "d", .object = "site orders-eu", .message = "y"}, both});
  EXPECT_EQ(run({"check"}), kRefused) << err_.str();
  EXPECT_THAT(asked, testing::ElementsAre("us-east-1", "eu-west-1"));
  EXPECT_THAT(out_.str(), HasSubstr("1 error, 1 warning, 0 notes"));
  EXPECT_EQ(run({"check", "--json"}), kRefused);
  EXPECT_EQ(Json::parse(out_.str())["findings"].size(), 2U);
  EXPECT_EQ(Json::parse(out_.str())["errors"], 1);
  asked.clear();
  EXPECT_EQ(run({"check", "--region", "us-east-1"}), kRefused);
  EXPECT_THAT(asked, testing::ElementsAre("us-east-1"));
  EXPECT_THAT(out_.str(), HasSubstr("1 error, 0 warnings, 0 notes"));

  // One of them is stopped: what is its own is looked at from here.
  other_server.reset();
  CheckArguments from_here;
  hooks_.check = [&](const CheckArguments& arguments) {
    from_here = arguments;
    return api::json_text(api::to_json(std::vector<api::FindingView>{both}));
  };
  EXPECT_EQ(run({"check"}), kRefused);
  EXPECT_EQ(from_here.region, "eu-west-1");
  EXPECT_THAT(err_.str(), HasSubstr(": looking from here"));
}

TEST_F(CommandLineTest, GrantsAsksTheAgentOfTheSite) {
  EndpointArguments asked;
  hooks_.api_endpoint = [&](const EndpointArguments& arguments) {
    asked = arguments;
    return ApiEndpoint{.url = "http://" + server_->address()};
  };
  EXPECT_EQ(run({"grants", "orders-eu"}), kDone) << err_.str();
  EXPECT_EQ(asked.site, "orders-eu");
  EXPECT_EQ(asked.region, "");
  EXPECT_EQ(run({"grants", "orders-eu", "--region", "us-east-1"}), kDone);
  EXPECT_EQ(asked.region, "us-east-1");
}

TEST_F(CommandLineTest, GrantsForBothPartsOrOne) {
  EXPECT_EQ(run({"grants", "orders-us"}), kDone);
  EXPECT_EQ(out_.str(),
            "-- orders-us as source\nGRANT CONNECT ON DATABASE app TO farshore;\n"
            "-- orders-us as target\nGRANT CREATE ON DATABASE app TO farshore;\n");
  EXPECT_EQ(run({"grants", "orders-us", "--role", "source", "--json"}), kDone);
  EXPECT_EQ(Json::parse(out_.str())[0]["sql"], "GRANT CONNECT ON DATABASE app TO farshore;\n");
  EXPECT_EQ(run({"grants", "nosuch"}), kRefused);
}

TEST_F(CommandLineTest, EventsAsTextAndAsLinesOfJson) {
  agent_.add_event({.severity = Severity::warning,
                    .name = "journal.tail_cut",
                    .stream = "orders",
                    .target = "orders-eu",
                    .message = "the tail was cut",
                    .at = *parse_time("2026-11-24T16:17:12.345Z")});
  agent_.add_event(
      {.name = "agent.started", .message = "region us-east-1", .at = world_->clock().wall()});
  EXPECT_EQ(run({"events"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("2026-11-24 16:17:12.345  warning  orders -> orders-eu  "
                                    "journal.tail_cut  the tail was cut\n"));
  EXPECT_THAT(out_.str(), HasSubstr("  info     agent  agent.started  region us-east-1\n"));
  EXPECT_EQ(run({"events", "--json", "--severity", "warning"}), kDone);
  EXPECT_EQ(Json::parse(out_.str())["name"], "journal.tail_cut");
  EXPECT_EQ(run({"events", "--since", "1"}), kDone);
  EXPECT_THAT(out_.str(), Not(HasSubstr("tail_cut")));
  EXPECT_EQ(run({"events", "--since", "yesterday"}), kUsage);
  EXPECT_EQ(run({"events", "--limit", "0"}), kUsage);
}

TEST_F(CommandLineTest, EventsOfAStreamThatNeverWasAreRefused) {
  for (const bool follow : {false, true}) {
    std::vector<std::string> words{"events", "--stream", "nope"};
    if (follow) words.push_back("--follow");
    EXPECT_EQ(run(words), kRefused);
    EXPECT_EQ(err_.str(), "farshore: no stream 'nope' here: there is orders, audit\n");
  }
  EXPECT_EQ(run({"events", "--stream", "orders"}), kDone) << "though there are none";
  agent_.add_event({.name = "stream.removed", .stream = "old", .message = "by alice"});
  EXPECT_EQ(run({"events", "--stream", "old"}), kDone) << "the file does not name it any more";
  EXPECT_THAT(out_.str(), HasSubstr("by alice"));
}

TEST_F(CommandLineTest, EventsAreFollowedUntilNobodyReadsThem) {
  // The reader goes away (its pipe breaks) after the second event.
  class TwoLines final : public std::stringbuf {
   protected:
    int sync() override {
      const std::string text = str();
      return std::count(text.begin(), text.end(), '\n') < 2 ? 0 : -1;
    }
  } buffer;
  std::ostream out(&buffer);
  Terminal terminal{.in = in_, .out = out, .err = err_};
  agent_.add_event({.name = "a", .message = "first"});
  os::Thread later("later",
                   [&](std::stop_token) { agent_.add_event({.name = "b", .message = "second"}); });
  EXPECT_EQ(cli::run({"events", "--follow"}, hooks_, terminal), kDone);
  EXPECT_THAT(buffer.str(), testing::AllOf(HasSubstr("first"), HasSubstr("second")));
  EXPECT_EQ(run({"events", "--follow", "--api", kNobody}), kUnreachable);
}

TEST_F(CommandLineTest, HooksGetTheirArgumentsAndGiveTheExitCode) {
  RunArguments seen;
  hooks_.run = [&](const RunArguments& arguments, Output output) {
    seen = arguments;
    output.err << "stopped";
    return 7;
  };
  EXPECT_EQ(run({"run"}), kUsage) << "no region";
  EXPECT_EQ(run({"run", "--region", "us-east-1", "--log-format", "json"}), 7);
  EXPECT_EQ(seen.region, "us-east-1");
  EXPECT_EQ(seen.config, folder_.file("farshore.yaml"));
  EXPECT_EQ(seen.log_format, "json");
  EXPECT_EQ(seen.log_level, "info");
  EXPECT_EQ(err_.str(), "stopped");
  InitArguments init;
  hooks_.init = [&](const InitArguments& arguments, Output) {
    init = arguments;
    return 0;
  };
  EXPECT_EQ(run({"init", "shop", "--regions", "a", "--regions", "b", "--json"}), kDone);
  EXPECT_TRUE(init.json);
  EXPECT_EQ(init.folder, "shop");
  EXPECT_THAT(init.regions, testing::ElementsAre("a", "b"));
  InspectArguments inspect;
  hooks_.journal_inspect = [&](const InspectArguments& arguments, Output) {
    inspect = arguments;
    return 1;
  };
  EXPECT_EQ(run({"journal", "inspect", "x.seg", "--records"}), kRefused);
  EXPECT_EQ(inspect.file, "x.seg");
  EXPECT_TRUE(inspect.records);
}

TEST_F(CommandLineTest, VersionHelpManAndNamesForCompletion) {
  EXPECT_EQ(run({"version"}), kDone);
  EXPECT_EQ(out_.str(), "farshore 0.1.0\ntest\n");
  EXPECT_EQ(run({"--help"}), kDone);
  EXPECT_THAT(out_.str(), HasSubstr("usage: farshore COMMAND"));
  EXPECT_EQ(run({"man"}), kDone);
  EXPECT_THAT(out_.str(), testing::StartsWith(".TH FARSHORE 1"));
  EXPECT_EQ(run({"complete", "sites"}), kDone);
  EXPECT_EQ(out_.str(), "audit-eu\naudit-us\norders-ap\norders-eu\norders-us\n");
  EXPECT_EQ(run({"complete", "streams", "--api", kNobody}), kUnreachable);
  EXPECT_THAT(out_.str() + err_.str(), IsEmpty());
}

TEST_F(CommandLineTest, TokenAndCertificateAuthorityOfARemoteAgent) {
  os::TestCa ca(folder_.path(), "ca");
  const os::TlsFiles files = ca.make("localhost");
  const std::string token = folder_.file("token");
  ASSERT_TRUE(os::replace_file(world_->files(), token, "0123456789abcdef0123\n").ok());
  server_ = *api::Server::start(*world_,
                                {.address = "localhost:0",
                                 .certificate = files.certificate,
                                 .key = files.key,
                                 .token_file = token},
                                agent_);
  const std::string url = "https://" + server_->address();
  EXPECT_EQ(run({"status", "--api", url, "--ca", files.ca, "--token-file", token}), kDone)
      << err_.str();
  EXPECT_EQ(run({"status", "--api", url, "--ca", files.ca}), kRefused);
  EXPECT_THAT(err_.str(), HasSubstr("a token is needed"));
  const std::string empty = folder_.file("empty");
  ASSERT_TRUE(os::replace_file(world_->files(), empty, "\n").ok());
  EXPECT_EQ(run({"status", "--api", url, "--ca", files.ca, "--token-file", empty}), kUsage);
  EXPECT_EQ(err_.str(), "farshore: secret file '" + empty +
                            "': its first line is empty: it holds the token of the agent's "
                            "api_token_file\n");
  EXPECT_EQ(run({"status", "--api", url, "--token-file", token}), kUnreachable)
      << "another authority";
  EXPECT_EQ(run({"status", "--api", url, "--ca", folder_.file("none")}), kUsage);
  EXPECT_EQ(run({"status", "--api", url, "--ca", files.ca, "--token-file", folder_.file("none")}),
            kUsage);
}

}  // namespace
}  // namespace farshore::cli
