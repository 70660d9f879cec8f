#include "config/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/starter.h"
#include "config/table_pattern.h"

namespace farshore::config {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kWhole = R"(
name: shop
link:
  connections: 4
  window: 8MiB
  compression: off
  keepalive: 500ms
  dead_after: 5s
  connect_timeout: 3s
regions:
  us-east-1:
    link: us-east.internal:7432
    listen: 10.0.0.5:7432
    api: "[::1]:7500"
    data: /var/lib/farshore
    tls: /etc/farshore/tls
  eu-west-1:
    link: eu-west.internal:7432
    data: data
    api: 0.0.0.0:7433
    api_token_file: /etc/farshore/token
  ap-south-1: { link: "[fd00::1]:7432", data: /var/lib/farshore }
sites:
  orders-us:
    region: us-east-1
    engine: postgres
    dsn: "host=db.us-east.internal dbname=app user=farshore sslmode=verify-full"
    password_file: secrets/orders
    heartbeat: 500ms
  orders-eu:
    region: eu-west-1
    engine: postgres
    dsn: "postgresql://farshore@db.eu-west.internal/app?sslmode=verify-full"
    password_env: ORDERS_EU
  orders-ap: { region: ap-south-1, engine: postgres, dsn: "service=orders" }
defaults:
  journal: { keep: 12h, segment: 16MiB }
  existing: keep
streams:
  orders:
    id: 6f1c8a52-9a3c-4c1e-8a55-0c7b0e1f2a3b
    from: orders-us
    to:
      - orders-eu
      - { site: orders-ap, required: false, apply_delay: 2h, existing: replace }
    tables:
      - { match: "public.sessions", exclude: true }
      - { match: "public.log", identity: full }
      - { match: "public.*" }
    apply_delay: 90s
    copy: { tables: 8 }
    journal: { max: 10GB, when_full: drop }
    source: { retain_max: 512MiB, wal_max: 20GiB }
)";

Config parsed(std::string_view text, const std::string& file = "/etc/farshore/farshore.yaml") {
  ParseOutcome outcome = parse(text, file);
  EXPECT_EQ(text_of(outcome.errors, file), "");
  return std::move(outcome.config);
}

TEST(Config, EveryKeyReachesItsField) {
  const Config config = parsed(kWhole);
  EXPECT_EQ(config.name, "shop");
  EXPECT_EQ(config.link.connections_max, 4);
  EXPECT_EQ(config.link.channel_window_bytes, 8_MiB);
  EXPECT_EQ(config.link.compression, link::Compression::off);
  EXPECT_EQ(config.link.dead_after, 5s);

  ASSERT_EQ(config.regions.size(), 3U);
  EXPECT_EQ(config.regions[0].listen, "10.0.0.5:7432");
  EXPECT_EQ(config.regions[0].api, "[::1]:7500");
  EXPECT_EQ(config.regions[1].listen, ":7432");
  EXPECT_EQ(config.regions[1].api_token_file, "/etc/farshore/token");
  EXPECT_EQ(config.regions[2].api, "127.0.0.1:7433");

  ASSERT_EQ(config.sites.size(), 3U);
  EXPECT_EQ(config.site("orders-us")->heartbeat, 500ms);
  EXPECT_EQ(config.site("orders-eu")->password_env, "ORDERS_EU");
  EXPECT_EQ(config.site("nobody"), nullptr);

  ASSERT_EQ(config.streams.size(), 1U);
  const StreamConfig& orders = config.streams[0];
  EXPECT_EQ(orders.id.text(), "6f1c8a52-9a3c-4c1e-8a55-0c7b0e1f2a3b");
  EXPECT_EQ(orders.copy_tables, 8);
  EXPECT_EQ(orders.journal.bytes_max, 10'000'000'000U);
  EXPECT_EQ(orders.journal.when_full, journal::WhenFull::drop);
  EXPECT_EQ(orders.source.retain_max, 512_MiB);
  EXPECT_EQ(orders.source.wal_max, 20_GiB);
  EXPECT_THAT(orders.tables,
              ElementsAre(TableRule{.match = "public.sessions", .exclude = true},
                          TableRule{.match = "public.log", .identity = ReplicaIdentity::full},
                          TableRule{.match = "public.*"}));
}

TEST(Config, DefaultsHoldForEveryStreamThatSaysNothing) {
  const Config config = parsed(kWhole);
  EXPECT_EQ(config.streams[0].journal.keep, 12h);
  EXPECT_EQ(config.streams[0].journal.segment_bytes, 16_MiB);
  EXPECT_EQ(config.streams[0].existing, Existing::keep);
}

TEST(Config, TargetsTakeFromTheStreamWhatTheyDoNotSay) {
  const Config config = parsed(kWhole);
  EXPECT_THAT(
      config.streams[0].to,
      ElementsAre(TargetConfig{.site = "orders-eu", .apply_delay = 90s, .existing = Existing::keep},
                  TargetConfig{.site = "orders-ap",
                               .required = false,
                               .apply_delay = 2h,
                               .existing = Existing::replace}));
}

TEST(Config, RelativePathsAreBesideTheFile) {
  const Config config = parsed(kWhole);
  EXPECT_EQ(config.site("orders-us")->password_file, "/etc/farshore/secrets/orders");
  EXPECT_EQ(config.region("eu-west-1")->data, "/etc/farshore/data");
  EXPECT_EQ(config.region("eu-west-1")->tls, "/etc/farshore/tls");
  EXPECT_EQ(parsed(kWhole, "farshore.yaml").region("eu-west-1")->tls, "tls");
}

TEST(Config, ARegionToTryThingsOutListensOnItsLoopbackAddressOnly) {
  const Config config = parsed("name: a\nregions: { us: { link: \"127.0.0.1:7432\", data: /d } }");
  EXPECT_EQ(config.regions[0].listen, "127.0.0.1:7432");
}

TEST(Config, TablesCanBeDefaultsToo) {
  std::string text(kWhole);
  const std::size_t from = text.find("    tables:\n");
  text.erase(from, text.find("    apply_delay") - from);
  text.replace(text.find("  existing: keep"), 16,
               "  existing: keep\n  tables: [{ match: \"public.*\" }]");
  EXPECT_THAT(parsed(text).streams[0].tables, ElementsAre(TableRule{.match = "public.*"}));
}

TEST(Config, MarksFallBackToTheNearestParent) {
  const Config config = parsed(kWhole);
  EXPECT_EQ(config.mark("streams.orders.to[1]").line, 45);
  EXPECT_EQ(config.mark("streams.orders.to[1].existing").line, 45);
  EXPECT_EQ(config.mark("streams.orders.protection.mode"), config.mark("streams.orders"));
  EXPECT_EQ(config.mark("nothing.of.it"), Mark{});
}

std::string warnings_of(std::string_view text) {
  return text_of(parsed(text, "f").warnings, "f");
}

std::string with_stream(std::string_view stream, std::string_view more = "") {
  return fmt::format(R"(name: shop
regions: {{ us: {{ link: us:7432, data: /d }}, eu: {{ link: eu:7432, data: /d }} }}
sites:
  a: {{ region: us, engine: postgres, dsn: "host=/run/postgresql dbname=a" }}
  b: {{ region: eu, engine: postgres, dsn: "host=127.0.0.1 dbname=b" }}
streams:
{}
{})",
                     stream, more);
}

TEST(ConfigWarnings, NoneForAPlainFile) {
  EXPECT_EQ(warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }] }")),
            "");
}

TEST(ConfigWarnings, KeysThatThisVersionDoesNotActOn) {
  const std::string text =
      warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.*, class: far }], "
                              "slo: { rpo: 60s }, protection: { mode: protect } }"));
  EXPECT_THAT(text, HasSubstr("streams.s.tables[0].class: far is read and kept"));
  EXPECT_THAT(text, HasSubstr("streams.s.slo.rpo: 60s is read and kept"));
  EXPECT_THAT(text, HasSubstr("streams.s.protection.mode: protect is read and kept"));
}

TEST(ConfigWarnings, ARuleThatIsNeverReached) {
  EXPECT_THAT(warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }, "
                                      "{ match: 'public.log?', exclude: true }] }")),
              HasSubstr("streams.s.tables[1]: 'public.log?' is never reached: 'public.*' before it "
                        "matches the same tables"));
}

TEST(ConfigWarnings, TwoStreamsThatMeetInATable) {
  EXPECT_THAT(
      warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }] }",
                              "  t: { from: a, to: [b], tables: [{ match: '*.ledger' }] }")),
      HasSubstr("streams.t.tables: may take the same tables to the same target as stream 's'"));
  EXPECT_EQ(
      warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.ledger*, exclude: "
                              "true }, { match: public.* }] }",
                              "  t: { from: a, to: [b], tables: [{ match: public.ledger* }] }")),
      "");
}

TEST(ConfigWarnings, TwoStreamsInOppositeWays) {
  EXPECT_THAT(warnings_of(with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }] }",
                                      "  t: { from: b, to: [a], tables: [{ match: public.* }] }")),
              HasSubstr("the other way"));
}

TEST(ConfigWarnings, AConnectionThatMayGoInPlain) {
  std::string text = with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }] }");
  text.replace(text.find("host=127.0.0.1"), 14, "host=db.example.com");
  EXPECT_EQ(warnings_of(text),
            "f:5:43: sites.b.dsn: sslmode is not set, which lets the connection to db.example.com "
            "go in plain: write "
            "sslmode=verify-full");
  const auto warned = [](const std::string& hosts) {
    std::string with = with_stream("  s: { from: a, to: [b], tables: [{ match: public.* }] }");
    return !warnings_of(with.replace(with.find("host=127.0.0.1"), 14, "host=" + hosts)).empty();
  };
  EXPECT_TRUE(warned("/run/postgresql,db.example.com"));
  EXPECT_TRUE(warned("localhost,db.example.com"));
  EXPECT_TRUE(warned("127.0.0.1,,db.example.com"));
  EXPECT_FALSE(warned("/run/postgresql,localhost,127.0.0.2"));
}

TEST(ConfigWarnings, ASiteThatNoStreamUses) {
  EXPECT_THAT(warnings_of(with_stream("  {}")), HasSubstr("sites.a: no stream uses it"));
}

TEST(ConfigLimits, AFileThatIsTooLargeIsRefused) {
  EXPECT_EQ(text_of(parse(std::string(kFileBytesMax + 1, '#'), "f").errors, "f"),
            "f: is larger than 1MiB");
}

TEST(Starter, IsValidAsItStands) {
  for (const auto& regions :
       std::vector<std::vector<std::string>>{{"us-east-1", "eu-west-1"}, {"a", "b", "c", "d"}}) {
    const ParseOutcome outcome =
        parse(starter_yaml({.name = "my-shop", .regions = regions}), "farshore.yaml");
    EXPECT_THAT(outcome.errors, IsEmpty()) << text_of(outcome.errors, "farshore.yaml");
    EXPECT_THAT(outcome.config.warnings, IsEmpty())
        << text_of(outcome.config.warnings, "farshore.yaml");
    EXPECT_EQ(outcome.config.name, "my-shop");
    EXPECT_EQ(outcome.config.regions.size(), regions.size());
    ASSERT_EQ(outcome.config.streams.size(), 1U);
    EXPECT_EQ(outcome.config.streams[0].to.size(), regions.size() - 1);
  }
}

TEST(Starter, TakesAnyTextAsItsName) {
  for (const char* name :
       {"", "...", ".farshore", "tmp.x1", "my shop-", "größe",
        "a-name-that-is-much-longer-than-a-label-of-the-domain-name-system-can-be"}) {
    const ParseOutcome outcome = parse(starter_yaml({.name = name}), "farshore.yaml");
    EXPECT_THAT(outcome.errors, IsEmpty()) << text_of(outcome.errors, "farshore.yaml");
  }
}

TEST(Starter, ItsCommentedLinesAreValidToo) {
  std::string text = starter_yaml({});
  for (const char* key : {"# - {", "# apply_delay", "# password_file"})
    for (std::size_t at = 0; (at = text.find(key, at)) != std::string::npos;) text.erase(at, 2);
  const ParseOutcome outcome = parse(text, "farshore.yaml");
  EXPECT_THAT(outcome.errors, IsEmpty()) << text_of(outcome.errors, "farshore.yaml");
  EXPECT_EQ(outcome.config.streams[0].tables.size(), 3U);
}

TEST(TablePattern, MatchesAsAShellDoes) {
  EXPECT_TRUE(pattern_matches("public.*", "public.orders"));
  EXPECT_TRUE(pattern_matches("*.order?", "sales.orders"));
  EXPECT_TRUE(pattern_matches("p*c.*r*s", "public.orders"));
  EXPECT_FALSE(pattern_matches("public.order", "public.orders"));
  EXPECT_FALSE(pattern_matches("public.orders?", "public.orders"));
  EXPECT_FALSE(pattern_matches("Public.*", "public.orders"));
}

TEST(TablePattern, MeetingAndCovering) {
  EXPECT_TRUE(patterns_meet("public.*", "*.ledger"));
  EXPECT_TRUE(patterns_meet("a.*x", "a.x*"));
  EXPECT_FALSE(patterns_meet("public.*", "sales.*"));
  EXPECT_FALSE(patterns_meet("a.?", "a.bc"));
  EXPECT_TRUE(pattern_covers("public.*", "public.ledger*"));
  EXPECT_FALSE(pattern_covers("public.ledger*", "public.*"));
  EXPECT_FALSE(pattern_covers("public.?", "public.*"));
}

TEST(TablePattern, TheFirstRuleThatMatchesDecides) {
  const std::vector<TableRule> rules{{.match = "public.log", .exclude = true},
                                     {.match = "public.*"}};
  EXPECT_TRUE(rule_for(rules, "public", "log")->exclude);
  EXPECT_FALSE(rule_for(rules, "public", "orders")->exclude);
  EXPECT_EQ(rule_for(rules, "sales", "orders"), nullptr);
}

}  // namespace
}  // namespace farshore::config
