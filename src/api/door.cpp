#include "api/door.h"

#include <openssl/crypto.h>

#include "os/secret_file.h"

namespace farshore::api {
namespace {

constexpr std::size_t kTokenMin = 16;  // characters

bool same_secret(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string host_of(const std::string& header) {
  if (header.starts_with('[')) return header.substr(1, header.find(']') - 1);
  return header.substr(0, header.find(':'));
}

}  // namespace

Result<Door> Door::make(const Options& options) {
  Door door;
  if (options.token_file.empty()) return door;
  FARSHORE_TRY_ASSIGN(door.token_, os::read_secret_line(options.token_file));
  if (door.token_.size() < kTokenMin)
    return permanent(ErrorKind::invalid,
                     "token file {}: its first line has {} characters, {} are needed: `openssl "
                     "rand -hex 32` makes one",
                     options.token_file, door.token_.size(), kTokenMin);
  return door;
}

Result<void> Door::admit(const Request& request) const {
  if (request.path == "/healthz" || request.path == "/readyz") return {};
  if (!token_.empty()) {
    if (same_secret(request.authorization, "Bearer " + token_)) return {};
    return permanent(
        ErrorKind::denied, "{}: send the header `Authorization: Bearer TOKEN`",
        request.authorization.empty() ? "a token is needed" : "the token is not the right one");
  }
  if (is_loopback(host_of(request.host))) return {};
  return permanent(ErrorKind::denied,
                   "Host '{}' is not a loopback address: ask 127.0.0.1 or localhost", request.host);
}

}  // namespace farshore::api
