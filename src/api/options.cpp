#include "api/options.h"

#include <charconv>

namespace farshore::api {

Result<HostPort> parse_address(const std::string& address) {
  const Error bad = permanent(
      ErrorKind::invalid,
      "api address '{}' is not understood: write host:port, like 127.0.0.1:7433", address);
  const auto colon = address.rfind(':');
  if (colon == std::string::npos) return bad;
  HostPort parsed{.host = address.substr(0, colon)};
  const bool bracketed =
      parsed.host.size() > 2 && parsed.host.front() == '[' && parsed.host.back() == ']';
  if (bracketed) parsed.host = parsed.host.substr(1, parsed.host.size() - 2);
  const bool ambiguous = !bracketed && parsed.host.find(':') != std::string::npos;
  const char* digits = address.data() + colon + 1;
  const char* end = address.data() + address.size();
  const auto [stop, failure] = std::from_chars(digits, end, parsed.port);
  const bool port_bad =
      failure != std::errc() || stop != end || parsed.port < 0 || parsed.port > 65535;
  if (parsed.host.empty() || ambiguous || port_bad) return bad;
  return parsed;
}

bool is_loopback(const std::string& host) {
  if (host == "localhost" || host == "::1") return true;
  const bool digits_and_dots = host.find_first_not_of("0123456789.") == std::string::npos;
  return digits_and_dots && host.starts_with("127.");  // a name like 127.example.com is none
}

Result<void> check(const Options& options) {
  FARSHORE_TRY_ASSIGN(const HostPort at, parse_address(options.address));
  if (options.certificate.empty() != options.key.empty())
    return permanent(ErrorKind::invalid,
                     "api {}: TLS needs a certificate and its key, one of them is missing",
                     options.address);
  if (is_loopback(at.host)) return {};
  if (options.certificate.empty())
    return permanent(ErrorKind::invalid,
                     "api {}: this address can be reached by others, so it needs TLS: give a "
                     "certificate and a key, or "
                     "use 127.0.0.1:{}",
                     options.address, at.port);
  if (options.token_file.empty())
    return permanent(ErrorKind::invalid,
                     "api {}: this address can be reached by others, so it needs a token: write "
                     "one with `openssl rand "
                     "-hex 32` into a file and name that as the token file, or use 127.0.0.1:{}",
                     options.address, at.port);
  return {};
}

}  // namespace farshore::api
