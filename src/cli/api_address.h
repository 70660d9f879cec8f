// ApiAddress: where the URL of an API points. Pure, but for numeric_addresses(). Any thread.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace farshore::cli {

struct ApiAddress {
  bool https = false;
  std::string host;  // without brackets
  std::string port;  // digits

  std::string text() const;  // "127.0.0.1:7433", "[::1]:7433"
};

// "http://HOST:PORT" or "https://HOST:PORT"; what follows a slash is passed over. invalid: it is
// neither.
Result<ApiAddress> parse_api_url(const std::string& url);

// Those that the host resolves to, as numbers; the host itself when it does not. Blocks as long as
// the C library's resolver does.
std::vector<std::string> numeric_addresses(const std::string& host);

}  // namespace farshore::cli
