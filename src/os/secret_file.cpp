#include "os/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "os/real/descriptor.h"

namespace farshore::os {
namespace {

Result<void> check_access(const std::string& path, const struct stat& facts) {
  const unsigned mode = facts.st_mode & 0777U;
  const uid_t us = ::geteuid();
  if (facts.st_uid != us && facts.st_uid != 0)
    return permanent(ErrorKind::denied,
                     "secret file '{}' belongs to user {}, who could change it: chown {} '{}'",
                     path, facts.st_uid, us, path);
  const bool shared_by_root = facts.st_uid == 0 && us != 0;
  const unsigned allowed = shared_by_root ? 0740U : 0700U;
  if ((mode & ~allowed) == 0) return {};
  return permanent(ErrorKind::denied,
                   "secret file '{}' has mode {:04o}, others can reach it: chmod {} '{}'", path,
                   mode, shared_by_root ? "0640" : "0600", path);
}

}  // namespace

Result<Bytes> read_secret_file(const std::string& path) {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) {
    const ErrorKind kind = errno == ENOENT   ? ErrorKind::not_found
                           : errno == EACCES ? ErrorKind::denied
                                             : ErrorKind::io;
    return permanent(kind, "secret file '{}': {}", path, std::strerror(errno));
  }
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0)
    return permanent(ErrorKind::io, "secret file '{}': {}", path, std::strerror(errno));
  if (!S_ISREG(facts.st_mode))
    return permanent(ErrorKind::invalid, "secret file '{}' is not a regular file", path);
  FARSHORE_TRY(check_access(path, facts));
  Bytes contents;
  char part[4096];
  for (;;) {
    const ssize_t count = ::read(file.get(), part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0)
      return permanent(ErrorKind::io, "secret file '{}': {}", path, std::strerror(errno));
    if (count == 0) return contents;
    contents.append(part, static_cast<std::size_t>(count));
    if (contents.size() > kSecretFileMax)
      return permanent(ErrorKind::invalid, "secret file '{}' is larger than {} bytes", path,
                       kSecretFileMax);
  }
}

}  // namespace farshore::os
