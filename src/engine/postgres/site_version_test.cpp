#include <gmock/gmock.h>

#include "engine/postgres/site.h"
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

}  // namespace
}  // namespace farshore::postgres
