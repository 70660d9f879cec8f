// A libpq connection string, `keyword=value ...` or postgresql://..., taken apart as libpq does
// (libpq's manual, "Connection Strings"): to refuse secrets in it, to name unknown keywords, and to
// know which server and database it means.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace farshore::config {

struct ConnectionString {
  std::vector<std::pair<std::string, std::string>> settings;  // later ones win

  std::string get(std::string_view keyword, std::string_view otherwise = "") const;
  std::string server()
      const;  // "host:port", lower case: the same text for the same server, as far as text can tell
  std::string database() const;  // server() with the database's name
};

// Errors never repeat the text or a value of it. Refused: a password or another secret, keywords
// that Farshore sets itself (application_name, replication ...), unknown keywords, a missing
// database.
Result<ConnectionString> parse_connection_string(std::string_view text);

}  // namespace farshore::config
