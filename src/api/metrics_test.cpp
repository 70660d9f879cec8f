#include "api/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <regex>
#include <set>
#include <sstream>

#include "api/fake_agent.h"
#include "api/metrics_text.h"

namespace farshore::api {
namespace {

using testing::HasSubstr;
using testing::Not;

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

TEST(Metrics, HasALineForEachStreamTargetAndKind) {
  const std::string text = metrics_of(sample_view());
  for (
      const char* line :
      {"farshore_build_info{version=\"0.1.0\",cluster=\"shop\",region=\"us-east-1\"} 1\n",
       "farshore_lag_seconds{stream=\"orders\",target=\"orders-eu\",kind=\"capture\"} 0.012\n",
       "farshore_lag_seconds{stream=\"orders\",target=\"orders-eu\",kind=\"durability\"} 0.13\n",
       "farshore_lag_seconds{stream=\"orders\",target=\"orders-eu\",kind=\"apply\"} 0.16\n",
       "farshore_lag_transit_seconds{stream=\"orders\",target=\"orders-eu\",kind=\"apply\"} "
       "0.101\n",
       "farshore_connected{peer=\"eu-west-1\"} 1\n", "farshore_connected{peer=\"ap-south-1\"} 0\n",
       "farshore_state{stream=\"orders\",leg=\"target\",target=\"orders-eu\",state=\"streaming\"} "
       "1\n",
       "farshore_state{stream=\"orders\",leg=\"target\",target=\"orders-eu\",state=\"failed\"} 0\n",
       "farshore_state{stream=\"audit\",leg=\"target\",target=\"audit-eu\",state=\"failed\"} 1\n",
       "farshore_backlog_bytes{stream=\"orders\",target=\"orders-eu\",stage=\"ship\"} 65536\n",
       "farshore_transactions_total{stream=\"orders\",target=\"\",stage=\"capture\"} 120000\n",
       "farshore_link_bytes_total{peer=\"eu-west-1\",direction=\"sent\",form=\"plain\"} 60817408\n",
       "farshore_source_retained_bytes{stream=\"orders\"} 12582912\n",
       "farshore_journal_health{stream=\"orders\",health=\"good\"} 1\n",
       "farshore_copy_tables{stream=\"orders\",target=\"orders-ap\",state=\"left\"} 8\n",
       "farshore_last_durable_commit_timestamp_seconds{stream=\"orders\",target=\"orders-eu\"} "
       "1795537032.215\n"})
    EXPECT_THAT(text, HasSubstr(line));
}

TEST(Metrics, WhatIsNotKnownIsNeverZero) {
  AgentView view{.peers = {{.peer = "eu"}},
                 .streams = {{.name = "s", .capture = CaptureView{}, .targets = {{.site = "t"}}}}};
  const std::string text = metrics_of(view);
  EXPECT_THAT(
      text, HasSubstr("farshore_lag_seconds{stream=\"s\",target=\"t\",kind=\"durability\"} NaN\n"));
  for (const char* absent : {"farshore_backlog", "farshore_source", "farshore_transactions_total",
                             "farshore_heartbeat", "farshore_link_rtt", "farshore_clock",
                             "farshore_certificate", "farshore_journal", "farshore_last_durable"})
    EXPECT_THAT(text, Not(HasSubstr(absent)));
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    const bool zero = line.ends_with(" 0") && !line.starts_with("#");
    const std::regex may(
        "farshore_(ready|events_lost_total|connected|link_bytes_total|link_connections|"
        "link_compression_level|state|start_timestamp_seconds)[ {].*");
    EXPECT_TRUE(!zero || std::regex_match(line, may)) << line;
  }
}

TEST(Metrics, EveryLineIsWellFormedAndEveryFamilyStandsOnce) {
  const std::regex sample(
      R"re([a-z_]+(\{([a-z_]+="([^"\\]|\\.)*",?)+\})? (NaN|[+-]?[0-9.e+-]+))re");
  std::istringstream lines(metrics_of(sample_view()));
  std::set<std::string> families;
  std::string family;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("# HELP ")) {
      family = line.substr(7, line.find(' ', 7) - 7);
      EXPECT_TRUE(families.insert(family).second) << family;
    } else if (!line.starts_with("#")) {
      EXPECT_TRUE(std::regex_match(line, sample)) << line;
      EXPECT_TRUE(line.starts_with(family + "{") || line.starts_with(family + " ")) << line;
    }
  }
}

TEST(Metrics, TheDocumentNamesThemAllAndNoOther) {
  const std::string here = __FILE__;
  std::ifstream document(here.substr(0, here.rfind("src/api/")) + "docs/operating/metrics.md");
  ASSERT_TRUE(document) << "docs/operating/metrics.md";
  const std::string text((std::istreambuf_iterator<char>(document)), {});
  const std::string metrics = metrics_of(sample_view());
  std::set<std::string> written, documented;
  const std::regex type("# TYPE (farshore_[a-z_]+) ");
  for (std::sregex_iterator i(metrics.begin(), metrics.end(), type), end; i != end; ++i)
    written.insert((*i)[1]);
  const std::regex row("\\| `(farshore_[a-z_]+)` \\|");
  for (std::sregex_iterator i(text.begin(), text.end(), row), end; i != end; ++i)
    documented.insert((*i)[1]);
  EXPECT_EQ(written, documented);
}

}  // namespace
}  // namespace farshore::api
