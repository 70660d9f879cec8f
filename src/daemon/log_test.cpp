#include "daemon/log.h"

#include <gmock/gmock.h>

#include <nlohmann/json.hpp>

namespace farshore::daemon {
namespace {

using ::testing::HasSubstr;

Event event() {
  return {.severity = Severity::warning,
          .name = "stream.state",
          .stream = "app",
          .target = "app-eu",
          .message = "it waits",
          .at = WallTime(1'700'000'000'123ms)};
}

TEST(LogLine, JsonHasEachFieldAndOnlyThoseThatTheEventHas) {
  Event told = event();
  EXPECT_EQ(log_line(told, LogFormat::json),
            R"({"at":"2023-11-14T22:13:20.123Z","level":"WARN","event":"stream.state",)"
            R"("stream":"app","target":"app-eu","message":"it waits"})");
  told.target.clear();
  told.stream.clear();
  told.severity = Severity::error;
  EXPECT_EQ(log_line(told, LogFormat::json),
            R"({"at":"2023-11-14T22:13:20.123Z","level":"ERROR","event":"stream.state",)"
            R"("message":"it waits"})");
  told.severity = Severity::info;
  EXPECT_THAT(log_line(told, LogFormat::json), HasSubstr(R"("level":"INFO")"));
}

TEST(LogLine, JsonEscapesWhatAMessageHolds) {
  Event told = event();
  told.message = "a \"b\" \\ c\nd\te \x01 größer";
  const std::string line = log_line(told, LogFormat::json);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_THAT(line, HasSubstr(R"(a \"b\" \\ c\nd\te \u0001 größer)"));
  EXPECT_EQ(nlohmann::json::parse(line)["message"], told.message);
}

TEST(LogLine, JsonIsJsonAlthoughAMessageIsNoUtf8) {
  Event told = event();
  told.message =
      "name 'gr\xf6\xdf"
      "er'";
  const auto json = nlohmann::json::parse(log_line(told, LogFormat::json), nullptr, false);
  ASSERT_TRUE(json.is_object());
  EXPECT_THAT(json["message"].get<std::string>(), HasSubstr("name 'gr\xef\xbf\xbd"));
}

TEST(LogLine, TextIsOneLineAnEvent) {
  Event told = event();
  told.message = "it waits\nand waits";
  EXPECT_EQ(log_line(told, LogFormat::text),
            "2023-11-14T22:13:20.123Z WARN  stream.state app/app-eu: it waits and waits");
  told.stream.clear();
  EXPECT_EQ(log_line(told, LogFormat::text),
            "2023-11-14T22:13:20.123Z WARN  stream.state it waits and waits");
}

TEST(LogOptions, EachWordIsKnownAndMeansWhatItSays) {
  EXPECT_EQ(parse_log_options("", "")->format, LogFormat::text);
  EXPECT_EQ(parse_log_options("", "")->at_least, Severity::info);
  EXPECT_EQ(parse_log_options("json", "info")->format, LogFormat::json);
  EXPECT_EQ(parse_log_options("text", "warning")->at_least, Severity::warning);
  EXPECT_EQ(parse_log_options("text", "error")->at_least, Severity::error);
  EXPECT_EQ(parse_log_options("xml", "").error().what,
            "log format 'xml' is not known: text or json");
  EXPECT_EQ(parse_log_options("", "debug").error().what,
            "log level 'debug' is not known: info, warning or error");
}

}  // namespace
}  // namespace farshore::daemon
