#include "os/real/socket.h"

#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <charconv>
#include <cstring>

#include "os/poll.h"
#include "os/real/real_world.h"

namespace farshore::os {
namespace {

constexpr int kListenBacklog = 128;
// Beyond it the socket is not writable, so that frames keep their priority: at 4 Mbit/s these are
// 0.13 s for each connection. Goodput at 1 Gbit/s is the same as with 256 KiB.
constexpr int kUnsentBytesMax = 64 * 1024;
constexpr int kUserTimeoutMs = 15000;  // the kernel gives up on a peer that acknowledges nothing

struct HostPort {
  std::string host, port;
};

struct FreeAddresses {
  void operator()(addrinfo* list) const { freeaddrinfo(list); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

Result<HostPort> split_address(const std::string& address) {
  const std::size_t colon = address.rfind(':');
  std::string host = colon == std::string::npos ? std::string() : address.substr(0, colon);
  const std::string port = colon == std::string::npos ? std::string() : address.substr(colon + 1);
  unsigned number = 0;
  const auto [end, failure] = std::from_chars(port.data(), port.data() + port.size(), number);
  const bool bracketed = host.size() >= 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const bool bare_ipv6 = !bracketed && host.find(':') != std::string::npos;
  if (failure != std::errc() || end != port.data() + port.size() || number > 65535 || bare_ipv6) {
    return permanent(ErrorKind::invalid,
                     "address '{}' is not understood: write host:port or [IPv6]:port", address);
  }
  return HostPort{host, port};
}

Result<Addresses> resolve(const std::string& address, int flags) {
  FARSHORE_TRY_ASSIGN(const HostPort parts, split_address(address));
  addrinfo hints{};
  hints.ai_family = AF_UNSPEC;
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = flags | AI_NUMERICSERV;
  addrinfo* list = nullptr;
  const char* host = parts.host.empty() ? nullptr : parts.host.c_str();
  if (const int code = getaddrinfo(host, parts.port.c_str(), &hints, &list); code != 0) {
    return transient(ErrorKind::unavailable, "name '{}' of address '{}' cannot be resolved: {}",
                     parts.host, address,
                     code == EAI_SYSTEM ? std::strerror(errno) : gai_strerror(code));
  }
  return Addresses(list);
}

void set_option(int fd, int level, int option, int value) {
  // Each is an improvement only: a kernel without it still carries the bytes.
  [[maybe_unused]] const int ignored = setsockopt(fd, level, option, &value, sizeof value);
}

void set_stream_options(int fd) {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY, 1);
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, kUserTimeoutMs);
  set_option(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, kUnsentBytesMax);
}

std::string text_of(const sockaddr_storage& address, socklen_t size) {
  char host[NI_MAXHOST], port[NI_MAXSERV];
  if (getnameinfo(reinterpret_cast<const sockaddr*>(&address), size, host, sizeof host, port,
                  sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
    return "unknown address";
  }
  return address.ss_family == AF_INET6 ? fmt::format("[{}]:{}", host, port)
                                       : fmt::format("{}:{}", host, port);
}

Error connect_error(const std::string& address, int code) {
  const char* remedy = code == ECONNREFUSED
                           ? "nothing listens there: is the agent running, is the port right?"
                       : code == ETIMEDOUT ? "no answer: does a firewall drop it?"
                                           : "is there a route from here?";
  return transient(ErrorKind::unavailable, "connect to '{}': {}: {}", address, std::strerror(code),
                   remedy);
}

Result<Descriptor> connect_one(const addrinfo& to, const std::string& address, Deadline deadline,
                               Waker& waker) {
  Descriptor fd(::socket(to.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd.valid()) return connect_error(address, errno);
  set_stream_options(fd.get());
  if (::connect(fd.get(), to.ai_addr, to.ai_addrlen) == 0) return fd;
  if (errno != EINPROGRESS && errno != EINTR) return connect_error(address, errno);
  const Readiness ready = poll_fd(fd.get(), false, true, deadline, &waker);
  if (ready.woken) return connecting_was_stopped(address);
  if (!ready.writable) {
    return transient(ErrorKind::timeout,
                     "connect to '{}': no answer in time: does a firewall drop it?", address);
  }
  int code = 0;
  socklen_t size = sizeof code;
  getsockopt(fd.get(), SOL_SOCKET, SO_ERROR, &code, &size);
  if (code != 0) return connect_error(address, code);
  return fd;
}

Result<Descriptor> listen_one(const addrinfo& at, const std::string& address) {
  Descriptor fd(::socket(at.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (fd.valid()) {
    set_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    if (at.ai_family == AF_INET6) set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0);
    if (::bind(fd.get(), at.ai_addr, at.ai_addrlen) == 0 && ::listen(fd.get(), kListenBacklog) == 0)
      return fd;
  }
  const char* remedy = errno == EADDRINUSE
                           ? "another process has that port: choose another or stop it"
                       : errno == EADDRNOTAVAIL ? "this machine has no such address"
                       : errno == EACCES        ? "ports below 1024 need a privilege"
                                                : "look at the system's limits";
  return permanent(ErrorKind::unavailable, "listen on '{}': {}: {}", address, std::strerror(errno),
                   remedy);
}

}  // namespace

Result<Descriptor> listen_socket(const std::string& address) {
  FARSHORE_TRY_ASSIGN(const Addresses list, resolve(address, AI_PASSIVE));
  // With no host both families come; the IPv6 one takes both kinds of clients.
  for (const addrinfo* at = list.get(); at != nullptr; at = at->ai_next) {
    if (at->ai_family != AF_INET6 && at->ai_next != nullptr) continue;
    Result<Descriptor> fd = listen_one(*at, address);
    if (fd.ok() || at->ai_next == nullptr) return fd;
  }
  return listen_one(*list, address);
}

Deadline share_of(Deadline deadline, MonotonicTime now, std::size_t attempts_left) {
  if (deadline.is_never() || attempts_left <= 1) return deadline;
  return Deadline::after(now, deadline.left(now) / attempts_left);
}

Error connecting_was_stopped(const std::string& address) {
  return permanent(ErrorKind::closed, "connect to '{}': connecting was stopped", address);
}

Result<Descriptor> connect_socket(const std::string& address, Deadline deadline, Waker& waker) {
  FARSHORE_TRY_ASSIGN(const Addresses list, resolve(address, 0));
  std::size_t left = 0;
  for (const addrinfo* to = list.get(); to != nullptr; to = to->ai_next) ++left;
  Result<Descriptor> last = connect_error(address, EADDRNOTAVAIL);
  for (const addrinfo* to = list.get(); to != nullptr; to = to->ai_next, --left) {
    last = connect_one(*to, address, share_of(deadline, real_monotonic_now(), left), waker);
    if (last.ok() || last.error().kind == ErrorKind::closed) return last;
  }
  return last;
}

Result<Descriptor> accept_socket(int listener, const std::string& own_address) {
  while (true) {
    Descriptor fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
    if (fd.valid()) {
      set_stream_options(fd.get());
      return fd;
    }
    switch (errno) {
      case EAGAIN:
        return Descriptor();
      case EMFILE:
      case ENFILE:
      case ENOBUFS:
      case ENOMEM:
        return transient(ErrorKind::unavailable,
                         "accept on '{}': {}: raise the limit of open files (LimitNOFILE)",
                         own_address, std::strerror(errno));
      case EBADF:
      case EINVAL:
      case ENOTSOCK:
        FARSHORE_CHECK(false, "accept on '{}': {}", own_address, std::strerror(errno));
        break;
      default:
        break;  // that client is gone already
    }
  }
}

std::string local_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return text_of(address, size);
}

std::string peer_address(int fd) {
  sockaddr_storage address{};
  socklen_t size = sizeof address;
  getpeername(fd, reinterpret_cast<sockaddr*>(&address), &size);
  return text_of(address, size);
}

TransportStats socket_stats(int fd) {
  tcp_info info{};
  socklen_t size = sizeof info;
  if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return {};
  return {std::chrono::microseconds(info.tcpi_rtt), info.tcpi_notsent_bytes};
}

}  // namespace farshore::os
