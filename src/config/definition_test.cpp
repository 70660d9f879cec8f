#include "config/definition.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/test_golden.h"
#include "config/differences.h"

namespace farshore::config {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr const char* kFile = R"(name: shop
regions:
  us: { link: us:7432, data: /d }
  eu: { link: eu:7432, data: /d }
  ap: { link: ap:7432, data: /d }
sites:
  a: { region: us, engine: postgres, dsn: "host=/run/postgresql dbname=a" }
  b: { region: eu, engine: postgres, dsn: "host=127.0.0.1 dbname=b" }
  c: { region: ap, engine: postgres, dsn: "host=127.0.0.1 dbname=c" }
streams:
  orders:
    from: a
    to: [b, { site: c, apply_delay: 1h, required: false }]
    tables: [{ match: public.log, exclude: true }, { match: public.*, identity: full }]
    journal: { keep: 24h }
)";

Config config_of(std::string text,
                 std::initializer_list<std::pair<std::string, std::string>> changes = {}) {
  for (const auto& [from, to] : changes) {
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    text.replace(at, from.size(), to);
  }
  ParseOutcome outcome = parse(text, "f");
  EXPECT_EQ(text_of(outcome.errors, "f"), "");
  return std::move(outcome.config);
}

const Config kConfig = config_of(kFile);

TEST(Differences, NoneBetweenEqualFiles) {
  EXPECT_THAT(differences(kConfig, config_of(kFile)), IsEmpty());
}

TEST(Differences, OfTextThatMeansTheSame) {
  EXPECT_THAT(differences(kConfig, config_of(kFile, {{"keep: 24h", "keep: 1440m"},
                                                     {"[b,", "[{ site: b },"}})),
              IsEmpty());
}

TEST(Differences, NameTheKeyAndBothValues) {
  EXPECT_THAT(differences(kConfig, config_of(kFile, {{"keep: 24h", "keep: 48h, max: 10GiB"}})),
              ElementsAre("streams.orders.journal.max: 50GiB -> 10GiB",
                          "streams.orders.journal.keep: 24h -> 48h"));
  EXPECT_THAT(differences(kConfig, config_of(kFile, {{"apply_delay: 1h", "apply_delay: 90m"}})),
              ElementsAre("streams.orders.to.c.apply_delay: 1h -> 90m"));
  EXPECT_THAT(
      differences(kConfig,
                  config_of(kFile, {{"name: shop", "name: store\nlink: { window: 128MiB }"}})),
      ElementsAre("name: shop -> store", "link.window: 64MiB -> 128MiB"));
}

TEST(Differences, OfThingsThatCameAndWent) {
  const Config fewer = config_of(
      kFile, {{", { site: c, apply_delay: 1h, required: false }", ""},
              {"  c: { region: ap, engine: postgres, dsn: \"host=127.0.0.1 dbname=c\" }\n", ""}});
  EXPECT_THAT(differences(kConfig, fewer),
              ElementsAre("sites.c: removed", "streams.orders.to: - c"));
  EXPECT_THAT(differences(fewer, kConfig), ElementsAre("sites.c: added", "streams.orders.to: + c"));
}

TEST(Differences, OfRules) {
  EXPECT_THAT(differences(kConfig, config_of(kFile, {{"{ match: public.log, exclude: true }",
                                                      "{ match: public.l* }"}})),
              ElementsAre("streams.orders.tables: - { match: public.log, exclude: true }",
                          "streams.orders.tables: + { match: public.l* }"));
  EXPECT_THAT(
      differences(kConfig,
                  config_of(kFile, {{"{ match: public.log, exclude: true }, ", ""},
                                    {"identity: full }",
                                     "identity: full }, { match: public.log, exclude: true }"}})),
      ElementsAre("streams.orders.tables: the same rules in another order"));
}

// Canonical, and without addresses and limits. What format 1 said is read for ever.
TEST(Definition, IsReadAndWrittenAsFormat1Was) {
  const std::string now = definition_text(kConfig.streams[0]);
  const std::string golden = golden_file("definition/1/definition.json", now);
  EXPECT_EQ(golden, now);
  EXPECT_THAT(*definition_differences(kConfig.streams[0], golden), IsEmpty());
  EXPECT_EQ(definition_text(*with_definition(kConfig.streams[0], golden)), golden);
}

TEST(Definition, DoesNotDependOnLocalLimits) {
  const Config other = config_of(
      kFile, {{"keep: 24h", "keep: 1h, max: 1GiB"}, {"link: eu:7432", "link: elsewhere:1"}});
  EXPECT_EQ(definition_text(other.streams[0]), definition_text(kConfig.streams[0]));
  EXPECT_THAT(*definition_differences(other.streams[0], definition_text(kConfig.streams[0])),
              IsEmpty());
}

TEST(Definition, DifferencesAreOursThenTheOwners) {
  const Config ours = config_of(kFile, {{"apply_delay: 1h, ", ""}, {", identity: full", ""}});
  EXPECT_THAT(*definition_differences(ours.streams[0], definition_text(kConfig.streams[0])),
              ElementsAre("streams.orders.to.c.apply_delay: 0s -> 1h",
                          "streams.orders.tables: - { match: public.* }",
                          "streams.orders.tables: + { match: public.*, identity: full }"));
}

TEST(Definition, ComesBackWithOurOwnLimits) {
  const Config ours = config_of(
      kFile, {{"apply_delay: 1h, ", ""}, {", identity: full", ""}, {"keep: 24h", "keep: 1h"}});
  const StreamConfig merged =
      *with_definition(ours.streams[0], definition_text(kConfig.streams[0]));
  EXPECT_EQ(definition_text(merged), definition_text(kConfig.streams[0]));
  EXPECT_EQ(merged.to, kConfig.streams[0].to);
  EXPECT_EQ(merged.tables, kConfig.streams[0].tables);
  EXPECT_EQ(merged.journal.keep, 1h);
}

TEST(Definition, OfANewerVersionIsReadAndShown) {
  std::string text = definition_text(kConfig.streams[0]);
  text.replace(text.find("\"values\":{"), 10, "\"values\":{\"colour\":\"blue\",");
  EXPECT_THAT(*definition_differences(kConfig.streams[0], text),
              ElementsAre("streams.orders.colour: (none) -> blue"));
  EXPECT_TRUE(with_definition(kConfig.streams[0], text).ok());
}

TEST(Definition, OfAnOlderVersionAgreesWhereOursIsTheDefault) {
  std::string text = definition_text(kConfig.streams[0]);
  const std::string gone = "\"protection.mode\":\"available\",";
  text.erase(text.find(gone), gone.size());
  EXPECT_THAT(*definition_differences(kConfig.streams[0], text), IsEmpty());
  StreamConfig ours = kConfig.streams[0];
  ours.protection.mode = ProtectionMode::protect;
  EXPECT_THAT(*definition_differences(ours, text),
              ElementsAre("streams.orders.protection.mode: protect -> available"));
}

TEST(Definition, CannotChangeWhatIsOurs) {
  std::string text = definition_text(kConfig.streams[0]);
  text.replace(text.find("\"values\":{"), 10, "\"values\":{\"journal.keep\":\"0s\",");
  EXPECT_EQ(with_definition(kConfig.streams[0], text)->journal.keep, 24h);
}

TEST(Definition, ThatIsNoneIsAnError) {
  const std::string good = definition_text(kConfig.streams[0]);
  for (const std::string& bad :
       {std::string(), std::string("{}"), std::string("[]"), good.substr(0, good.size() / 2),
        std::string(R"({"format":2,"stream":"orders"})"), std::string(R"({"format":1,"stream":7})"),
        std::string(R"({"format":1,"stream":"s","values":{"from":7},"to":[],"tables":[]})"),
        std::string(R"({"format":1,"stream":"s","values":{},"to":{},"tables":[]})"),
        std::string(R"({"format":1,"stream":"s","values":{},"to":[7],"tables":[]})")}) {
    EXPECT_FALSE(definition_differences(kConfig.streams[0], bad).ok()) << bad;
    EXPECT_FALSE(with_definition(kConfig.streams[0], bad).ok()) << bad;
  }
  EXPECT_FALSE(with_definition(
                   kConfig.streams[0],
                   R"({"format":1,"stream":"s","values":{"slo.rpo":"soon"},"to":[],"tables":[]})")
                   .ok());
}

}  // namespace
}  // namespace farshore::config
