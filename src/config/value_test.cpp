#include "config/value.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/connection_string.h"
#include "config/keys.h"

namespace farshore::config {
namespace {

using testing::HasSubstr;

template <class T>
std::string round_trip(std::string_view text) {
  T value{};
  const auto read = read_value(&value, Form::value, {}, text);
  return read ? show_value(&value) : read.error().what;
}

TEST(Value, IsShownInTheLargestUnitThatLosesNothing) {
  EXPECT_EQ(round_trip<Duration>("1440m"), "24h");
  EXPECT_EQ(round_trip<Duration>("48h"), "48h");
  EXPECT_EQ(round_trip<Duration>("720h"), "30d");
  EXPECT_EQ(round_trip<Duration>("1.5s"), "1500ms");
  EXPECT_EQ(round_trip<Duration>("0s"), "0s");
  EXPECT_EQ(round_trip<std::uint64_t>("1048576kB"), "1000MiB");
  EXPECT_EQ(round_trip<std::uint64_t>("10MB"), "10MB");
  EXPECT_EQ(round_trip<std::uint64_t>("1.5GiB"), "1536MiB");
  EXPECT_EQ(round_trip<std::uint64_t>("7B"), "7B");
  EXPECT_EQ(round_trip<double>("99.95%"), "99.95%");
  EXPECT_EQ(round_trip<bool>("true"), "true");
  EXPECT_EQ(round_trip<int>("-3"), "-3");
}

TEST(Value, WhatIsShownReadsBackToTheSame) {
  for (const char* text : {"1ns", "999us", "61s", "25h", "6d", "8d", "365d", "90m"}) {
    Duration once{};
    Duration twice{};
    ASSERT_TRUE(read_value(&once, Form::value, {}, text).ok());
    ASSERT_TRUE(read_value(&twice, Form::value, {}, show_value(&once)).ok());
    EXPECT_EQ(once, twice) << text;
  }
}

TEST(Value, NumbersThatAreNone) {
  for (const char* text : {"", "nan%", "inf%", "-1%", "%", "20", "20 %", "1e999%"}) {
    double value = 7;
    EXPECT_FALSE(read_value(&value, Form::value, {}, text).ok()) << text;
    EXPECT_EQ(value, 7) << "a refused text must not change the field";
  }
  for (const char* text : {"", "1.5", "1x", " 1", "99999999999"})
    EXPECT_FALSE(read_value(std::make_unique<int>().get(), Form::value, {}, text).ok()) << text;
}

TEST(Address, TakesNamesAndBothFamilies) {
  EXPECT_EQ(parse_address("db.example.com:7432")->host, "db.example.com");
  EXPECT_EQ(parse_address("[fe80::1%eth0]:7432")->host, "fe80::1%eth0");
  EXPECT_EQ(parse_address("[::1]:7432")->port, 7432);
  for (const char* text :
       {"", ":1", "host:", "host:0", "host:65536", "host:1x", "ho st:1", "host", "::1:5", "[]:1"})
    EXPECT_FALSE(parse_address(text).ok()) << text;
  EXPECT_TRUE(is_loopback("127.0.0.2"));
  EXPECT_FALSE(is_loopback("0.0.0.0"));
}

// A table of keys that cannot be read by its own rules would fail for a user first.
template <class Scope>
void expect_sound(std::span<const Key<Scope>> keys) {
  for (const Key<Scope>& key : keys) {
    EXPECT_FALSE(key.help.empty()) << key.name;
    if (key.field == nullptr) continue;
    Scope scope;
    const std::string usual = show(key, Scope{});
    for (const std::string_view text : {key.bounds.min, key.bounds.max, std::string_view(usual)}) {
      if (text.empty()) continue;
      EXPECT_TRUE(read_value(key.field(scope), key.form, key.bounds, text).ok()) << key.name;
    }
    EXPECT_TRUE(key.required || usual.empty() || show(key, scope) == usual) << key.name;
  }
}

TEST(Keys, BoundsAndDefaultsFitTheirOwnType) {
  expect_sound(file_keys());
  expect_sound(link_keys());
  expect_sound(region_keys());
  expect_sound(site_keys());
  expect_sound(stream_keys());
  expect_sound(target_keys());
  expect_sound(rule_keys());
}

TEST(ConnectionString, IsReadAsLibpqReadsIt) {
  const auto quoted =
      parse_connection_string(R"(host = 'db one' dbname='it\'s' user=a\ b port=5433)");
  ASSERT_TRUE(quoted.ok()) << quoted.error().what;
  EXPECT_EQ(quoted->get("host"), "db one");
  EXPECT_EQ(quoted->get("dbname"), "it's");
  EXPECT_EQ(quoted->get("user"), "a b");
  EXPECT_EQ(quoted->server(), "db one:5433");

  const auto uri =
      parse_connection_string("postgresql://us%40er@h1:1,[::1]:2/my%20db?sslmode=require");
  ASSERT_TRUE(uri.ok()) << uri.error().what;
  EXPECT_EQ(uri->get("user"), "us@er");
  EXPECT_EQ(uri->get("host"), "h1,::1");
  EXPECT_EQ(uri->get("port"), "1,2");
  EXPECT_EQ(uri->database(), "h1,::1:1,2/my db");

  EXPECT_EQ(parse_connection_string("postgresql:///app?host=/run/postgresql")->get("host"),
            "/run/postgresql");
  EXPECT_TRUE(parse_connection_string("service=orders").ok());
}

TEST(ConnectionString, ErrorsDoNotRepeatASecret) {
  for (const char* text :
       {"password=hunter2 dbname=a", "dbname=a password = 'hunter2'", "dbname=a PASSWORD=hunter2",
        "postgres://u:hunter2@h/a", "postgres://u@h/a?password=hunter2",
        "postgres://u:hunter2@h/a?%70assword=x", "postgres://h/a?hunter2",
        "dbname=a sslpassword=hunter2", "dbname=a oauth_client_secret=hunter2"}) {
    const auto parsed = parse_connection_string(text);
    ASSERT_FALSE(parsed.ok()) << text;
    EXPECT_THAT(parsed.error().what, testing::Not(HasSubstr("hunter2"))) << text;
  }
}

}  // namespace
}  // namespace farshore::config
