// Reading a file that holds a secret (a password, a token, a private key): refused when others
// could have read or written it. Real only.
#pragma once

#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/result.h"

namespace farshore::os {

constexpr std::uint64_t kSecretFileMax = 64_KiB;

// The whole contents. Ours: mode 0600 or narrower; root's, when we are not root: 0640 or narrower.
// denied: the mode or the owner is another, with the chmod or chown that helps; not_found; invalid:
// not a regular file, or too large.
Result<Bytes> read_secret_file(const std::string& path);
// Its first line, which is a password or a token. invalid: it is empty.
Result<std::string> read_secret_line(const std::string& path);

// What is wrong with such a file, and what to do.
struct SecretFault {
  ErrorKind kind = ErrorKind::invalid;
  std::string what;    // "secret file '/etc/farshore/app' has mode 0644, others can reach it"
  std::string remedy;  // "chmod 0600 '/etc/farshore/app'"; empty: what the file is for says it
};
// Nothing where read_secret_line() reads it.
std::optional<SecretFault> secret_line_fault(const std::string& path);

}  // namespace farshore::os
