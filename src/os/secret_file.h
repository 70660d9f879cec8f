// Reading a file that holds a secret (a password, a token, a private key): refused when others
// could have read or written it. Real only.
#pragma once

#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace farshore::os {

constexpr std::uint64_t kSecretFileMax = 64_KiB;

// The whole contents. Ours: mode 0600 or narrower; root's, when we are not root: 0640 or narrower.
// denied: the mode or the owner is another, with the chmod or chown that helps; not_found; invalid:
// not a regular file, or too large.
Result<Bytes> read_secret_file(const std::string& path);

}  // namespace farshore::os
