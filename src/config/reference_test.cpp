// docs/operating/configuration.md holds the reference of keys between two marks; FARSHORE_REWRITE=1
// writes it anew.
#include "config/reference.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "config/config.h"

namespace farshore::config {
namespace {

constexpr const char* kBegin = "<!-- reference: begin -->\n\n";
constexpr const char* kEnd = "\n<!-- reference: end -->";
const std::string kPage = FARSHORE_SOURCE_DIR "/docs/operating/configuration.md";

std::string page_text() {
  std::ifstream in(kPage, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(Reference, ThePageIsWhatTheTableOfKeysSays) {
  std::string page = page_text();
  const std::size_t begin = page.find(kBegin);
  const std::size_t end = page.find(kEnd);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const std::size_t from = begin + std::string(kBegin).size();
  if (std::getenv("FARSHORE_REWRITE") != nullptr) {
    page.replace(from, end - from, reference_markdown());
    std::ofstream(kPage, std::ios::binary) << page;
    return;
  }
  EXPECT_EQ(page.substr(from, end - from), reference_markdown());
}

TEST(Reference, TheExamplesOfThePageAreValid) {
  const std::string page = page_text();
  int examples = 0;
  const std::string fence = "```yaml\n";
  for (std::size_t at = page.find(fence); at != std::string::npos; at = page.find(fence, at + 1)) {
    const std::size_t from = at + fence.size();
    const std::string example = page.substr(from, page.find("```", from) - from);
    if (!example.starts_with("name:")) continue;  // a part of a file
    const ParseOutcome outcome = parse(example, "example");
    EXPECT_EQ(text_of(outcome.errors, "example"), "");
    ++examples;
  }
  EXPECT_GE(examples, 1);
}

}  // namespace
}  // namespace farshore::config
