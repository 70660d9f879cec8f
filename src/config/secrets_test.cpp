#include "config/secrets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>

#include "os/real/test_folder.h"

namespace farshore::config {
namespace {

using testing::HasSubstr;

struct SecretsTest : testing::Test {
  std::string write(const std::string& name, const std::string& contents, unsigned mode = 0600) {
    const std::string path = folder.file(name);
    std::ofstream(path) << contents;
    EXPECT_EQ(::chmod(path.c_str(), mode), 0);
    return path;
  }

  os::TestFolder folder;
};

// The findings of a region whose one site has this key.
std::string findings_of(const std::string& key) {
  const ParseOutcome outcome = parse(fmt::format(R"(name: shop
regions: {{ us: {{ link: us:7432, data: /d }} }}
sites:
  a:
    region: us
    engine: postgres
    dsn: "host=/run/postgresql dbname=a"
    {}
)",
                                                 key),
                                     "f");
  EXPECT_EQ(text_of(outcome.errors, "f"), "");
  return text_of(check_secrets(outcome.config, "us"), "f");
}

TEST_F(SecretsTest, AFileThatOnlyWeCanReadIsFine) {
  for (const char* contents : {"hunter2\nsecond line\n", "hunter2", "hunter2\r\n"})
    EXPECT_EQ(findings_of("password_file: " + write("a", contents)), "");
}

TEST_F(SecretsTest, AFileThatIsEmptyOrOpenToOthersIsAFindingWithoutTheSecret) {
  EXPECT_THAT(findings_of("password_file: " + write("a", "\nhunter2\n")),
              HasSubstr("its first line is empty: install -m 0600 /dev/stdin '"));
  const std::string open = findings_of("password_file: " + write("b", "hunter2\n", 0644));
  EXPECT_THAT(open, HasSubstr("has mode 0644, others can reach it: chmod 0600 '"));
  EXPECT_THAT(open, testing::Not(HasSubstr("hunter2")));
}

TEST_F(SecretsTest, AFileThatIsMissingIsAFindingWithTheLineThatMakesIt) {
  const std::string path = folder.file("none");
  EXPECT_EQ(findings_of("password_file: " + path),
            fmt::format("f:8:20: sites.a.password_file: secret file '{0}': No such file or "
                        "directory: install -m 0600 /dev/stdin '{0}'  -- then type the password, "
                        "Enter, Ctrl-D",
                        path));
}

TEST_F(SecretsTest, AVariableMustBeSet) {
  ASSERT_EQ(::setenv("FARSHORE_TEST_PASSWORD", "hunter2", 1), 0);
  EXPECT_EQ(findings_of("password_env: FARSHORE_TEST_PASSWORD"), "");
  ASSERT_EQ(::unsetenv("FARSHORE_TEST_PASSWORD"), 0);
  EXPECT_THAT(findings_of("password_env: FARSHORE_TEST_PASSWORD"), HasSubstr("is not set"));
}

TEST_F(SecretsTest, NoneIsAskedForWhenNoneIsNamed) {
  EXPECT_EQ(findings_of(""), "");
}

TEST_F(SecretsTest, ARegionIsAskedOnlyForItsOwn) {
  const ParseOutcome outcome = parse(fmt::format(R"(name: shop
regions:
  us: {{ link: us:7432, data: /d, api: 10.0.0.1:7433, api_token_file: {0}/token }}
  eu: {{ link: eu:7432, data: /d }}
sites:
  a:
    region: us
    engine: postgres
    dsn: "host=/run/postgresql dbname=a"
    password_file: {0}/none
  b:
    region: eu
    engine: postgres
    dsn: "host=/run/postgresql dbname=b"
    password_file: {1}
)",
                                                 folder.path(), write("b", "hunter2\n", 0640)),
                                     "farshore.yaml");
  ASSERT_EQ(text_of(outcome.errors, "farshore.yaml"), "");
  const auto us = check_secrets(outcome.config, "us");
  ASSERT_EQ(us.size(), 2U);
  EXPECT_THAT(text_of(us[0], "farshore.yaml"),
              HasSubstr("farshore.yaml:3:70: regions.us.api_token_file: secret file"));
  EXPECT_THAT(text_of(us[1], "farshore.yaml"),
              HasSubstr("farshore.yaml:10:20: sites.a.password_file: secret file"));
  const auto eu = check_secrets(outcome.config, "eu");
  ASSERT_EQ(eu.size(), 1U);
  EXPECT_THAT(eu[0].message, HasSubstr("has mode 0640, others can reach it"));
}

}  // namespace
}  // namespace farshore::config
