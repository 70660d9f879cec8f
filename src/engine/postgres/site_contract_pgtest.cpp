// The contract of a Site, on servers of each version that is here.
#include "site/site_contract.h"

#include "engine/postgres/site.h"
#include "engine/postgres/test_database.h"

namespace farshore::postgres {
namespace {

class ServersUnderTest final : public SiteUnderTest {
 public:
  explicit ServersUnderTest(const std::string& bin)
      : source_(shared_server(bin, 21200)), target_(shared_server(bin, 21200)) {
    source_.run(
        "DROP ROLE IF EXISTS fit; DROP ROLE IF EXISTS fit_owner; CREATE ROLE fit LOGIN; CREATE "
        "ROLE fit_owner");
    source_site_ = make("orders-us", source_.conninfo());
    target_site_ = make("orders-eu", target_.conninfo());
    away_ = make("orders-away", "host=127.0.0.1 port=1 dbname=app");
  }
  ~ServersUnderTest() override {
    for (TestDatabase* database : {&source_, &target_})
      database->run("DROP OWNED BY fit, fit_owner");
    source_.run("DROP ROLE fit, fit_owner");
  }

  Site& source() override { return *source_site_; }
  Site& target() override { return *target_site_; }
  Site& unreachable() override { return *away_; }
  void run_at_source(const std::string& sql) override { source_.run(sql); }
  void run_at_target(const std::string& sql) override { target_.run(sql); }
  void make_tables() override {
    for (TestDatabase* database : {&source_, &target_})
      database->run("CREATE TABLE t (id int PRIMARY KEY, v text)");
    source_.run("ALTER TABLE t OWNER TO fit_owner; INSERT INTO t VALUES (1, 'one')");
    target_.run("ALTER TABLE t OWNER TO fit");
  }
  void take_column_from_target() override { target_.run("ALTER TABLE t DROP COLUMN v"); }

 private:
  static std::unique_ptr<Site> make(const std::string& name, const std::string& conninfo) {
    return make_site(test_world(), {.name = name,
                                    .connect = {.conninfo = conninfo + " user=fit"},
                                    .rules = {{.match = "*.*"}}});
  }

  TestDatabase source_, target_;
  std::unique_ptr<Site> source_site_, target_site_, away_;
};

std::vector<SiteSetup> setups() {
  std::vector<SiteSetup> all;
  for (const std::string& bin : server_bin_folders())
    all.push_back({bin.find("15") != std::string::npos ? "pg15" : "pg18",
                   [bin] { return std::make_unique<ServersUnderTest>(bin); }});
  return all;
}

}  // namespace
}  // namespace farshore::postgres

namespace farshore {
INSTANTIATE_TEST_SUITE_P(Postgres, SiteContract, testing::ValuesIn(postgres::setups()),
                         site_setup_name);
}  // namespace farshore
