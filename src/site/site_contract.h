// What every Site must do, whatever database is behind it: run against the one in memory
// (tests/fakes) and against servers (site_contract_pgtest.cpp of an engine).
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "site/site.h"

namespace farshore {

// A source and a target that are fit for a stream, when all that `grants` prints has been run.
struct SiteUnderTest : Port {
  virtual Site& source() = 0;
  virtual Site& target() = 0;
  virtual Site& unreachable() = 0;
  virtual void run_at_source(const std::string& sql) = 0;  // as its administrator
  virtual void run_at_target(const std::string& sql) = 0;
  virtual void make_tables() = 0;              // the same ones, with rows at the source alone
  virtual void take_column_from_target() = 0;  // of one of them
};

struct SiteSetup {
  std::string name;
  std::function<std::unique_ptr<SiteUnderTest>()> make;
};

inline std::string site_setup_name(const testing::TestParamInfo<SiteSetup>& info) {
  return info.param.name;
}

class SiteContract : public testing::TestWithParam<SiteSetup> {
 protected:
  static std::vector<std::string> errors_of(const std::vector<Finding>& findings) {
    std::vector<std::string> errors;
    for (const Finding& finding : findings) {
      EXPECT_FALSE(finding.code.empty());
      EXPECT_FALSE(finding.object.empty()) << finding.code;
      EXPECT_FALSE(finding.message.empty()) << finding.code;
      if (finding.level != FindingLevel::error) continue;
      EXPECT_FALSE(finding.remedy.empty()) << finding.code;
      errors.push_back(finding.code + ": " + finding.message);
    }
    return errors;
  }
  void grant() {
    auto source = sites_->source().grants(SiteRole::source);
    ASSERT_TRUE(source.ok()) << source.error().what;
    sites_->run_at_source(*source);
    auto target = sites_->target().grants(SiteRole::target);
    ASSERT_TRUE(target.ok()) << target.error().what;
    sites_->run_at_target(*target);
  }
  std::vector<std::string> compared() {
    auto description = sites_->source().describe();
    EXPECT_TRUE(description.ok()) << (description.ok() ? "" : description.error().what);
    if (!description.ok()) return {};
    auto found = sites_->target().compare(*description);
    EXPECT_TRUE(found.ok()) << (found.ok() ? "" : found.error().what);
    return found.ok() ? errors_of(*found) : std::vector<std::string>();
  }

  std::unique_ptr<SiteUnderTest> sites_ = GetParam().make();
};

using Errors = std::vector<std::string>;

TEST_P(SiteContract, AProbeSaysWhatTheServerIsAndEachTimeTheSame) {
  const auto source = sites_->source().probe(), again = sites_->source().probe();
  const auto target = sites_->target().probe();
  ASSERT_TRUE(source.ok() && again.ok() && target.ok());
  EXPECT_FALSE(source->server_version.empty());
  EXPECT_FALSE(source->identity.empty());
  EXPECT_EQ(source->identity, again->identity);
  EXPECT_NE(source->identity, target->identity);
  EXPECT_LT(source->clock_offset, 5s);
  EXPECT_GT(source->clock_offset, -5s);
}

TEST_P(SiteContract, AnUnreachableServerIsOneFindingForACheckAndAnErrorForAQuestion) {
  Site& site = sites_->unreachable();
  for (const SiteRole role : {SiteRole::source, SiteRole::target}) {
    const auto findings = site.check(role);
    ASSERT_EQ(findings.size(), 1U);
    EXPECT_EQ(findings[0].code, "unreachable");
    EXPECT_EQ(errors_of(findings).size(), 1U);
    const auto grants = site.grants(role);
    ASSERT_FALSE(grants.ok());
    EXPECT_EQ(grants.error().kind, ErrorKind::unavailable) << grants.error().what;
  }
  EXPECT_FALSE(site.probe().ok());
  EXPECT_FALSE(site.describe().ok());
  EXPECT_FALSE(site.compare("").ok());
}

TEST_P(SiteContract, WhatGrantsPrintMakesASiteFit) {
  sites_->make_tables();
  EXPECT_NE(errors_of(sites_->source().check(SiteRole::source)), Errors());
  EXPECT_NE(errors_of(sites_->target().check(SiteRole::target)), Errors());
  grant();
  EXPECT_EQ(errors_of(sites_->source().check(SiteRole::source)), Errors());
  EXPECT_EQ(errors_of(sites_->target().check(SiteRole::target)), Errors());
  grant();  // a second time does no harm
  EXPECT_EQ(errors_of(sites_->source().check(SiteRole::source)), Errors());
}

TEST_P(SiteContract, TablesThatAreTheSameHaveNoDifferencesAndOthersAreNamed) {
  sites_->make_tables();
  grant();
  EXPECT_EQ(compared(), Errors());
  sites_->take_column_from_target();
  EXPECT_EQ(compared().size(), 1U);
}

TEST_P(SiteContract, ADescriptionOfSomethingElseIsCorrupt) {
  for (const char* text : {"", "{}", R"({"engine":"another","version":1})"}) {
    const auto found = sites_->target().compare(text);
    ASSERT_FALSE(found.ok()) << text;
    EXPECT_EQ(found.error().kind, ErrorKind::corrupt) << found.error().what;
  }
}

}  // namespace farshore
