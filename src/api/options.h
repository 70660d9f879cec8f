// Options of the API's server.
#pragma once

#include <string>

#include "base/result.h"

namespace farshore::api {

struct Options {
  std::string address = "127.0.0.1:7433";  // "host:port", "[::1]:port"; port 0: any
  std::string certificate,
      key;                 // PEM files: TLS. Needed, as is a token, on any address but loopback
  std::string token_file;  // its first line is the token that clients must send; >= 16 characters
};

struct HostPort {
  std::string host;  // without brackets
  int port = 0;
};

Result<HostPort> parse_address(const std::string& address);
bool is_loopback(const std::string& host);  // 127.0.0.0/8, ::1, localhost

// Refuses what would be open to others: names the address, what is missing and the line to write.
Result<void> check(const Options& options);

}  // namespace farshore::api
