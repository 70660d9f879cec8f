#include <gmock/gmock.h>

#include "engine/postgres/site_question.h"
#include "engine/postgres/test_old_server.h"
#include "os/real/real_world.h"

namespace farshore::postgres {
namespace {

using testing::AllOf;
using testing::AnyOf;
using testing::Contains;
using testing::Field;
using testing::HasSubstr;
using testing::Not;

TEST(SiteVersion, AServerThatIsTooOldIsAnErrorInBothRoles) {
  auto world = os::make_real_world(std::nullopt);
  for (const SiteRole role : {SiteRole::source, SiteRole::target}) {
    OldServer old("13.9"), oldest_that_works("14.0");
    const auto check = [&](const OldServer& server) {
      SiteOptions options{.name = "orders-us"};
      options.connect.conninfo = server.conninfo();
      return make_site(*world, options)->check(role);
    };
    EXPECT_THAT(check(old), Contains(AllOf(Field(&Finding::code, "version"),
                                           Field(&Finding::level, FindingLevel::error),
                                           Field(&Finding::remedy, HasSubstr("pg_upgrade")))));
    EXPECT_THAT(check(oldest_that_works),
                Not(Contains(Field(&Finding::code, AnyOf("version", "unreachable")))));
  }
}

TEST(SiteVersion, KnowsFromWhichMinorReleaseOnTablesThatJoinAreKept) {
  for (const int fixed : {140018, 150013, 160009, 170005}) {
    EXPECT_EQ(minor_needed(fixed - 1), fixed % 10000);
    EXPECT_EQ(minor_needed(fixed / 10000 * 10000), fixed % 10000);
    EXPECT_EQ(minor_needed(fixed), 0);
    EXPECT_EQ(minor_needed(fixed + 90), 0);
  }
  EXPECT_EQ(minor_needed(180000), 0);
  EXPECT_EQ(minor_needed(190003), 0);
}

TEST(SiteVersion, ASourceThatMayLoseChangesOfTablesThatJoinIsAnError) {
  auto world = os::make_real_world(std::nullopt);
  OldServer old("15.12"), repaired("15.13");
  const auto check = [&](const OldServer& server, SiteRole role) {
    SiteOptions options{.name = "orders-us"};
    options.connect.conninfo = server.conninfo();
    return make_site(*world, options)->check(role);
  };
  const auto old_minor = Contains(AllOf(Field(&Finding::code, "minor_release"),
                                        Field(&Finding::level, FindingLevel::error),
                                        Field(&Finding::message, HasSubstr("PostgreSQL 15.12")),
                                        Field(&Finding::remedy, HasSubstr("15.13 or newer"))));
  EXPECT_THAT(check(old, SiteRole::source), old_minor);
  EXPECT_THAT(check(old, SiteRole::target), Not(old_minor));
  EXPECT_THAT(check(repaired, SiteRole::source), Not(old_minor));
}

}  // namespace
}  // namespace farshore::postgres
