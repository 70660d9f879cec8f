#include "os/secret_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <variant>

#include "os/real/descriptor.h"

namespace farshore::os {
namespace {

template <class T>
using Read = std::variant<T, SecretFault>;

SecretFault fault(ErrorKind kind, const std::string& path, const std::string& what,
                  std::string remedy = {}) {
  return {kind, fmt::format("secret file '{}'{}", path, what), std::move(remedy)};
}

SecretFault system_fault(const std::string& path, int code) {
  const ErrorKind kind = code == ENOENT   ? ErrorKind::not_found
                         : code == EACCES ? ErrorKind::denied
                                          : ErrorKind::io;
  std::string remedy;
  if (kind == ErrorKind::denied)
    remedy =
        fmt::format("chown {0} '{1}'  -- and let user {0} into its folders", ::geteuid(), path);
  return fault(kind, path, fmt::format(": {}", std::strerror(code)), std::move(remedy));
}

std::optional<SecretFault> access_fault(const std::string& path, const struct stat& facts) {
  const unsigned mode = facts.st_mode & 0777U;
  const uid_t us = ::geteuid();
  if (facts.st_uid != us && facts.st_uid != 0)
    return fault(ErrorKind::denied, path,
                 fmt::format(" belongs to user {}, who could change it", facts.st_uid),
                 fmt::format("chown {} '{}'", us, path));
  const bool shared_by_root = facts.st_uid == 0 && us != 0;
  const unsigned allowed = shared_by_root ? 0740U : 0700U;
  if ((mode & ~allowed) == 0) return std::nullopt;
  return fault(ErrorKind::denied, path, fmt::format(" has mode {:04o}, others can reach it", mode),
               fmt::format("chmod {} '{}'", shared_by_root ? "0640" : "0600", path));
}

Read<Bytes> read_all(const std::string& path) {
  // O_NONBLOCK: opening a FIFO would wait for its writer.
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return system_fault(path, errno);
  struct stat facts{};
  if (::fstat(file.get(), &facts) != 0) return system_fault(path, errno);
  if (!S_ISREG(facts.st_mode)) return fault(ErrorKind::invalid, path, " is not a regular file");
  if (auto found = access_fault(path, facts)) return *std::move(found);
  Bytes contents;
  char part[4096];
  for (;;) {
    const ssize_t count = ::read(file.get(), part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return system_fault(path, errno);
    if (count == 0) return contents;
    contents.append(part, static_cast<std::size_t>(count));
    if (contents.size() > kSecretFileMax)
      return fault(ErrorKind::invalid, path,
                   fmt::format(" is larger than {} bytes", kSecretFileMax));
  }
}

Read<std::string> read_line(const std::string& path) {
  auto read = read_all(path);
  if (auto* found = std::get_if<SecretFault>(&read)) return std::move(*found);
  std::string line = std::get<Bytes>(std::move(read));
  line.resize(std::min(line.find('\n'), line.size()));
  if (line.ends_with('\r')) line.pop_back();
  if (line.empty()) return fault(ErrorKind::invalid, path, ": its first line is empty");
  return line;
}

template <class T>
Result<T> result_of(Read<T> read) {
  if (const auto* found = std::get_if<SecretFault>(&read))
    return permanent(found->kind, "{}{}{}", found->what, found->remedy.empty() ? "" : ": ",
                     found->remedy);
  return std::get<T>(std::move(read));
}

}  // namespace

Result<Bytes> read_secret_file(const std::string& path) {
  return result_of(read_all(path));
}

Result<std::string> read_secret_line(const std::string& path) {
  return result_of(read_line(path));
}

std::optional<SecretFault> secret_line_fault(const std::string& path) {
  auto read = read_line(path);
  auto* found = std::get_if<SecretFault>(&read);
  return found == nullptr ? std::nullopt : std::optional(std::move(*found));
}

}  // namespace farshore::os
