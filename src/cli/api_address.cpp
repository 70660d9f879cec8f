#include "cli/api_address.h"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace farshore::cli {
namespace {

constexpr std::string_view kHttp = "http://", kHttps = "https://";

}  // namespace

std::string ApiAddress::text() const {
  const bool bracket = host.find(':') != std::string::npos;
  return fmt::format("{}{}{}:{}", bracket ? "[" : "", host, bracket ? "]" : "", port);
}

Result<ApiAddress> parse_api_url(const std::string& url) {
  const Error bad = permanent(
      ErrorKind::invalid,
      "--api '{}' is not understood: write http://127.0.0.1:7433 or https://HOST:PORT", url);
  ApiAddress parsed{.https = url.starts_with(kHttps)};
  if (!parsed.https && !url.starts_with(kHttp)) return bad;
  std::string rest = url.substr((parsed.https ? kHttps : kHttp).size());
  rest = rest.substr(0, rest.find('/'));
  const std::size_t bracket = rest.starts_with('[') ? rest.find(']') : 0;
  if (bracket == std::string::npos) return bad;
  const std::size_t colon = rest.find(':', bracket);
  parsed.host = bracket > 0 ? rest.substr(1, bracket - 1) : rest.substr(0, colon);
  parsed.port = colon == std::string::npos ? (parsed.https ? "443" : "80") : rest.substr(colon + 1);
  const bool digits =
      !parsed.port.empty() && parsed.port.find_first_not_of("0123456789") == std::string::npos;
  if (parsed.host.empty() || !digits || parsed.port.size() > 5) return bad;
  return parsed;
}

std::vector<std::string> numeric_addresses(const std::string& host) {
  addrinfo hints{}, *list = nullptr;
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  if (getaddrinfo(host.c_str(), nullptr, &hints, &list) != 0) return {host};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(list, freeaddrinfo);
  std::vector<std::string> found;
  for (const addrinfo* at = list; at != nullptr; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) ==
            0 &&
        std::find(found.begin(), found.end(), text) == found.end())
      found.emplace_back(text);
  }
  return found.empty() ? std::vector{host} : found;
}

}  // namespace farshore::cli
