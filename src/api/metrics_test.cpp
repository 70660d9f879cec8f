#include "api/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <set>
#include <sstream>

#include "api/fake_agent.h"
#include "api/metrics_text.h"

namespace farshore::api {
namespace {

using testing::HasSubstr;
using testing::Not;

// The names that follow `mark` at the start of a line, each up to `end`.
std::set<std::string> names_after(const std::string& text, const std::string& mark, char end) {
  std::set<std::string> names;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(mark))
      names.insert(line.substr(mark.size(), line.find(end, mark.size()) - mark.size()));
  return names;
}

// Of a histogram's lines: their histogram.
std::string family_of(const std::string& sample) {
  std::string name = sample.substr(0, sample.find_first_of("{ "));
  for (const std::string end : {"_bucket", "_sum", "_count"})
    if (name.ends_with(end)) return name.substr(0, name.size() - end.size());
  return name;
}

bool is_number(const std::string& text) {
  if (text == "NaN" || text == "+Inf" || text == "-Inf") return true;
  std::size_t read = 0;
  std::stod(text, &read);
  return read == text.size();
}

TEST(MetricsText, WritesTheExpositionFormat) {
  MetricsText out;
  out.family("nothing", MetricsText::Type::gauge, "never seen");
  out.family("a_total", MetricsText::Type::counter, "How many.");
  out.sample({}, 3);
  out.sample({{"x", "quote \" slash \\ line\nend"}, {"y", ""}}, 0.5);
  EXPECT_EQ(out.text(),
            "# HELP a_total How many.\n# TYPE a_total counter\n"
            "a_total 3\na_total{x=\"quote \\\" slash \\\\ line\\nend\",y=\"\"} 0.5\n");
}

TEST(MetricsText, WritesNumbersThatAreNone) {
  MetricsText out;
  out.family("a", MetricsText::Type::gauge, "A.");
  out.sample({}, std::nan(""));
  out.sample({}, INFINITY);
  EXPECT_THAT(out.text(), HasSubstr("a NaN\na +Inf\n"));
}

TEST(MetricsText, WritesAHistogramWithItsSumAndAllThatIsBeyondTheLastBound) {
  MetricsText out;
  out.family("wait_seconds", MetricsText::Type::histogram, "Waits.");
  out.sample_histogram({{"level", "far"}},
                       {.buckets = {{5ms, 2}, {1s, 3}}, .count = 4, .sum = 2500ms});
  EXPECT_EQ(out.text(),
            "# HELP wait_seconds Waits.\n# TYPE wait_seconds histogram\n"
            "wait_seconds_bucket{level=\"far\",le=\"0.005\"} 2\n"
            "wait_seconds_bucket{level=\"far\",le=\"1\"} 3\n"
            "wait_seconds_bucket{level=\"far\",le=\"+Inf\"} 4\n"
            "wait_seconds_sum{level=\"far\"} 2.5\nwait_seconds_count{level=\"far\"} 4\n");
}

TEST(Metrics, HasALineForEachStreamTargetAndKind) {
  const std::string text = metrics_of(sample_view());
  std::istringstream lines(
      R"(farshore_build_info{version="0.1.0",cluster="shop",region="us-east-1"} 1
farshore_lag_seconds{stream="orders",target="orders-eu",kind="capture"} 0.012
farshore_lag_seconds{stream="orders",target="orders-eu",kind="durability"} 0.13
farshore_lag_seconds{stream="orders",target="orders-eu",kind="apply"} 0.16
farshore_lag_transit_seconds{stream="orders",target="orders-eu",kind="apply"} 0.101
farshore_connected{peer="eu-west-1"} 1
farshore_connected{peer="ap-south-1"} 0
farshore_state{stream="orders",leg="target",target="orders-eu",state="streaming"} 1
farshore_state{stream="orders",leg="target",target="orders-eu",state="failed"} 0
farshore_state{stream="audit",leg="target",target="audit-eu",state="failed"} 1
farshore_backlog_bytes{stream="orders",target="orders-eu",stage="ship"} 65536
farshore_transactions_total{stream="orders",target="",stage="capture"} 120000
farshore_link_bytes_total{peer="eu-west-1",direction="sent",form="plain"} 60817408
farshore_source_retained_bytes{stream="orders"} 12582912
farshore_commit_wait_seconds_bucket{stream="orders",level="near",le="0.002"} 90000
farshore_commit_wait_seconds_count{stream="orders",level="far"} 119990
farshore_journal_health{stream="orders",health="good"} 1
farshore_copy_tables{stream="orders",target="orders-ap",state="left"} 8
farshore_last_durable_commit_timestamp_seconds{stream="orders",target="orders-eu"} 1795537032.215
)");
  for (std::string line; std::getline(lines, line);) EXPECT_THAT(text, HasSubstr(line + "\n"));
}

TEST(Metrics, WhatIsNotKnownIsNeverZero) {
  AgentView view{.peers = {{.peer = "eu"}},
                 .streams = {{.name = "s", .capture = CaptureView{}, .targets = {{.site = "t"}}}}};
  const std::string text = metrics_of(view);
  EXPECT_THAT(
      text, HasSubstr("farshore_lag_seconds{stream=\"s\",target=\"t\",kind=\"durability\"} NaN\n"));
  for (const char* absent :
       {"farshore_backlog", "farshore_source", "farshore_transactions_total", "farshore_heartbeat",
        "farshore_commit_wait", "farshore_link_rtt", "farshore_clock", "farshore_certificate",
        "farshore_journal", "farshore_last_durable"})
    EXPECT_THAT(text, Not(HasSubstr(absent)));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool zero = line.ends_with(" 0") && !line.starts_with("#");
    const std::set<std::string> may{"farshore_ready",
                                    "farshore_events_lost_total",
                                    "farshore_connected",
                                    "farshore_link_bytes_total",
                                    "farshore_link_connections",
                                    "farshore_link_compression_level",
                                    "farshore_state",
                                    "farshore_start_timestamp_seconds"};
    EXPECT_TRUE(!zero || may.contains(family_of(line))) << line;
  }
}

TEST(Metrics, EveryLineIsWellFormedAndEveryFamilyStandsOnce) {
  std::istringstream lines(metrics_of(sample_view()));
  std::set<std::string> families;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << family;
    } else if (!line.starts_with("#")) {
      EXPECT_EQ(family_of(line), family);
      EXPECT_TRUE(is_number(line.substr(line.rfind(' ') + 1))) << line;
      const auto open = line.find('{'), close = line.find("} ");
      EXPECT_EQ(open == std::string::npos, close == std::string::npos) << line;
    }
  }
}

TEST(Metrics, TheDocumentNamesThemAllAndNoOther) {
  const std::string here = __FILE__;
  std::ifstream document(here.substr(0, here.rfind("src/api/")) + "docs/operating/metrics.md");
  ASSERT_TRUE(document) << "docs/operating/metrics.md";
  const std::string text((std::istreambuf_iterator<char>(document)), {});
  EXPECT_EQ(names_after(metrics_of(sample_view()), "# TYPE ", ' '), names_after(text, "| `", '`'));
}

}  // namespace
}  // namespace farshore::api
