#include "engine/postgres/conninfo.h"

#include <gmock/gmock.h>

namespace farshore::postgres {
namespace {

using testing::HasSubstr;
using testing::Not;

std::string hosts_of(const std::string& conninfo) {
  const auto read = read_conninfo(conninfo);
  if (!read.ok()) return read.error().what;
  std::string out;
  for (const Host& host : read->hosts)
    out += fmt::format("[{} {} {}]", host.name, host.address, host.port);
  return out;
}

TEST(Conninfo, NamesTheServer) {
  const auto server = [](const std::string& conninfo) { return read_conninfo(conninfo)->server; };
  EXPECT_EQ(server("host=db.internal dbname=app"), "app on db.internal:5432");
  EXPECT_EQ(server("postgresql://me@a,b:6432/app"), "app on a,b:,6432");
  EXPECT_EQ(server("hostaddr=10.0.0.1 user=me port=1"), "me on 10.0.0.1:1");
  EXPECT_EQ(server(""), "default database on local socket:5432");
}

TEST(Conninfo, ListsTheHosts) {
  EXPECT_EQ(hosts_of("dbname=app"), "[  ]");
  EXPECT_EQ(hosts_of("host=a port=1"), "[a  1]");
  EXPECT_EQ(hosts_of("host=a,b port=1"), "[a  1][b  1]");
  EXPECT_EQ(hosts_of("host=a,b hostaddr=10.0.0.1,10.0.0.2 port=1,"), "[a 10.0.0.1 1][b 10.0.0.2 ]");
  EXPECT_EQ(hosts_of("hostaddr=10.0.0.1,10.0.0.2"), "[ 10.0.0.1 ][ 10.0.0.2 ]");
}

TEST(Conninfo, ListsOfDifferentLengthsAreRefused) {
  EXPECT_THAT(hosts_of("host=a,b,c port=1,2"), HasSubstr("2 ports and 3 hosts"));
  EXPECT_THAT(hosts_of("host=a port=1,2"), HasSubstr("2 ports and 1 hosts"));
  EXPECT_THAT(hosts_of("host=a hostaddr=10.0.0.1,10.0.0.2"), HasSubstr("1 hosts and 2 addresses"));
}

TEST(Conninfo, AHostIsTakenOutOfTheLists) {
  auto hosts = read_conninfo("host=a,b,a port=1,,2")->hosts;
  EXPECT_FALSE(take_out(hosts, {"a", "3"}));
  EXPECT_TRUE(take_out(hosts, {"b", "5432"}));
  EXPECT_EQ(list_of(hosts, &Host::name) + " " + list_of(hosts, &Host::port), "a,a 1,2");
  EXPECT_EQ(list_of(hosts, &Host::address), ",");
  EXPECT_TRUE(take_out(hosts, {"a", "1"}));
  EXPECT_EQ(list_of(hosts, &Host::port), "2");
  EXPECT_FALSE(take_out(hosts, {"a", "2"}));
}

TEST(Conninfo, KeepsAllElseThatWasGiven) {
  const auto read = read_conninfo("postgresql://me@a/app?sslmode=require&options=-c%20x%3D1");
  EXPECT_EQ(read->options, "-c x=1");
  EXPECT_THAT(read->further, testing::UnorderedElementsAre(testing::Pair("user", "me"),
                                                           testing::Pair("dbname", "app"),
                                                           testing::Pair("sslmode", "require")));
}

TEST(Conninfo, OneThatDoesNotParseIsNotRepeated) {
  EXPECT_THAT(hosts_of("hunter2 is no keyword"), Not(HasSubstr("hunter2")));
}

}  // namespace
}  // namespace farshore::postgres
