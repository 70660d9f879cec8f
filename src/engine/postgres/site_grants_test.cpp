// What `grants` prints is pasted as a superuser: no name may say more than its grant.
#include <gmock/gmock.h>

#include "engine/postgres/site.h"

namespace farshore::postgres {
namespace {

using testing::HasSubstr;
using testing::Not;

// What PostgreSQL reads of it: without comments and without what is within quotes.
std::string read_as_sql(const std::string& text) {
  std::string out;
  char within = ' ';  // '"': a name; '-': a comment
  for (std::size_t at = 0; at < text.size(); ++at) {
    const char c = text[at];
    if (within == '-') {
      if (c == '\n' || c == '\r') within = ' ';
    } else if (c == '"') {
      within = within == '"' ? ' ' : '"';
    } else if (within == ' ' && text.compare(at, 2, "--") == 0) {
      within = '-';
    } else if (within == ' ') {
      out += c;
    }
  }
  return out;
}

TEST(SiteGrants, NoNameEndsTheCommentThatItIsIn) {
  for (const char* end : {"\n", "\r"}) {
    const auto evil = [&](const std::string& name) {
      return name + end + "ALTER ROLE mallory SUPERUSER; --";
    };
    const std::vector<OwnedTable> tables = {
        {.schema = evil("s"), .name = evil("t"), .owner = evil("o"), .superuser_owns = true},
        {.schema = "s", .name = evil("u"), .owner = evil("o")}};
    const std::string source = read_as_sql(source_grants(evil("r"), evil("d"), tables));
    const std::string target =
        read_as_sql(target_grants(evil("r"), evil("d"), 180000, {evil("s")}));
    for (const std::string& read : {source, target}) {
      EXPECT_THAT(read, HasSubstr("GRANT CONNECT, CREATE ON DATABASE "));
      EXPECT_THAT(read, Not(HasSubstr("SUPERUSER")));
    }
  }
}

}  // namespace
}  // namespace farshore::postgres
